"""The section as a whole, from the log to the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agora.files import replacing
from analysis.market.episodes import Episode, newest
from analysis.market.facts import SHORTEST
from analysis.market.report.episode import inventories, prices, profits
from analysis.market.report.returns import distribution, memory
from analysis.market.report.shapes import Section
from analysis.market.report.tables import earned, held, measured

FILE: Final = Path("sections") / "market.json"
MOST_EPISODES: Final = 16
"""Read of the log, so that the report of a long run is written as quickly as that of a short one."""


def write_section(run: Path) -> None:
    """Write the section into a run's folder, all of it or nothing.

    Raises:
        NoMarketError: there is no log, or it is not a market's.
        OSError: the file cannot be written.
    """
    text = json.dumps(section(newest(run, MOST_EPISODES)), allow_nan=False)
    path = run / FILE
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def section(played: Sequence[Episode]) -> Section:
    """The section of some episodes; the newest is the first."""
    steps = min(len(episode.tape.mid) for episode in played)
    count = f"the newest {len(played)} episodes" if len(played) > 1 else "the only episode"
    note = f"From {count} in the trajectory log, as they were played, exploration included."
    tables = [earned(played), measured(played)]
    if steps >= SHORTEST:
        tables.append(held(played))
    else:
        note += f" The stylised facts need episodes of {SHORTEST:,} steps; these have {steps:,}."
    newest_one = [prices(played[0]), inventories(played[0]), profits(played[0])]
    figures = [*newest_one, *filter(None, [distribution(played), memory(played)])]
    return {"title": "Market", "note": note, "figures": figures, "tables": tables}
