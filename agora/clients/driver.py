"""A session at an environment server, for code without an event loop."""

from __future__ import annotations

import os
import queue
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import grpc
import numpy as np
from numpy.typing import NDArray

from agora.channels import connect_blocking
from agora.clients.given import Seats, as_copies, as_json, as_seats, check_patience
from agora.clients.values import Array
from agora.codec import from_tensor, to_tensor
from agora.errors import AgoraError, Refused, Unavailable, explain
from agora.spaces import from_proto, leaves
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2, seat_pb2, tensor_pb2
from agora.version import PROTOCOL_VERSION

ALL_OTHERS = "*"
MAX_SEED = 2**63
FAREWELL_SECONDS = 1.0
"""How long a closed session's threads may take to end; they have nothing to wait for."""


class Options(TypedDict, total=False):
    """How patient a client is.

    Attributes:
        timeout: seconds that any answer of the server may take; 60 if not given.
        deadline: seconds that an agent service may take for an answer; 5 if not given.
        lease: seconds after which the server gives up a client that is dead or frozen; 60 if not given.
    """

    timeout: float
    deadline: float
    lease: int


@dataclass(frozen=True)
class Shown:
    """What B copies show to a driver; columns are the agents that it drives, in their order.

    Attributes:
        observations: per driven agent, the leaves (B, ...).
        masks: per driven agent, the leaves of its legal-action mask (None: no restriction); none where all is legal.
        state: leaves (B, ...).
        rewards: float64 (B, D).
        terminated, truncated, awaited, alive: bool (B, D).
    """

    observations: list[list[Array]]
    masks: list[list[Array | None]]
    state: list[Array]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    awaited: NDArray[np.bool_]
    alive: NDArray[np.bool_]


