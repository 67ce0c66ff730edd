"""``docs/results.md``, out of the stored results alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from experiments import tables, trading
from experiments.matches import CROSS_PLAY, LADDER
from experiments.references import EXPERT, RANDOM
from experiments.stored import ROOT, Matches, Training, read_group, read_matches

PAGE: Final = ROOT / "docs" / "results.md"

HEAD: Final = f"""# Results

This page is written by `python -m experiments results` from what lies in `experiments/results`; a test holds the two
together. Each file there has the figures, the seed, the command, the time it took, the commit and the machine, and the
last policies are kept beside them as ONNX.

* Returns are undiscounted sums over an episode. Where a table says mean, it is over agents. What follows ± is a
  standard error over episodes.
* They are earned greedily by the last policies, never by the best of several, on 2,000 episodes. The episodes are the
  same for all runs, and nobody learns from them. Those of particle games are [mpe2](https://mpe2.farama.org)'s own,
  hosted through the PettingZoo door, while learning happens on the batched copy of the game ([mpe.md](mpe.md)).
* Everything runs through the services: an environment server, agent services, the registry and a trainer as processes.
* CPU time is that of all these processes together, evaluations included.
* S is the share of the way from uniform actions ({RANDOM}) to a scripted expert ({EXPERT}) on `simple_spread`.

`make paper` plays what is below under "Particle games" and the matches, `python -m experiments` with `learners`, `best`
or `market` trains what is in the tables of these names; `--names NAME --seeds SEED` picks one line, and the settings
are in `experiments/GROUP/NAME.yaml`. What is kept already is skipped, unless its settings have changed. `python -m
bench` with `learners`, `learners_best` or `market_learning` lets the kept policies play their episodes again.
"""


def page() -> str:
    """The whole page; what was not run yet is not in it."""
    groups: dict[str, Callable[[list[Training]], str]] = {
        "learners": _learners,
        "best": _best,
        "paper": _paper,
        trading.GROUP: _market,
    }
    played: dict[str, Callable[[Matches], str]] = {CROSS_PLAY: _cross_play, LADDER: _ladder}
    parts = [HEAD]
    parts += [section(runs) for group, section in groups.items() if (runs := read_group(group))]
    parts += [section(kept) for name, section in played.items() if (kept := read_matches(name))]
    return "\n".join(parts)


def write_page(path: Path = PAGE) -> Path:
    """Write it; returns the file."""
    path.write_text(page())
    return path


def _learners(runs: list[Training]) -> str:
    return f"""## Learners on simple_spread

Three agents, 25 cycles. Published: XuanCe's means of 5 seeds at 3 million steps; its QMIX diverged (−36.5), so that the
bar for `qmix` is a learner that works at all.

{tables.learners(runs)}
Their learning curves, mean over agents and seeds at the evaluations during training:

{tables.curves(runs)}"""


def _best(runs: list[Training]) -> str:
    return f"""## The best learner, by budget

The same game. Published: the best mean of any of XuanCe's learners at that many steps.

{tables.best(runs)}"""


def _paper(runs: list[Training]) -> str:
    return f"""## Particle games

In `simple_adversary` and `simple_tag` the agents learn against one another, so that their returns say who is ahead and
not how good they are; see the matches below. Before: untrained, on the evaluation's episodes.

{tables.games(runs)}"""


def _market(runs: list[Training]) -> str:
    scripted = read_matches(trading.SCRIPTED)
    compared = (
        ""
        if scripted is None
        else f"""
Among scripted traders, on the default market ([market.md](market.md)), in ticks times lots an episode. What the
scripted maker earns in the same seat on the same episodes is taken off; the interval is Student's over seeds, 95 %.

{tables.makers(runs, scripted)}
The scripted makers themselves:

{tables.scripted_makers(scripted)}"""
    )
    return f"""## Market makers

Alone with Poisson takers around a middle that nobody moves; the best return is known (`analysis/market/making.py`):

{tables.limit(runs)}{compared}"""


def _cross_play(matches: Matches) -> str:
    return f"""## Trained against scripted, simple_adversary

The good team and the adversary that MADDPG trained together, each against the other and against scripted policies: what
the adversary earns / what each good agent earns. {matches.matches[0].episodes:,} episodes of 40 cycles on mpe2.
A good team that has learned to deceive earns against `follow` what it earns against `midpoint`; returns of self-play do
not show that.

{tables.matrix(matches)}"""


def _ladder(matches: Matches) -> str:
    return f"""## The scripted ladder

Scripted policies that read their own observation only (`agent_services/policies/particles.py`), on the batched copy,
{matches.matches[0].episodes:,} episodes of 25 cycles.

{tables.spreaders(matches)}
`simple_adversary`: what the adversary earns / what each good agent earns.

{tables.matrix(matches)}"""
