"""Where and of what a figure was taken."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.sources import ROOT

UNKNOWN: Final = "unknown"
CHANGES: Final = " with changes"


def machine() -> dict[str, Any]:
    """This machine, and how busy it is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def commit(files: Sequence[Path], root: Path = ROOT) -> str:
    """The checked out commit, and whether any of the files differs from it or is not in it.

    What else was changed, such as an earlier result, is no change of what was measured.

    Args:
        files: that were measured.
        root: of the working tree; without git, or outside it, the commit is ``UNKNOWN``.
    """
    head = _git(root, "rev-parse", "HEAD").strip()
    changed = _git(root, "status", "--porcelain", "--", *map(str, files)).strip() if files else ""
    return (head or UNKNOWN) + (CHANGES if changed else "")


def _git(root: Path, *words: str) -> str:
    """What git says, nothing if it fails."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
