"""The code blocks of a page of docs/, run as somebody pastes them: in order, in one empty folder.

A block's language is the first word of its info string. ``sh`` blocks run line by line and must succeed; ``sh
background`` lines are started and go on until the page is done, and the page goes on when the address behind their
``--listen`` (and every other ``--*ADDRESS`` flag of the form HOST:PORT) accepts connections; so it does for addresses
that follow ``background``. ``python`` blocks of a page run one after the other in one process each, so a block must be
whole; ``python NAME.py`` and ``yaml NAME.yaml`` blocks are saved under that name instead.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 60.0
_BLOCK = re.compile(r"^```(\w[^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ADDRESS = re.compile(r"^127\.0\.0\.1:\d+$")
_SERVES = ("--listen", "--dm-env-rpc", "--openenv", "--lobby-listen")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Info string and text of every code block."""
    return [(info.strip(), text) for info, text in _BLOCK.findall(page.read_text())]


def paste(page: Path, folder: Path) -> list[str]:
    """Run a page's ``sh`` and ``python`` blocks in ``folder``; what each foreground block printed.

    Raises:
        AssertionError: a command or a block failed, or a background process ended or does not listen.
    """
    said = []
    with ExitStack() as stack:
        for info, text in blocks(page):
            words = info.split()
            if words[0] == "sh":
                for line in text.replace("\\\n", " ").splitlines():
                    if not line.strip() or line.startswith("#"):
                        continue
                    if "background" in words:
                        _start(line, words[2:], folder, stack)
                    else:
                        said.append(_run(["bash", "-c", line], folder))
            elif words[0] in ("python", "yaml") and words[1:]:
                (folder / words[1]).write_text(text)
            elif words[0] == "python":
                said.append(_run([sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", text], folder))
    return said


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{command[-1]}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _start(line: str, addresses: list[str], folder: Path, stack: ExitStack) -> None:
    words = shlex.split(line)
    process = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, env=_environment())
    stack.callback(_stop, process)
    flags = itertools.pairwise(words)
    named = [value for flag, value in flags if flag in _SERVES and _ADDRESS.match(value)]
    for address in named + addresses:
        until = time.monotonic() + START_SECONDS
        while not _answers(address):
            assert process.poll() is None, f"{line}\nended with exit code {process.returncode}"
            assert time.monotonic() < until, f"{line}\nnobody listens on {address}"
            time.sleep(0.05)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
