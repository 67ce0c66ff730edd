"""``python -m experiments``: runs the stored experiments, and writes the page of results.

``paper`` plays the particle games of docs/results.md and the matches, ``learners`` and ``best`` train on simple_spread
with three seeds each, ``market`` trains market makers with five. What is kept already is skipped; what was stopped goes
on. Each ends by writing the page; ``results`` does only that, and removes policies that no result names any more. The
others may run side by side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from experiments import matches, page, running, stored, trading

SEEDS: Final = {"paper": [0], "learners": [0, 1, 2], "best": [0, 1, 2], trading.GROUP: [0, 1, 2, 3, 4]}
CROSSED: Final = "simple_adversary"
"""The experiment of the group "paper" whose policies meet the scripted ones."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Run experiments, keep their results.")
    parser.add_argument("what", choices=[*SEEDS, "results"])
    parser.add_argument("--names", nargs="+", help="experiments of the group; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: all that the group has")
    parser.add_argument("--again", action="store_true", help="run also what is kept already")
    options = parser.parse_args(arguments)
    if options.what == "results":
        stored.forget_unused_actors()
    else:
        known = running.names(options.what)
        for name in options.names or ():
            if name not in known:
                parser.error(f"--names: expected some of {', '.join(known)}, got {name!r}")
        _train(options.what, options.names or known, options.seeds or SEEDS[options.what], again=options.again)
    if options.what == trading.GROUP:
        trading.play_scripted(again=options.again)
    if options.what == "paper":
        matches.climb(again=options.again)
        trained = stored.read_training(stored.place("paper", CROSSED, SEEDS["paper"][0]))
        if trained is not None:
            matches.cross(trained, again=options.again)
    print(f"written to {page.write_page()}")
    return 0


def _train(group: str, names: Sequence[str], seeds: Sequence[int], *, again: bool) -> None:
    wanted = [(name, seed) for name in names for seed in seeds]
    for number, (name, seed) in enumerate(wanted, start=1):
        title = f"{group} {number}/{len(wanted)}: {name}, seed {seed}"
        if not again and running.is_kept(group, name, seed):
            print(f"{title}: kept already", flush=True)
            continue
        print(title, flush=True)
        kept = running.train(group, name, seed, again=again)
        print(f"{title}: {kept.final.mean:.2f} ± {kept.final.standard_error:.2f}", flush=True)
        page.write_page()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
