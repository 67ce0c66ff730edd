"""What was skipped for want of a tool is told at the end of a run; where CI is set it is a failure."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.support.tools import NEEDS

_SKIPPED = "Skipped: "


def _wanted(report):
    """Why a report's test was skipped for want of a tool; empty if it was not."""
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return ""
    why = str(report.longrepr[2]).removeprefix(_SKIPPED)
    return why if why.startswith(NEEDS) else ""


def _insist(report):
    if os.environ.get("CI") and (why := _wanted(report)):
        report.outcome, report.longrepr = "failed", f"CI is set, so nothing is skipped for want of a tool: {why}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    return _insist((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    return _insist((yield))


def pytest_terminal_summary(terminalreporter):
    """In the process that the user sees; workers of xdist hand it their reports."""
    skipped = Counter(why for report in terminalreporter.stats.get("skipped", []) if (why := _wanted(report)))
    if not skipped:
        return
    terminalreporter.section("not tested, for want of a tool", yellow=True)
    for why, count in sorted(skipped.items()):
        tool, _, command = why.removeprefix(NEEDS).partition(": ")
        terminalreporter.write_line(f"{tool}: {count} skipped (a module counts once); {command}")
    terminalreporter.write_line("All of them: make tools", bold=True)
