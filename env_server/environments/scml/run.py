"""The folder that a tracked run's tables are written to."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from env_server.environments.scml.config import ScmlConfig

RUNS = "AGORA_RUNS"
"""Environment variable: where runs are kept."""


def open_run(config: ScmlConfig) -> str | None:
    """Make the folder of a tracked run, with its ``run.json``; None if nothing is tracked.

    Raises:
        OSError: the disk refused.
    """
    if config.track is None:
        return None
    folder = Path(os.environ.get(RUNS, "runs")).absolute() / config.track
    about = folder / "run.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "command": " ".join([Path(sys.executable).name, *sys.argv]),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "kind": "rollout",
            "config": config.model_dump(mode="json"),
        }
        draft = about.with_suffix(f".{os.getpid()}.part")
        draft.write_text(json.dumps(facts, indent=2), encoding="utf-8")
        draft.replace(about)
    return str(folder)
