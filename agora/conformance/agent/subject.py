"""The agent under test: which spaces it plays, what it can do, and streams to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agora.conformance.battery import Pair
from agora.conformance.case import Failed, NotApplicable, Topic, expect
from agora.conformance.doors import Door
from agora.conformance.talk import Talk
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, policy_pb2

SEED = 5
SILENCES = 3
"""After so many hellos without an answer no further spaces are tried."""
CAPABILITIES = (
    pb.CAPABILITY_ACTION_MASK,
    pb.CAPABILITY_MEMORY,
    pb.CAPABILITY_EXPLORATION,
    pb.CAPABILITY_EXACT_VERSION,
)


class Agent:
    """An agent under test.

    Attributes:
        door: how it is reached.
        policy_id: which of its policies is tried; empty for the one it acts by if nothing is said.
        patience: seconds to wait for each answer.
        accepted: the spaces it plays, by name.
        refusals: what it said to others.
    """

    def __init__(self, door: Door, policy_id: str, patience: float) -> None:
        self.door, self.policy_id, self.patience = door, policy_id, patience
        self.capabilities: frozenset[int] = frozenset()
        self.accepted: dict[str, Pair] = {}
        self.refusals: dict[str, pb.FrameRefusal] = {}
        self._talks: list[Talk] = []

    async def probe(self, pairs: Sequence[Pair]) -> None:
        """Find out which spaces it plays, and what it can do; an agent that does not answer is not asked for long."""
        silences = 0
        for pair in pairs:
            talk = await self.raw({0: pair})
            try:
                answer = await talk.ask(pb.ActRequest(hello=self.hello({0: pair})))
            except Failed:
                silences += 1
                if silences == SILENCES:
                    break
                continue
            if answer.WhichOneof("kind") == "welcome":
                self.accepted[pair.name] = pair
                self.capabilities = frozenset(answer.welcome.capabilities)
            else:
                self.refusals[pair.name] = answer.refusal
            talk.hang_up()

    @property
    def home(self) -> Pair:
        """The first spaces that it plays.

        Raises:
            Failed: it plays none of those that were tried.
        """
        for pair in self.accepted.values():
            return pair
        raise Failed("an agent that plays some of the spaces tried", "none was welcomed")

    def pair_where(self, holds: Callable[[Pair], bool], what: str) -> Pair:
        """The first spaces it plays for which something holds.

        Raises:
            NotApplicable: there are none.
        """
        for pair in self.accepted.values():
            if holds(pair):
                return pair
        raise NotApplicable(f"it plays no spaces with {what}")

    def need(self, capability: pb.Capability.ValueType) -> None:
        """Skip the case unless the agent names a capability.

        Raises:
            NotApplicable: it does not.
        """
        if capability not in self.capabilities:
            raise NotApplicable(f"it does not name {pb.Capability.Name(capability)}")

    def hello(self, pairs: Mapping[int, Pair] | None = None, *, seed: int = SEED) -> pb.AgentHello:
        """A good hello."""
        seats = {0: self.home} if pairs is None else pairs
        return pb.AgentHello(
            protocol_versions=[1],
            software="agora conformance",
            capabilities=CAPABILITIES,
            environment="conformance",
            seed=seed,
            agents=[pair.spec(index, self.policy_id) for index, pair in seats.items()],
        )

    async def raw(self, pairs: Mapping[int, Pair] | None = None) -> Talk:
        """A stream on which nothing was said yet."""
        talk = Talk(await self.door.stream(), {0: self.home} if pairs is None else pairs, self.patience)
        self._talks.append(talk)
        return talk

    async def open(self, *pairs: Pair, numbers: Sequence[int] | None = None, seed: int = SEED) -> Talk:
        """A stream after its welcome, with an agent for each of ``pairs``."""
        seats = dict(zip(numbers or range(len(pairs) or 1), pairs or (self.home,), strict=True))
        talk = await self.raw(seats)
        answer = await talk.ask(pb.ActRequest(hello=self.hello(seats, seed=seed)))
        expect(answer.WhichOneof("kind") == "welcome", "a welcome", answer.refusal.refusal.message)
        talk.welcome.CopyFrom(answer.welcome)
        return talk

    async def crowd(self, numbers: Sequence[int]) -> Talk:
        """A stream with an agent of the first spaces for each of ``numbers``.

        Raises:
            NotApplicable: the agent plays a game that does not have agents of such numbers.
        """
        seats = dict.fromkeys(numbers, self.home)
        talk = await self.raw(seats)
        answer = await talk.ask(pb.ActRequest(hello=self.hello(seats)))
        if answer.refusal.refusal.reason == policy_pb2.REASON_SPEC_MISMATCH:
            raise NotApplicable("its game has no agents of such numbers")
        expect(answer.WhichOneof("kind") == "welcome", "a welcome", answer.refusal.refusal.message)
        return talk

    async def rest(self) -> None:
        """Hang up all streams that are still open."""
        while self._talks:
            self._talks.pop().hang_up()


AgentTopic = Topic[Agent]


def some_leaf(members: Sequence[Leaf], holds: Callable[[Leaf], bool]) -> int:
    """The number of the first leaf for which something holds, -1 if there is none."""
    return next((number for number, leaf in enumerate(members) if holds(leaf)), -1)
