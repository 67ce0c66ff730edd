"""Agents as agent services know them, and their answers checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.reading import LeafReader
from agora.spaces import Leaf, leaves, to_proto
from agora.v1 import agent_pb2 as pb, policy_pb2, rollout_pb2
from env_server.environments.base import Array, Environment, Values

_MOST = np.finfo(np.float32).max
LOG_PROB = Leaf("log_prob", np.dtype(np.float32), (), np.asarray(-_MOST), np.asarray(_MOST))
NOTHING = np.zeros((0, 0), np.uint8)


@dataclass(slots=True)
class Answer:
    """One agent's decisions for the n rows that awaited it.

    Attributes:
        action: leaves of the action, each (n, ...).
        log_prob: float32 (n,).
        memory: uint8 (n, memory_bytes); empty without memory.
        policy_id: which policy acted.
        version: its (epoch, step).
    """

    action: Values
    log_prob: NDArray[np.float32]
    memory: NDArray[np.uint8]
    policy_id: str
    version: tuple[int, int]


@dataclass
class AgentPort:
    """One agent as a service is asked for it; turns a frame's answer into checked arrays.

    Attributes:
        index: the agent's number.
        observation_leaves, action_leaves: of its spaces.
        policy: which policy must act.
        exploration: how it explores; None is greedy.
        explores: uint8 (B,), copies in which it explores; empty means all.
    """

    index: int
    observation_leaves: tuple[Leaf, ...]
    action_leaves: tuple[Leaf, ...]
    policy: policy_pb2.PolicyReference
    exploration: pb.Exploration | None
    explores: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        name = f"agents[{self.index}]"
        self._readers = [
            (leaf.path, LeafReader(leaf, f"{name}.action[{i}]")) for i, leaf in enumerate(self.action_leaves)
        ]
        self._log_prob = LeafReader(LOG_PROB, f"{name}.log_prob")

    def answer(self, message: pb.Actions, rows: int) -> Answer:
        """Check and unpack what a service decided for ``rows`` rows.

        Raises:
            Refused: another agent's answer, or a leaf with a wrong dtype, shape, number or bounds.
        """
        sent, memory, version = message.action, message.memory, message.version
        if message.index != self.index:
            expected, got = str(self.index), str(message.index)
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, f"agents[{self.index}].index", expected, got)
        if len(sent) != len(self._readers):
            expected, got = f"{len(self._readers)} leaves", str(len(sent))
            raise Refused(policy_pb2.REASON_SHAPE, f"agents[{self.index}].action", expected, got)
        action = {path: reader.read(tensor, rows) for (path, reader), tensor in zip(self._readers, sent, strict=True)}
        log_prob = self._log_prob.read(message.log_prob, rows)
        if len(memory) % rows:
            expected, got = f"as many bytes for each of {rows} rows", f"{len(memory)} bytes"
            raise Refused(policy_pb2.REASON_SHAPE, f"agents[{self.index}].memory", expected, got)
        remembered = np.frombuffer(memory, np.uint8).reshape(rows, -1) if memory else NOTHING
        return Answer(action, log_prob, remembered, message.policy_id, (version.epoch, version.step))


def ports_for(
    environment: Environment,
    policies: dict[str, policy_pb2.PolicyReference],
    exploration: rollout_pb2.CollectExploration | None,
    copies: NDArray[np.uint32],
) -> list[AgentPort]:
    """One port per agent of the environment."""
    explore = None
    if exploration is not None:
        explore = pb.Exploration(
            noise_scale=exploration.noise_scale, temperature=exploration.temperature, epsilon=exploration.epsilon
        )
    agents = environment.agents
    ports = []
    for index, agent in enumerate(agents):
        seen, done = leaves(environment.observation_spaces[agent]), leaves(environment.action_spaces[agent])
        port = AgentPort(index, seen, done, policies[agent], explore)
        if exploration is not None and exploration.unilateral:
            port.explores = (copies % len(agents) == index).astype(np.uint8)
        ports.append(port)
    return ports


def middle(leaf: Leaf, rows: int) -> Array:
    """The action for an agent that has not acted yet, (rows, ...).

    It is the middle of finite bounds, else the lowest choice, or the point of open bounds that is nearest to 0.
    """
    low, high = np.broadcast_to(leaf.low, leaf.shape), np.broadcast_to(leaf.high, leaf.shape)
    if leaf.dtype.kind != "f":
        value = low
    else:
        most = np.finfo(leaf.dtype).max  # what stands for an open bound
        bounded = (low > -most) & (high < most)
        safe_low, safe_high = np.where(bounded, low, 0), np.where(bounded, high, 0)
        value = np.where(bounded, safe_low / 2 + safe_high / 2, np.clip(0, low, high))
    return np.broadcast_to(value.astype(leaf.dtype), (rows, *leaf.shape)).copy()


def agent_specs(environment: Environment, policies: dict[str, policy_pb2.PolicyReference]) -> Sequence[pb.AgentSpec]:
    """The environment's agents as messages."""
    return [
        pb.AgentSpec(
            index=index,
            id=agent,
            observation_space=to_proto(environment.observation_spaces[agent]),
            action_space=to_proto(environment.action_spaces[agent]),
            policy=policies.get(agent),
        )
        for index, agent in enumerate(environment.agents)
    ]
