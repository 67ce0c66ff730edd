"""One driver's stream: its requests answered in order, and the lease that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import numpy as np

from agora.codec import from_numbers, from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import Leaf, leaves, ordered, to_proto
from agora.v1 import environment_pb2 as pb, policy_pb2, tensor_pb2
from agora.version import PROTOCOL_VERSION
from env_server.environments import ENVIRONMENTS
from env_server.environments.base import Environment, PayoffEnvironment, Step, Values
from env_server.rollout.collect import Workshop
from env_server.rollout.decisions import agent_specs
from env_server.session import Session

PIPELINED = 16
"""Requests taken in ahead of the one that is being answered."""
DEADLINE_SECONDS = 5.0
LEASE_SECONDS = 60
MAX_LEASE_SECONDS = 3600
_ENDING: set[asyncio.Task[None]] = set()


class Connection:
    """One ``EnvironmentService.Connect``."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._session: Session | None = None
        self._lease = LEASE_SECONDS
        self._heard = time.monotonic()
        self._expired = False
        self._inbox: asyncio.Queue[pb.ConnectRequest | None] = asyncio.Queue(PIPELINED)

    async def answers(self, requests: AsyncIterator[pb.ConnectRequest]) -> AsyncIterator[pb.ConnectResponse]:
        """One response per request; a last one where the lease ended the session."""
        listener, self._watcher = asyncio.create_task(self._listen(requests)), asyncio.create_task(self._watch())
        try:
            while not self._expired and (request := await self._inbox.get()) is not None:
                self._heard = time.monotonic()
                response = await self._answer(request)
                if not self._expired:
                    yield response
            if self._expired:
                yield pb.ConnectResponse(refusal=self._lapsed().to_proto())
            elif listener.done():
                listener.result()
        finally:
            # gRPC may cancel a call more than once, and what is taken must be given back all the same.
            ending = asyncio.create_task(self._end(listener))
            _ENDING.add(ending)
            ending.add_done_callback(_ENDING.discard)
            await asyncio.shield(ending)

    async def _end(self, listener: asyncio.Task[None]) -> None:
        listener.cancel()
        if not self._expired:
            self._watcher.cancel()
        await asyncio.gather(listener, self._watcher, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _listen(self, requests: AsyncIterator[pb.ConnectRequest]) -> None:
        try:
            async for request in requests:
                self._heard = time.monotonic()
                await self._inbox.put(request)
        except Exception:  # bytes that are no message
            await self._inbox.put(None)
            raise
        await self._inbox.put(None)

    async def _watch(self) -> None:
        """End the session when its lease is over, even while a response waits for a driver that reads no more."""
        while (left := self._heard + self._lease - time.monotonic()) > 0:
            await asyncio.sleep(left)
        self._expired = True
        with contextlib.suppress(asyncio.QueueFull):
            self._inbox.put_nowait(None)
        if self._session is not None:
            await self._session.close()

    def _lapsed(self) -> Refused:
        expected = f"a request at least every {self._lease} s"
        return Refused(policy_pb2.REASON_LEASE, "session", expected, "nothing for longer: the session has ended")

    async def _answer(self, request: pb.ConnectRequest) -> pb.ConnectResponse:
        try:
            kind = request.WhichOneof("kind")
            if kind == "open" and self._session is None:
                return pb.ConnectResponse(opened=await self._open(request.open))
            if self._session is None or kind in ("open", None):
                expected = "open once, then reset, step and renew"
                raise Refused(policy_pb2.REASON_NOT_READY, "kind", expected, str(kind))
            if kind == "renew":
                return pb.ConnectResponse(renewed=pb.LeaseRenewed(lease_seconds=self._lease))
            step = await (
                _reset(self._session, request.reset) if kind == "reset" else _step(self._session, request.step)
            )
            return pb.ConnectResponse(transition=_transition(self._session, step))
        except Refused as refused:
            return pb.ConnectResponse(refusal=refused.to_proto())

    async def _open(self, request: pb.OpenEnvironment) -> pb.DescribeEnvironmentResponse:
        if PROTOCOL_VERSION not in request.protocol_versions:
            got = str(list(request.protocol_versions))
            raise Refused(policy_pb2.REASON_PROTOCOL_VERSION, "open.protocol_versions", f"[{PROTOCOL_VERSION}]", got)
        lease = request.lease_seconds or LEASE_SECONDS
        if lease > MAX_LEASE_SECONDS:
            expected = f"at most {MAX_LEASE_SECONDS}"
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "open.lease_seconds", expected, str(lease))
        timeout = request.deadline_us / 1e6 or DEADLINE_SECONDS
        self._session = await Session.open(self._workshop, request.environment, request.played, timeout)
        self._heard, self._lease = time.monotonic(), lease
        if not self._expired:
            self._watcher.cancel()
            self._watcher = asyncio.create_task(self._watch())
        return describe(self._session.environment)


def describe(environment: Environment) -> pb.DescribeEnvironmentResponse:
    """A built game as a message."""
    return pb.DescribeEnvironmentResponse(
        names=sorted(ENVIRONMENTS),
        agents=agent_specs(environment, {}),
        state_space=to_proto(environment.state_space),
        config_json=environment.config.model_dump_json(),
        config_schema_json=json.dumps(environment.Config.model_json_schema()),
        has_payoff=isinstance(environment, PayoffEnvironment),
        facts_json=json.dumps(environment.facts),
    )


async def _reset(session: Session, request: pb.ResetEnvironment) -> Step:
    rows = from_numbers(request.copies, "reset.copies").astype(np.intp)
    return await session.reset(request.seed, rows if len(rows) else None)


async def _step(session: Session, request: pb.StepEnvironment) -> Step:
    environment = session.environment
    if len(request.agents) != len(environment.agents):
        expected = f"{len(environment.agents)} agents"
        raise Refused(policy_pb2.REASON_SHAPE, "step.agents", expected, str(len(request.agents)))
    spaces = [environment.action_spaces[agent] for agent in environment.agents]
    said = zip(request.agents, spaces, strict=True)
    return await session.step([_action(i, part, leaves(space)) for i, (part, space) in enumerate(said)])


def _action(index: int, part: pb.StepEnvironment.AgentActions, members: tuple[Leaf, ...]) -> Values:
    field = f"agents[{index}].action"
    if part.action and len(part.action) != len(members):
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(members)} leaves", str(len(part.action)))
    arrays = [from_tensor(tensor, f"{field}[{number}]") for number, tensor in enumerate(part.action)]
    return {leaf.path: array for leaf, array in zip(members, arrays, strict=False)}


def _transition(session: Session, step: Step) -> pb.Transition:
    environment = session.environment
    views = [pb.Transition.AgentView() for _ in environment.agents]
    for i in session.driven:
        agent = environment.agents[i]
        views[i].observation.extend(_tensors(step.observations[i], leaves(environment.observation_spaces[agent])))
        if masks := step.action_masks.get(i):
            views[i].action_mask.extend(_tensors(masks, leaves(environment.action_spaces[agent])))
    return pb.Transition(
        agents=views,
        state=_tensors(step.state, leaves(environment.state_space)),
        rewards=to_tensor(step.rewards),
        terminated=to_tensor(step.terminated),
        truncated=to_tensor(step.truncated),
        awaited=to_tensor(step.awaited),
        alive=None if step.alive is None else to_tensor(step.alive),
    )


def _tensors(values: Values, members: tuple[Leaf, ...]) -> list[tensor_pb2.Tensor]:
    return [to_tensor(array) for array in ordered(values, members)]