class Driver:
    """Opens a session, renews its lease while the process runs, and ends it with ``close`` or when it is forgotten.

    Attributes:
        address: of the server.
        name: of the environment.
        num_envs: copies.
        agents: ids of those that this driver acts for.
        observation_spaces, action_spaces: per driven agent.
        action_leaves: leaves of their actions.
        state_space: of the global state.
    """

    def __init__(
        self,
        address: str,
        environment: str,
        config: Mapping[str, Any] | None,
        seats: Seats | None,
        *,
        num_envs: int = 1,
        agent: str | None = None,
        timeout: float = 60.0,
        deadline: float = 5.0,
        lease: int = 60,
    ) -> None:
        """Open the session.

        Args:
            address: of the server.
            environment: its name there.
            config: its configuration.
            seats: agents that services play.
            num_envs: copies stepped together.
            agent: the only one that this driver acts for; without it, all that have no seat.
            timeout: see ``Options``.
            deadline: see ``Options``.
            lease: see ``Options``.

        Raises:
            Refused: something given is wrong, or the server is full.
            Unavailable: nobody answers at the address.
        """
        check_patience(timeout=timeout, deadline=deadline, lease=lease)
        config_json, seats = as_json(config), as_seats(seats)
        self.address, self.name, self.num_envs = address, environment, as_copies(num_envs)
        self._timeout = timeout
        self._before: NDArray[np.float64] = np.zeros((self.num_envs, 0))
        spec = pb.EnvironmentSpec(name=environment, config_json=config_json, num_envs=self.num_envs)
        self._wires = _Wires(address, lease / 3)
        self._finalizer = weakref.finalize(self, self._wires.close)
        try:
            played = self._seats(spec, seats, agent)
            opening = pb.OpenEnvironment(environment=spec, protocol_versions=[PROTOCOL_VERSION], lease_seconds=lease)
            opening.deadline_us = int(deadline * 1e6)
            opening.played.extend(seat_pb2.Seat(agent=agent, addresses=dialled) for agent, dialled in played.items())
            self._opened(self._ask(pb.ConnectRequest(open=opening)).opened, played)
        except AgoraError:
            self.close()
            raise

    def _seats(self, spec: pb.EnvironmentSpec, played: dict[str, list[str]], agent: str | None) -> dict[str, list[str]]:
        """Every played agent's addresses."""
        if agent is None and ALL_OTHERS not in played:
            return played
        everyone = self._wires.agents(spec, self._timeout)
        if agent is not None and agent not in everyone:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "agent", f"one of {everyone}", repr(agent))
        if agent in played:
            raise Refused(
                policy_pb2.REASON_UNKNOWN_AGENT, f"seats.{agent}", "nobody: the driver is this agent", "a seat"
            )
        others = played.pop(ALL_OTHERS, None)
        free = [who for who in everyone if who != agent and who not in played]
        if free and others is None:
            raise Refused(
                policy_pb2.REASON_UNKNOWN_AGENT, "seats", f'seats for {free}, or for "*"', f"{sorted(played)}"
            )
        return played | {who: others for who in free if others is not None}

    def _opened(self, told: pb.DescribeEnvironmentResponse, played: Mapping[str, Sequence[str]]) -> None:
        self._wires.renewing.set()
        driven = [agent for agent in told.agents if agent.id not in played]
        self._columns = [agent.index for agent in driven]
        self._count = len(told.agents)
        self.agents = [agent.id for agent in driven]
        self.observation_spaces = {agent.id: from_proto(agent.observation_space) for agent in driven}
        self.action_spaces = {agent.id: from_proto(agent.action_space) for agent in driven}
        self.action_leaves = {agent: leaves(space) for agent, space in self.action_spaces.items()}
        self.state_space = from_proto(told.state_space)

    def reset(self, seed: int, copies: NDArray[np.intp] | None = None) -> Shown:
        """Start new episodes, in all copies or in some.

        Raises:
            Refused: a wrong seed, copies that cannot start alone (UNSUPPORTED), a service that failed, or LEASE.
            Unavailable: the server is gone or hangs.
        """
        if not 0 <= seed < MAX_SEED:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "seed", "0 or more, below 2**63", str(seed))
        request = pb.ConnectRequest(reset=pb.ResetEnvironment(seed=seed))
        if copies is not None:
            request.reset.copies = copies.astype("<u4").tobytes()
        shown = self._shown(self._ask(request).transition)
        # What is earned before the first decision has no other place than the first step.
        self._before = shown.rewards
        return shown

    def step(self, actions: Mapping[str, Sequence[Array]]) -> Shown:
        """Act for the agents that are awaited.

        Args:
            actions: per agent, the leaves of its action, (B, ...).

        Raises:
            Refused: an action is wrong, the episodes are over, a service failed (retryable), or LEASE.
            Unavailable: the server is gone or hangs.
        """
        said = [pb.StepEnvironment.AgentActions() for _ in range(self._count)]
        for agent, column in zip(self.agents, self._columns, strict=True):
            said[column].action.extend(to_tensor(array) for array in actions.get(agent, ()))
        shown = self._shown(self._ask(pb.ConnectRequest(step=pb.StepEnvironment(agents=said))).transition)
        before, self._before = self._before, np.zeros_like(shown.rewards)
        return replace(shown, rewards=shown.rewards + before)

    def _ask(self, request: pb.ConnectRequest) -> pb.ConnectResponse:
        answer = self._wires.ask(request, self._timeout)
        if isinstance(answer, AgoraError):
            self.close()
            raise answer
        if answer.WhichOneof("kind") == "refusal":
            raise Refused.from_proto(answer.refusal)
        return answer

    def _shown(self, told: pb.Transition) -> Shown:
        views = [told.agents[column] for column in self._columns]
        tables = (told.rewards, told.terminated, told.truncated, told.awaited, told.alive)
        return Shown(
            [[from_tensor(tensor) for tensor in view.observation] for view in views],
            [[_mask(tensor) for tensor in view.action_mask] for view in views],
            [from_tensor(tensor) for tensor in told.state],
            *(from_tensor(table)[:, self._columns] for table in tables),
        )

    def close(self) -> None:
        """End the session; idempotent."""
        self._finalizer()


def _mask(tensor: tensor_pb2.Tensor) -> Array | None:
    return from_tensor(tensor) if tensor.data_type else None


