"""The same facts of ABIDES' reference market rmsc04 (Byrd, Hybinette and Balch 2020), beside our market's.

It is no part of this project and in no package index: ``AGORA_ABIDES=FOLDER`` names a clone of abides-jpmc-public, and
``make peers PEERS=abides`` builds what it imports. A step is a second of its session, which opens at 09:30.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.market.facts import Fact, Tape, facts
from analysis.market.statistics import autocorrelation, excess_kurtosis, log_returns
from bench.asked import ROOT
from bench.report import Row

FOLDER: Final = "AGORA_ABIDES"
SOURCE: Final = "https://github.com/jpmorganchase/abides-jpmc-public"
PROGRAM: Final = ROOT / "bench" / "peer_programs" / "abides.py"
NAME: Final = "ABIDES rmsc04"
OPENS: Final = 9.5
NS: Final = 10**9
MINUTE: Final = 60
"""Steps."""


def rows(quick: bool) -> list[Row]:
    """Facts and moments of whole days of five seeds; ``quick``: of an hour of one.

    Raises:
        RuntimeError: ABIDES failed.
        ValueError: a session was too short or had no quotes.
    """
    python, name = ROOT / ".peers" / "abides" / "bin" / "python", f"{NAME}: facts of 12"
    if FOLDER not in os.environ:
        return [Row.missing(name, "for comparison", f"git clone {SOURCE}, and {FOLDER}=FOLDER names the clone")]
    if not python.exists():
        return [Row.missing(name, "for comparison", "not there; make peers PEERS=abides builds it")]
    seeds, hours = (range(1, 2), 1.0) if quick else (range(1, 6), 6.5)
    checkout = Path(os.environ[FOLDER]).resolve()
    return compared([tape_of(play(python, checkout, seed, hours), round(hours * 3600)) for seed in seeds])


def play(python: Path, checkout: Path, seed: int, hours: float) -> dict[str, NDArray[np.float64]]:
    """Quotes and trades of a session; see the program.

    Raises:
        RuntimeError: it failed.
    """
    closes = f"{int(OPENS + hours):02d}:{round((OPENS + hours) % 1 * 60):02d}:00"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "session.npz"
        command = [str(python), str(PROGRAM), str(checkout), str(seed), closes, str(file)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{NAME}: exit code {done.returncode}: {done.stderr[-2000:]}")
        with np.load(file) as found:
            return dict(found)


def tape_of(session: Mapping[str, NDArray[np.float64]], seconds: int) -> Tape:
    """A step per second: the middle at its end, what traded in it. The last middle stays while a side is empty.

    Args:
        session: "quoted" (Q,) and "traded" (N,), ns since the open, neither falling; "best" (Q, 2), bid and ask, 0 for
            none; "signed" (N,), lots, positive where the incoming order bought.
        seconds: of the session; what comes later does not count.

    Returns:
        Steps from the first on at whose end there has been a quote on both sides.

    Raises:
        ValueError: there has been none.
    """
    both = (session["best"] > 0.0).all(axis=1)
    ends = np.arange(1, seconds + 1) * NS
    last = np.searchsorted(session["quoted"][both], ends) - 1
    first = int(np.searchsorted(last, 0))
    if first == seconds:
        raise ValueError(f"session: expected quotes on both sides within {seconds} s, got none")
    mid = session["best"][both].mean(axis=1)[last[first:]]
    second = session["traded"] // NS
    here = (second >= first) & (second < seconds)
    at, signed = (second[here] - first).astype(np.int64), session["signed"][here]
    volume, flow = np.zeros((2, seconds - first))
    np.add.at(volume, at, np.abs(signed))
    np.add.at(flow, at, signed)
    return Tape(mid, volume, flow)


def compared(tapes: list[Tape]) -> list[Row]:
    """How many facts hold, by seed, and the moments by which ABIDES is known to differ from real markets."""
    by_minute = [log_returns(tape.mid, MINUTE) for tape in tapes]
    return [
        counted(NAME, [facts(tape) for tape in tapes]),
        _told("excess kurtosis at 1 s", [excess_kurtosis(log_returns(tape.mid)) for tape in tapes]),
        _told("ACF of returns at 60 s, lag 1", [autocorrelation(of, [1])[0] for of in by_minute]),
        _told("ACF of |returns| at 60 s, lag 10", [autocorrelation(np.abs(of), [10])[0] for of in by_minute]),
    ]


def counted(whose: str, found: list[list[Fact]]) -> Row:
    """How many facts hold in each seed, and which in none."""
    never = [same[0].name for same in zip(*found, strict=True) if not any(fact.holds for fact in same)]
    counts = [float(sum(fact.holds for fact in of)) for of in found]
    target = f"for information; in no seed: {', '.join(never) or 'none'}"
    return Row(f"{whose}: facts of {len(found[0])}", counts, "facts", target, True)


def _told(name: str, values: list[float]) -> Row:
    return Row(f"{NAME}: {name}", [float(value) for value in values], "", "for information", True)
