"""``python -m analysis.market``: what a market run looks like, in tables and in a page that replays an episode."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table
from tyro.conf import Positional

from agora import terminal
from agora.errors import told
from agora.terminal import write_what_can_be_written
from analysis.market import measures
from analysis.market.earnings import earnings
from analysis.market.episodes import Episode, NoMarketError, episodes
from analysis.market.facts import over_episodes


@dataclass(frozen=True)
class Facts:
    """Twelve stylised facts of a run's episodes: how often each holds."""

    run: Positional[Path]
    """The run's folder."""
    json: bool = False
    """Print JSON instead of a table."""

    def __call__(self) -> int:
        """Do it."""
        tapes = [episode.tape for episode in _played(self.run)]
        rows = over_episodes(tapes)
        if self.json:
            print(json.dumps({"episodes": len(tapes), "facts": rows}, indent=1))
            return 0
        table = Table("fact", "holds in", "median", "wanted", title=f"{len(tapes)} episodes of {self.run}")
        for row in rows:
            values = ", ".join(f"{value:.3g}" for value in row["values"])
            table.add_row(row["name"], f"{row['share']:.0%}", values, row["wanted"])
        terminal.console().print(table)
        return 0


@dataclass(frozen=True)
class Quality:
    """Market quality of a run's episodes, and what each agent earned."""

    run: Positional[Path]
    """The run's folder."""
    json: bool = False
    """Print JSON instead of tables."""

    def __call__(self) -> int:
        """Do it."""
        played = _played(self.run)
        measured = measures.over_episodes(played)
        if self.json:
            agents = [asdict(row) for row in earnings(played)]
            print(json.dumps({"quality": measured, "agents": agents}, indent=1))
            return 0
        _print_quality(measured, len(played), self.run)
        _print_earnings(played)
        return 0


@dataclass(frozen=True)
class Replay:
    """Write a page that replays one episode: prices, the book, trades, inventories. It opens offline."""

    run: Positional[Path]
    """The run's folder."""
    episode: int = -1
    """Which of the logged episodes; below 0: from the last one back."""
    out: Path | None = None
    """The file; default: market.html in the run's folder."""

    def __call__(self) -> int:
        """Do it."""
        from analysis.market.replay import write_replay

        played = _played(self.run)
        if not -len(played) <= self.episode < len(played):
            print(f"episode: expected {-len(played)} to {len(played) - 1}, got {self.episode}", file=sys.stderr)
            return 2
        path = self.out or self.run / "market.html"
        write_replay(path, played[self.episode])
        print(path)
        return 0


Command = (
    Annotated[Facts, tyro.conf.subcommand("facts")]
    | Annotated[Quality, tyro.conf.subcommand("quality")]
    | Annotated[Replay, tyro.conf.subcommand("replay")]
)


def _played(run: Path) -> list[Episode]:
    found = list(episodes(run))
    if not found:
        raise NoMarketError(f"{run / 'trajectories'}: expected an episode, the log has none yet")
    return found


def _print_quality(measured: Mapping[str, float | None], count: int, run: Path) -> None:
    table = Table("measure", "mean", "unit", title=f"{count} episodes of {run}")
    for name, mean in measured.items():
        table.add_row(name, "-" if mean is None else f"{mean:.4g}", measures.MEASURES[name].unit)
    terminal.console().print(table)


def _print_earnings(played: Sequence[Episode]) -> None:
    table = Table("agent", "profit, ticks x lots", "Sharpe", "wins", "mean |lots|", "most lots")
    for row in earnings(played):
        profit = f"{row.profit:,.1f} ± {row.error:,.1f}"
        table.add_row(row.agent, profit, f"{row.sharpe:.2f}", f"{row.wins:.0%}", f"{row.inventory:.1f}", str(row.most))
    terminal.console().print(table)


def main() -> int:
    """Run the command that the arguments ask for; returns the exit code."""
    write_what_can_be_written()
    command: Facts | Quality | Replay = tyro.cli(Command, prog="agora market", description=__doc__)
    try:
        return command()
    except (NoMarketError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, or a folder that may not be written
        print(told(error), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