class _Wires:
    """The stream and its threads. They do not know the driver, so that it can be forgotten while they run."""

    def __init__(self, address: str, every: float) -> None:
        self._address, self._process = address, os.getpid()
        self._outbox: queue.SimpleQueue[pb.ConnectRequest | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[pb.ConnectResponse | AgoraError] = queue.SimpleQueue()
        self._end: AgoraError | None = None
        self.renewing = threading.Event()
        self._channel = connect_blocking(address)
        self._stub = environment_pb2_grpc.EnvironmentServiceStub(self._channel)
        reader = threading.Thread(target=lambda: _responses(self._call, self._inbox, address), daemon=True)
        self._threads, self._ended = [reader], threading.Event()
        self._call = self._stub.Connect(_requests(self._outbox, self.renewing, every, self._threads))
        if not self._call.add_callback(self._ends):
            self._ended.set()
        reader.start()

    def _ends(self) -> None:
        """Called by gRPC's own thread, the last one to touch the call."""
        self._threads.append(threading.current_thread())
        self._ended.set()

    def agents(self, spec: pb.EnvironmentSpec, timeout: float) -> list[str]:
        """Ids of all agents of an environment."""
        try:
            request = pb.DescribeEnvironmentRequest(environment=spec)
            return [agent.id for agent in self._stub.DescribeEnvironment(request, timeout=timeout).agents]
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Unavailable(self._address, f"no description of {spec.name} within {timeout:g} s") from error
            raise explain(error, self._address) from error

    def ask(self, request: pb.ConnectRequest, timeout: float) -> pb.ConnectResponse | AgoraError:
        """The answer to a request; an error once the stream has ended."""
        if os.getpid() != self._process:  # gRPC's threads do not live in a forked child
            return Unavailable(self._address, "this session is another process's; open one in each process")
        if self._end is None:
            self._outbox.put(request)
            try:
                answer = self._inbox.get(timeout=timeout)
            except queue.Empty:
                answer = Unavailable(self._address, f"no answer within {timeout:g} s")
            if not isinstance(answer, AgoraError):
                return answer
            self._end = answer
        return self._end

    def close(self) -> None:
        """End the stream and the channel."""
        self._end = self._end or Unavailable(self._address, "the client was closed")
        if os.getpid() != self._process:
            return  # a forked child has a copy of the parent's session, and no say in it
        self._outbox.put(None)
        self._call.cancel()
        self._join()
        self._channel.close()

    def _join(self) -> None:
        """Wait for the threads: what dies with the interpreter may hold a lock that ``__del__`` of the call takes."""
        self._ended.wait(FAREWELL_SECONDS)
        for thread in set(self._threads) - {threading.current_thread()}:
            thread.join(FAREWELL_SECONDS)


def _requests(
    outbox: queue.SimpleQueue[pb.ConnectRequest | None],
    renewing: threading.Event,
    every: float,
    threads: list[threading.Thread],
) -> Iterator[pb.ConnectRequest]:
    """What is said, and when nothing was said for ``every`` seconds, that the lease be renewed.

    gRPC asks for it in a thread of its own, which is added to ``threads``.
    """
    threads.append(threading.current_thread())
    while True:
        try:
            request = outbox.get(timeout=every)
        except queue.Empty:
            if not renewing.is_set():
                continue
            request = pb.ConnectRequest(renew=pb.RenewLease())
        if request is None:
            return
        yield request


def _responses(
    call: Iterator[pb.ConnectResponse], inbox: queue.SimpleQueue[pb.ConnectResponse | AgoraError], address: str
) -> None:
    try:
        for response in call:
            if response.WhichOneof("kind") == "refusal" and response.refusal.reason == policy_pb2.REASON_LEASE:
                inbox.put(Refused.from_proto(response.refusal))
            elif response.WhichOneof("kind") != "renewed":
                inbox.put(response)
        inbox.put(Unavailable(address, "closed the stream"))
    except grpc.RpcError as error:
        inbox.put(explain(error, address))
