"""Trajectories from any number of environment servers, each block learned from exactly once."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial

import grpc

from agora.channels import connect
from agora.errors import AgoraError, Refused, Unavailable, explain
from agora.v1 import environment_pb2, environment_pb2_grpc, policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc
from agora.waiting import waiting
from trainer.exploration import Explore
from trainer.segments import Segment
from trainer.spec import GameSpec

log = logging.getLogger(__name__)

Version = tuple[int, int]
RETRY_SECONDS = 0.2
LEAST_SECONDS = 2.0
"""Of the last try: with less it would find no more than that its time is up."""
QUIET_SECONDS = 30.0
"""How long a server may play before the log says what is waited for."""


class Collector:
    """Asks environment servers for blocks; what fails is asked for again, of whichever server is up."""

    def __init__(
        self,
        servers: Sequence[str],
        seats: Mapping[str, Sequence[str]],
        *,
        run: str,
        seed: int,
        deadline: float,
        patience: float,
        log: bool = True,
        outcomes_only: bool = False,
    ) -> None:
        """Nothing is dialled yet.

        Args:
            servers: addresses of environment servers, >= 1.
            seats: agent id to the addresses of its service's replicas.
            run: the run's name, for the log.
            seed: keys all randomness of the rollouts.
            deadline: seconds an agent service may take for one frame.
            patience: seconds to keep trying while processes are down.
            log: whether the servers log what is played.
            outcomes_only: whether segments come without leaves, where only what was earned matters.
        """
        self._servers = tuple(servers)
        self._seats = {agent: tuple(addresses) for agent, addresses in seats.items()}
        self._channels = [connect(address) for address in servers]
        self._run = run
        self._seed = seed
        self._deadline = deadline
        self._patience = patience
        self._log = log
        self._outcomes_only = outcomes_only

    async def describe(self, name: str, config_json: str) -> GameSpec:
        """The configured game, as its servers describe it.

        Raises:
            Refused: there is no such game, or the configuration is wrong.
            Unavailable: no server could be reached in time.
        """
        request = environment_pb2.DescribeEnvironmentRequest(
            environment=environment_pb2.EnvironmentSpec(name=name, config_json=config_json, num_envs=1)
        )
        give_up = time.monotonic() + self._patience
        for number in itertools.cycle(range(len(self._servers))):
            try:
                stub = environment_pb2_grpc.EnvironmentServiceStub(self._channels[number])
                left = max(give_up - time.monotonic(), LEAST_SECONDS)
                what = f"{self._servers[number]} to describe {name}, at most {left:.0f} s"
                async with waiting(partial(str, what), log.info):
                    return GameSpec.from_proto(name, await stub.DescribeEnvironment(request, timeout=left))
            except grpc.RpcError as error:
                await self._pause(explain(error, self._servers[number]), give_up)
        raise AssertionError("a cycle does not end")

    async def collect(
        self,
        spec: GameSpec,
        blocks: Sequence[int],
        num_envs: int,
        versions: Mapping[str, Version],
        explore: Explore | None,
        newest: bool = False,
    ) -> list[Segment]:
        """Play the blocks and return them in order, a large block in several segments.

        Args:
            spec: the game.
            blocks: numbers of the blocks, rising without gaps.
            num_envs: copies in each.
            versions: the policy version that must act, per agent that has versions.
            explore: how agents explore; None is greedy.
            newest: whether newer versions may act too, so that the newest does.

        Raises:
            Refused: the request is wrong, or an agent service refused to act.
            Unavailable: processes stayed down, and no block came, for longer than ``patience``.
        """
        done: dict[int, list[Segment]] = {}
        attempt, give_up = 0, math.inf
        while missing := [block for block in blocks if block not in done]:
            requests = [
                self._request(spec, share, num_envs, versions, explore, newest)
                for share in _shares(missing, len(self._servers))
            ]
            outcomes = await asyncio.gather(
                *(self._stream(request, spec, done, n + attempt) for n, request in enumerate(requests))
            )
            if any(block in done for block in missing) or give_up == math.inf:
                give_up = time.monotonic() + self._patience  # patience is for what is down, not for long games
            for failure in filter(None, outcomes):
                await self._pause(failure, give_up)
            attempt += 1
        return [segment for block in blocks for segment in done[block]]

    def _request(
        self,
        spec: GameSpec,
        blocks: Sequence[int],
        num_envs: int,
        versions: Mapping[str, Version],
        explore: Explore | None,
        newest: bool,
    ) -> pb.CollectRequest:
        request = pb.CollectRequest(
            run=self._run,
            environment=spec.environment(num_envs),
            seed=self._seed,
            first_block=blocks[0],
            num_blocks=len(blocks),
            deadline_us=int(self._deadline * 1e6),
            fallback=pb.FALLBACK_ABORT,
            log=self._log,
            outcomes_only=self._outcomes_only,
        )
        for agent in spec.agents:
            seat = request.seats.add(agent=agent, addresses=self._seats.get(agent, ()))
            if agent in versions:
                seat.policy.CopyFrom(_reference(agent, versions[agent], newest))
        if explore is not None:
            request.exploration.noise_scale = explore.noise_scale
            request.exploration.epsilon = explore.epsilon
            request.exploration.unilateral = explore.unilateral
        return request

    async def _stream(
        self, request: pb.CollectRequest, spec: GameSpec, done: dict[int, list[Segment]], server: int
    ) -> AgoraError | None:
        number = server % len(self._servers)
        try:
            stub = rollout_pb2_grpc.RolloutServiceStub(self._channels[number])
            parts: list[Segment] = []
            async with waiting(lambda: self._playing(request, done, number), log.info, first=QUIET_SECONDS):
                async for item in stub.Collect(request):
                    if item.WhichOneof("kind") == "segment":
                        parts.append(Segment.from_proto(item.segment, spec, self._outcomes_only))
                        if parts[-1].last:
                            done[parts[-1].block], parts = parts, []
        except grpc.RpcError as error:
            return explain(error, self._servers[number])
        return None

    def _playing(self, request: pb.CollectRequest, done: Mapping[int, list[Segment]], number: int) -> str:
        asked = range(request.first_block, request.first_block + request.num_blocks)
        missing = [block for block in asked if block not in done]
        return f"{self._servers[number]} to play {len(missing)} of {len(asked)} blocks of {request.environment.name}"

    async def _pause(self, failure: AgoraError, give_up: float) -> None:
        transient = isinstance(failure, Unavailable) or (isinstance(failure, Refused) and failure.retryable)
        if not transient or time.monotonic() > give_up:
            if isinstance(failure, Unavailable):
                raise Unavailable(failure.address, f"no answer for {self._patience:g} s: {failure.why}")
            raise failure
        log.warning("trying again: %s", failure)
        await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()


def _reference(agent: str, version: Version, newest: bool) -> policy_pb2.PolicyReference:
    wanted = policy_pb2.PolicyVersion(epoch=version[0], step=version[1])
    if newest:
        return policy_pb2.PolicyReference(policy_id=agent, min_version=wanted)
    return policy_pb2.PolicyReference(policy_id=agent, exact_version=wanted)


def _shares(blocks: Sequence[int], servers: int) -> list[list[int]]:
    """Split numbers into at most ``servers`` runs without gaps, alike in length."""
    runs: list[list[int]] = []
    size = -(-len(blocks) // servers)
    for block in blocks:
        if runs and runs[-1][-1] == block - 1 and len(runs[-1]) < size:
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs
