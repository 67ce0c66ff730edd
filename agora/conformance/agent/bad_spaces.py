"""Hellos with malformed spaces; cases of the topic *negotiation*."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import to_tensor
from agora.conformance.agent.negotiation import UNKNOWN_FIELD
from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import expect
from agora.conformance.refusals import expect_refusal
from agora.v1 import agent_pb2 as pb, policy_pb2, space_pb2

TOPIC = AgentTopic("negotiation")


def _spaces_case(name: str, asked: str, change: Callable[[pb.AgentSpec], None], side: str) -> None:
    async def check(agent: Agent) -> None:
        hello = agent.hello()
        change(hello.agents[0])
        talk = await agent.raw()
        refusal = await talk.refused(pb.ActRequest(hello=hello))
        expect_refusal(refusal, 0, None, None)
        expect(refusal.refusal.field.startswith(f"agents[0].{side}"), f"a field in agents[0].{side}", refusal.refusal)
        await talk.ended()

    TOPIC.add(name, asked, check)


def _no_observation(spec: pb.AgentSpec) -> None:
    spec.ClearField("observation_space")


def _no_kind(spec: pb.AgentSpec) -> None:
    spec.action_space.CopyFrom(space_pb2.Space())


def _later_kind(spec: pb.AgentSpec) -> None:
    spec.action_space.CopyFrom(space_pb2.Space.FromString(UNKNOWN_FIELD))


def _no_choices(spec: pb.AgentSpec) -> None:
    spec.action_space.CopyFrom(space_pb2.Space(discrete=space_pb2.DiscreteSpace(n=0)))


def _empty_element(spec: pb.AgentSpec) -> None:
    spec.action_space.CopyFrom(space_pb2.Space(multi_discrete=space_pb2.MultiDiscreteSpace(nvec=[3, 0])))


def _doubled_keys(spec: pb.AgentSpec) -> None:
    member = space_pb2.DictSpace.Member(key="a", space=space_pb2.Space(discrete=space_pb2.DiscreteSpace(n=2)))
    spec.observation_space.CopyFrom(space_pb2.Space(dict=space_pb2.DictSpace(members=[member, member])))


def _box(spec: pb.AgentSpec, low: np.ndarray, high: np.ndarray) -> None:
    box = space_pb2.BoxSpace(low=to_tensor(low), high=to_tensor(high))
    spec.observation_space.CopyFrom(space_pb2.Space(box=box))


def _uneven_box(spec: pb.AgentSpec) -> None:
    _box(spec, np.zeros(3, np.float32), np.ones(2, np.float32))


def _short_box(spec: pb.AgentSpec) -> None:
    _box(spec, np.zeros(3, np.float32), np.ones(3, np.float32))
    spec.observation_space.box.high.data = b"12345"


_spaces_case("observation_space_missing", "An agent that sees nothing is refused", _no_observation, "observation_space")
_spaces_case("space_without_kind", "A space without a kind is refused", _no_kind, "action_space")
_spaces_case("space_of_later_kind", "A kind of space from a later release is refused", _later_kind, "action_space")
_spaces_case("no_choices", "A Discrete space without choices is refused", _no_choices, "action_space")
_spaces_case("empty_element", "A MultiDiscrete element without choices is refused", _empty_element, "action_space")
_spaces_case("doubled_keys", "A Dict space with one key twice is refused", _doubled_keys, "observation_space")
_spaces_case("uneven_bounds", "Bounds of different shapes are refused", _uneven_box, "observation_space")
_spaces_case("short_bounds", "Bounds with missing bytes are refused", _short_box, "observation_space")


@TOPIC.case
async def other_spaces_are_refused_in_words(agent: Agent) -> None:
    """Spaces that the agent does not play are refused as SPEC_MISMATCH."""
    for refusal in agent.refusals.values():
        expect_refusal(refusal, 0, policy_pb2.REASON_SPEC_MISMATCH, None)


@TOPIC.case
async def one_refused_agent_refuses_the_hello(agent: Agent) -> None:
    """A hello whose second agent has a malformed space is refused, and names that agent."""
    hello = agent.hello({0: agent.home, 1: agent.home})
    hello.agents[1].ClearField("action_space")
    talk = await agent.raw()
    refusal = await talk.refused(pb.ActRequest(hello=hello))
    expect(refusal.refusal.field.startswith("agents[1]"), "a field in agents[1]", refusal.refusal.field)
