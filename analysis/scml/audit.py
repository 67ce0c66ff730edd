"""``python -m analysis.scml.audit RUN``: how often the policies of a run acted unsafely, and what it came to.

It knows the rules of the game and the run's tables, and nothing of the shield that it checks.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from rich.console import Console
from rich.table import Table

from agora import terminal
from agora.errors import told
from agora.files import replacing
from agora.terminal import complain, write_what_can_be_written
from analysis.scml.runs import Run
from analysis.scml.tables import NO_UNSAFE, UNSAFE, BrokenTableError
from analysis.scml.verdict import Audit, Finding, Tally, audit

SHOWN = 10
"""Disagreements that are printed; the file has all."""


@dataclass(frozen=True)
class Arguments:
    """Audit a run of supply-chain worlds."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    physics: Literal["world", "engine", "conserving"] = "world"
    """The rule to judge by: each world's own, or one for all."""
    json: Path | None = None
    """Where the summary goes; RUN/audit.json if not given."""
    unsafe: Path | None = None
    """Where the findings go; RUN/unsafe.parquet if not given."""


def main(arguments: Arguments) -> int:
    """Audit, print a table, write both files.

    Returns:
        0, or 1 where this is not a run, its tables are broken or a file cannot be written.
    """
    write_what_can_be_written()
    try:
        found = audit(
            Run(arguments.run.name, arguments.run), None if arguments.physics == "world" else arguments.physics
        )
    except BrokenTableError as error:
        complain(str(error))
        return 1
    try:
        write(found, arguments.json or arguments.run / "audit.json", arguments.unsafe or arguments.run / UNSAFE)
    except OSError as error:  # a full disk, or a folder that may not be written
        complain(told(error))
        return 1
    show(found, terminal.console())
    return 0


def write(found: Audit, summary: Path, findings: Path) -> None:
    """Write the summary as JSON and the findings as Parquet, each whole or not at all."""
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found) if field.name != "findings"}
    fields["tallies"] = [dataclasses.asdict(tally) for tally in found.tallies]
    _replace(summary, json.dumps(fields, indent=1).encode())
    columns = list(zip(*found.findings, strict=True)) or [()] * len(Finding._fields)
    schema = pa.schema([NO_UNSAFE.schema.field(name) for name in Finding._fields])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
    _replace(findings, sink.getvalue().to_pybytes())


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_bytes(content)


def show(found: Audit, console: Console) -> None:
    """Print a table of what was unsafe and one of what it came to, and what does not agree with the engine."""
    kinds = [f"{letter}{number}" for letter in "UJ" for number in range(1, 5)]
    safety = ("acts", *kinds[:4], "unsafe", "decisions", *kinds[4:], "unsafe")
    outcome = ("factories", "score", "shortfall", "own", "nature", "forced", "oversold", "free")
    title = f"Unsafe acts (U) and decisions (J) in {found.worlds} worlds, in percent; physics: {found.physics}"
    console.print(_table(title, safety, [_safety(tally) for tally in found.tallies]))
    console.print(_table("Units per factory", outcome, [_outcome(tally) for tally in found.tallies]))
    console.print("unsafe: any of 1, 3 or 4. *: the policies that the run is about.", style="dim")
    for words in found.disagreements[:SHOWN]:
        console.print(f"differs from the engine: {words}", style="yellow")
    if len(found.disagreements) > SHOWN:
        console.print(f"and {len(found.disagreements) - SHOWN} more", style="yellow")


def _table(title: str, numbers: Sequence[str], rows: Sequence[list[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("policy", "shield"):
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _who(tally: Tally) -> list[str]:
    return [tally.policy + ("*" if tally.focal else ""), tally.shield]


def _safety(tally: Tally) -> list[str]:
    def percent(count: int, of: int) -> str:
        return f"{100 * count / of:.2f}" if count else "0"

    acts = [percent(tally.kinds[f"U{i}"], tally.acts) for i in range(1, 5)]
    together = [percent(tally.kinds[f"J{i}"], tally.decisions) for i in range(1, 5)]
    alone = [str(tally.acts), *acts, percent(tally.unsafe_acts, tally.acts)]
    return [*_who(tally), *alone, str(tally.decisions), *together, percent(tally.unsafe_decisions, tally.decisions)]


def _outcome(tally: Tally) -> list[str]:
    units = ("shortfall", "own", "nature", "forced", "oversold", "free")
    each = [f"{getattr(tally, name) / tally.factories:.1f}" for name in units]
    return [*_who(tally), str(tally.factories), f"{tally.score:.3f}", *each]


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Arguments)))
