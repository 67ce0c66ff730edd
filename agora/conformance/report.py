"""What a suite found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from rich.markup import escape
from rich.table import Table

from agora import terminal
from agora.conformance.running import Outcome, Verdict

_WORDS = 400


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many cases ended how; every verdict is named."""
    found = Counter(outcome.verdict for outcome in outcomes)
    return {verdict.value: found[verdict] for verdict in Verdict}


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if no case failed, else 1."""
    return int(any(outcome.verdict is Verdict.FAILED for outcome in outcomes))


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line."""
    found = counts(outcomes)
    text = f"{found['passed']} passed, {found['failed']} failed, {found['not applicable']} not applicable"
    return f"{text}, {found['advice']} recommendations not followed" if found["advice"] else text


def as_json(title: str, notes: Sequence[str], outcomes: Sequence[Outcome]) -> str:
    """Everything as a JSON object."""
    cases = [asdict(outcome) for outcome in outcomes]
    return json.dumps({"checked": title, "notes": list(notes), "counts": counts(outcomes), "cases": cases}, indent=2)


def print_report(title: str, notes: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    """A table by topic, what was not asked and why, a line for every failed case, and the summary."""
    console = terminal.console()
    console.print(escape(title), soft_wrap=True)
    for note in notes:
        console.print(escape(f"  {note}"), soft_wrap=True)
    console.print(_table(outcomes))
    for text in not_asked(outcomes):
        console.print(escape(text), style="dim", soft_wrap=True)
    for verdict, style in ((Verdict.ADVICE, "yellow"), (Verdict.FAILED, "red")):
        for outcome in outcomes:
            if outcome.verdict is verdict:
                console.print(escape(line(outcome)), style=style, soft_wrap=True)
    console.print(summary(outcomes), style="bold")


def not_asked(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for every reason for which cases were not applicable."""
    left_out: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.verdict is Verdict.NOT_APPLICABLE:
            left_out.setdefault(outcome.expected, []).append(outcome.id)
    return [f"not applicable, {_short(why)}: {', '.join(ids)}" for why, ids in left_out.items()]


def line(outcome: Outcome) -> str:
    """A case that failed: what was asked, expected and got."""
    asked = f"{outcome.verdict}: {outcome.id}: {outcome.asked}"
    return f"{asked}: expected {_short(outcome.expected)}, got {_short(outcome.got)}"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WORDS else f"{words[:_WORDS]}…"


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("topic", box=None, padding=(0, 2))
    for verdict in Verdict:
        table.add_column(verdict.value, justify="right")
    table.add_column("seconds", justify="right")
    for topic, group in groupby(outcomes, lambda outcome: outcome.id.partition(".")[0]):
        of_topic = list(group)
        figures = [str(number or "") for number in counts(of_topic).values()]
        table.add_row(topic, *figures, f"{sum(outcome.seconds for outcome in of_topic):.2f}")
    return table
