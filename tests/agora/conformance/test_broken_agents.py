"""The suite passes a sound agent and names the defect of every broken one."""

import asyncio

import pytest

from agora.conformance.checking import check_agent
from agora.conformance.commands import CheckAgent
from agora.conformance.running import Verdict
from tests.support.broken.memory import Remembers
from tests.support.broken_agents import DEFECTS
from tests.support.sound_agent import Sound, serving


def failing(kind, pattern=""):
    async def main():
        async with serving(kind()) as address:
            report = await check_agent(CheckAgent(address, pattern=pattern, timeout=kind.patience))
        return {outcome.id: outcome for outcome in report.outcomes if outcome.verdict is Verdict.FAILED}

    return asyncio.run(main())


def test_a_sound_agent_passes():
    assert failing(Sound) == {}


def test_a_sound_agent_with_memory_passes():
    assert failing(Remembers) == {}


def found_in(kind):
    """What fails of the cases that must name a defect, and where it is narrow of all their topics."""
    patterns = set(kind.cases) if kind.wide else {case.partition(".")[0] + "." for case in kind.cases}
    found = {}
    for pattern in sorted(patterns):
        found |= failing(kind, pattern)
    return found


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_defect_is_named(name):
    kind = DEFECTS[name]
    found = found_in(kind)
    assert set(found) == set(kind.cases) or (kind.wide and set(found) > set(kind.cases))
    assert all(outcome.asked and outcome.expected and outcome.got for outcome in found.values())
