"""What an agent service does: it seats the agents of a hello at its policies and decides frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agora.agents import frames, metrics
from agora.agents.policy import Batch, Decide, Decision, Draws, Spaces
from agora.agents.sampling import Sampler
from agora.agents.trial import try_out
from agora.agents.versions import Held, Requirement, Shelf
from agora.codec import from_numbers
from agora.errors import Refused
from agora.reading import LeafReader
from agora.spaces import from_proto
from agora.v1 import agent_pb2 as pb, policy_pb2
from agora.version import PROTOCOL_VERSION, software

CAPABILITIES = (
    pb.CAPABILITY_ACTION_MASK,
    pb.CAPABILITY_MEMORY,
    pb.CAPABILITY_EXPLORATION,
    pb.CAPABILITY_EXACT_VERSION,
)


class Handler:
    """All streams of a service."""

    def __init__(self, shelves: Iterable[Shelf]) -> None:
        self.shelves: Mapping[str, Shelf] = {shelf.policy_id: shelf for shelf in shelves}
        self.frames = 0

    def shelf(self, policy_id: str) -> Shelf:
        """The versions of a policy; an empty id means the only one there is.

        Raises:
            Refused: REASON_UNKNOWN_POLICY.
        """
        if not policy_id and len(self.shelves) == 1:
            return next(iter(self.shelves.values()))
        found = self.shelves.get(policy_id)
        if found is None:
            expected = f"one of {', '.join(self.shelves)}"
            raise Refused(policy_pb2.REASON_UNKNOWN_POLICY, "policy.policy_id", expected, policy_id or "none")
        return found

    async def open(self, hello: pb.AgentHello) -> Stream:
        """Seat a hello's agents.

        Raises:
            Refused: no common protocol version, malformed spaces, doubled agents, or a policy that is not here or was
                made for other spaces.
        """
        if PROTOCOL_VERSION not in hello.protocol_versions:
            expected, got = f"{PROTOCOL_VERSION} among them", str(list(hello.protocol_versions))
            raise Refused(policy_pb2.REASON_PROTOCOL_VERSION, "protocol_versions", expected, got)
        if not hello.agents:
            raise Refused(policy_pb2.REASON_SHAPE, "agents", "at least one agent", "none")
        seats: dict[int, Seat] = {}
        for number, spec in enumerate(hello.agents):
            try:
                if spec.index in seats:
                    raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "index", "a number of its own", str(spec.index))
                seats[spec.index] = await self._seat(spec)
            except Refused as error:
                raise error.under(f"agents[{number}]") from error
        return Stream(self, hello, seats)

    async def _seat(self, spec: pb.AgentSpec) -> Seat:
        spaces = Spaces.of(
            from_proto(spec.observation_space, "observation_space"),
            from_proto(spec.action_space, "action_space"),
            spec.index,
            spec.id,
        )
        seat = Seat(spaces, self.shelf(spec.policy.policy_id))
        held = seat.shelf.find(Requirement.from_proto(spec.policy)) or seat.shelf.serving
        if held is not None:
            if held.spaces is None:
                seat.decide, seat.held = await try_out(held.policy, spaces, held.exact), held
            seat.memory_bytes = held.policy.memory_bytes
            seat.take(held)
        return seat

    def describe(self) -> pb.DescribeAgentsResponse:
        """What the service holds."""
        response = pb.DescribeAgentsResponse(software=software(), frames=self.frames)
        for shelf in self.shelves.values():
            for held in shelf.held():
                entry = response.policies.add(policy_id=shelf.policy_id, kind=shelf.kind, sha256=held.sha256)
                entry.version.epoch, entry.version.step = held.version
                entry.serving = held is shelf.serving
                if held.spec is not None:
                    entry.spec.CopyFrom(held.spec)
        return response


@dataclass
class Seat:
    """One agent of a stream: what its hello fixes, worked out once.

    Attributes:
        memory_bytes: what the welcome announced.
    """

    spaces: Spaces
    shelf: Shelf
    memory_bytes: int = 0
    held: Held | None = None
    decide: Decide | None = None
    readers: Sequence[LeafReader] = field(init=False)
    masks: Sequence[frames.MaskReader] = field(init=False)

    def __post_init__(self) -> None:
        self.readers = [LeafReader(leaf, f"observation[{i}]") for i, leaf in enumerate(self.spaces.observation)]
        self.masks = [frames.MaskReader(leaf) for leaf in self.spaces.action]
        self.sampler = Sampler(self.spaces.action)
        self.writer = frames.Writer(self.spaces.action)
        self._sent, self._copies = b"", np.zeros(0, np.uint32)

    def read_copies(self, sent: bytes) -> NDArray[np.uint32]:
        """The rows' copies, uint32 (n,); mostly those of the last frame.

        Raises:
            Refused: see ``frames.read_copies``.
        """
        if sent != self._sent:
            self._copies = frames.read_copies(sent)
            self._sent = sent
        return self._copies

    def take(self, held: Held) -> Decide:
        """Bind to a version; a frame that stays with the last one costs nothing here.

        Raises:
            Refused: it was made for other spaces, or needs more memory than the welcome announced.
        """
        if held is self.held and self.decide is not None:
            return self.decide
        if held.spaces is not None:
            held.spaces.check_same(self.spaces)
        if held.policy.memory_bytes != self.memory_bytes:
            expected, got = f"{self.memory_bytes} bytes as welcomed", f"{held.policy.memory_bytes}: open a new stream"
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "memory", expected, got)
        self.decide, self.held = held.policy.bind(self.spaces), held
        return self.decide


class Stream:
    """One stream: seats, and the capabilities that both sides named."""

    def __init__(self, handler: Handler, hello: pb.AgentHello, seats: dict[int, Seat]) -> None:
        self._handler, self._seats, self._seed = handler, seats, hello.seed
        self._shared = frozenset(hello.capabilities) & frozenset(CAPABILITIES)
        for seat in seats.values():
            if seat.memory_bytes:
                self._need(pb.CAPABILITY_MEMORY, "memory")
        for seat in seats.values():
            seat.shelf.seats.append(seat.spaces)

    def close(self) -> None:
        """Free the seats."""
        for seat in self._seats.values():
            seat.shelf.seats.remove(seat.spaces)

    def welcome(self) -> pb.AgentWelcome:
        """The answer to the hello."""
        return pb.AgentWelcome(
            protocol_version=PROTOCOL_VERSION,
            software=software(),
            capabilities=CAPABILITIES,
            memory_bytes=[seat.memory_bytes for seat in self._seats.values()],
        )

    async def decide(self, frame: pb.DecisionsRequest, into: pb.Decisions) -> None:
        """Decide for every row of a frame.

        Raises:
            Refused: something in the frame is wrong, or a version did not come in time; the field names where.
        """
        start = time.perf_counter()
        asked = frame.agents
        into.sequence = frame.sequence
        seats = self._take_seats(asked)
        chosen = self._choose(seats, asked) or await self._await_versions(seats, frame)
        decided: dict[str, int] = {}
        for number, (observations, seat, held) in enumerate(zip(asked, seats, chosen, strict=True)):
            try:
                rows = await self._act(frame, observations, seat, held, into.agents.add())
            except Refused as error:
                raise error.under(f"agents[{number}]") from error
            decided[seat[1].policy_id] = decided.get(seat[1].policy_id, 0) + rows
        for policy_id, rows in decided.items():
            self._handler.shelves[policy_id].rows.inc(rows)
        seconds = time.perf_counter() - start
        into.compute_us = int(seconds * 1e6)
        self._handler.frames += 1
        metrics.FRAMES.inc()
        metrics.SECONDS.observe(seconds)

    def _take_seats(self, asked: Sequence[pb.Observations]) -> list[tuple[Seat, Shelf]]:
        """Each agent's seat, and the versions of the policy that must act there."""
        taken = []
        for number, observations in enumerate(asked):
            seat, policy_id = self._seats.get(observations.index), observations.policy.policy_id
            if seat is None:
                expected, got = f"one of {list(self._seats)}", str(observations.index)
                raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, f"agents[{number}].index", expected, got)
            shelf = seat.shelf
            if policy_id and policy_id != shelf.policy_id:
                try:
                    shelf = self._handler.shelf(policy_id)
                except Refused as error:
                    raise error.under(f"agents[{number}]") from error
            taken.append((seat, shelf))
        return taken

    def _choose(self, seats: Sequence[tuple[Seat, Shelf]], asked: Sequence[pb.Observations]) -> list[Held]:
        """The version of every agent, or nothing if one is not here yet.

        No await lies between the first and the last look, so all rows of one policy get the same version.
        """
        chosen = []
        for (_, shelf), observations in zip(seats, asked, strict=True):
            held = shelf.find(Requirement.from_proto(observations.policy))
            if held is None:
                return []
            chosen.append(held)
        return chosen

    async def _await_versions(self, seats: Sequence[tuple[Seat, Shelf]], frame: pb.DecisionsRequest) -> list[Held]:
        """The versions, as soon as all are here; gives up so early that the caller still learns why."""
        seconds = frame.deadline_us * 1e-6
        until = time.monotonic() + seconds - min(0.1 * seconds, 0.05) if seconds else None
        while not (chosen := self._choose(seats, frame.agents)) and seats:
            for number, ((_, shelf), observations) in enumerate(zip(seats, frame.agents, strict=True)):
                left = None if until is None else until - time.monotonic()
                try:
                    await shelf.wait(Requirement.from_proto(observations.policy), left)
                except Refused as error:
                    raise error.under(f"agents[{number}]") from error
        return chosen

    async def _act(
        self,
        frame: pb.DecisionsRequest,
        observations: pb.Observations,
        place: tuple[Seat, Shelf],
        held: Held,
        into: pb.Actions,
    ) -> int:
        """Decide for one agent; how many rows that were."""
        seat, shelf = place
        copies = seat.read_copies(observations.copies)
        rows = len(copies)
        decide = seat.take(held)
        explore = frames.read_exploration(observations, rows)
        self._check_capabilities(observations, explore is not None)
        steps = from_numbers(observations.steps, "steps", rows) if observations.steps else None
        batch = Batch(
            frames.read_leaves(seat.readers, observations.observation, rows),
            frames.read_masks(seat.masks, observations.action_mask, rows),
            frames.read_memory(observations.memory, rows, held.policy.memory_bytes),
            Draws(self._seed, frame.block, observations.index, frame.step, copies, steps),
        )
        decision = decide(batch)
        if not isinstance(decision, Decision):
            decision = await decision
        actions, log_prob = seat.sampler.act(decision, batch, explore)
        into.index = observations.index
        into.policy_id = shelf.policy_id
        into.version.epoch, into.version.step = held.version
        seat.writer.write(into, actions, log_prob, decision.memory)
        return rows

    def _check_capabilities(self, observations: pb.Observations, explores: bool) -> None:
        if explores:
            self._need(pb.CAPABILITY_EXPLORATION, "exploration")
        if observations.action_mask:
            self._need(pb.CAPABILITY_ACTION_MASK, "action_mask")
        if observations.policy.HasField("exact_version"):
            self._need(pb.CAPABILITY_EXACT_VERSION, "policy.exact_version")

    def _need(self, capability: pb.Capability.ValueType, field_name: str) -> None:
        if capability not in self._shared:
            expected = f"{pb.Capability.Name(capability)} in the hello"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, field_name, expected, "not named there")
