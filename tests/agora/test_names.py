"""Ids of agents and policies."""

import pytest

from agora.errors import Refused
from agora.names import check_agent_ids, check_policy_id


@pytest.mark.parametrize("agent", ["a", "0", "_", "A-1_b", "a" * 64])
def test_plain_ids_pass(agent):
    check_agent_ids([agent], "agents")
    check_policy_id(agent)


@pytest.mark.parametrize("agent", ["", "-a", "a.b", "a/b", "a b", "a\n", "ä", "a" * 65, "state", "info", 3, None])
def test_others_are_refused_by_place(agent):
    with pytest.raises(Refused, match=r"agents\[1\]: expected 1 to 64"):
        check_agent_ids(["fine", agent], "agents")


def test_twins_and_nobody_are_refused():
    with pytest.raises(Refused, match="every id once, got b more than once"):
        check_agent_ids(["a", "b", "b"], "agents")
    with pytest.raises(Refused, match="at least one agent"):
        check_agent_ids([], "agents")


def test_policies_may_have_dots_inside():
    check_policy_id("a.b-1_" + "c" * 122)
    for policy in (".", "..", ".a", "-a", "a/b", "", "a" * 129, "a\n"):
        with pytest.raises(Refused, match="1 to 128"):
            check_policy_id(policy)
