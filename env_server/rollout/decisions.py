"""Frames for agent services, and their answers checked and put in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import Leaf, leaves, ordered, to_proto
from agora.v1 import agent_pb2 as pb, policy_pb2, rollout_pb2
from env_server.environments.base import Array, Environment, Step, Values


@dataclass(frozen=True)
class Answer:
    """One agent's decisions for the n rows that awaited it.

    Attributes:
        action: leaves of the action, each (n, ...).
        log_prob: float32 (n,).
        memory: uint8 (n, memory_bytes).
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
    """What turns one agent's rows into a frame's part, and a frame's answer into checked arrays.

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

    def begin(self, part: pb.Observations, copies: NDArray[np.uint32], rows: NDArray[np.intp]) -> None:
        """Write what does not change from step to step into an empty part of a frame."""
        part.index = self.index
        part.copies = copies[rows].tobytes()
        part.policy.CopyFrom(self.policy)
        for leaf in self.observation_leaves:
            part.observation.append(to_tensor(np.empty((0, *leaf.shape), leaf.dtype)))
            part.observation[-1].shape[0] = len(rows)
        if self.exploration is not None:
            part.exploration.CopyFrom(self.exploration)
            if len(self.explores):
                part.exploration.rows = self.explores[rows].tobytes()

    def observe(self, part: pb.Observations, step: Step, rows: NDArray[np.intp]) -> None:
        """Write what this agent sees in ``rows`` now."""
        seen = step.observations[self.index]
        everyone = len(rows) == len(step.awaited)
        for tensor, leaf in zip(part.observation, self.observation_leaves, strict=True):
            values = seen[leaf.path] if everyone else seen[leaf.path][rows]
            if values.dtype != leaf.dtype or values.shape[1:] != leaf.shape:
                got = f"{values.dtype} {values.shape[1:]}"
                raise Refused(policy_pb2.REASON_SHAPE, leaf.path, f"{leaf.dtype} {leaf.shape}", got)
            tensor.data = values.tobytes()
        masks = step.action_masks.get(self.index)
        del part.action_mask[:]
        if masks:
            part.action_mask.extend(to_tensor(v[rows]) for v in ordered(masks, self.action_leaves))

    def answer(self, message: pb.Actions, rows: int) -> Answer:
        """Check and unpack what a service decided for ``rows`` rows.

        Raises:
            Refused: another agent's answer, or a leaf with a wrong dtype, shape, number or bounds.
        """
        name = f"agents[{self.index}]"
        if message.index != self.index:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, f"{name}.index", str(self.index), str(message.index))
        if len(message.action) != len(self.action_leaves):
            expected = f"{len(self.action_leaves)} leaves"
            raise Refused(policy_pb2.REASON_SHAPE, f"{name}.action", expected, f"{len(message.action)}")
        action = {}
        for number, (leaf, tensor) in enumerate(zip(self.action_leaves, message.action, strict=True)):
            values = from_tensor(tensor, f"{name}.action[{number}]")
            leaf.check(values, rows, f"{name}.action[{number}]")
            action[leaf.path] = values
        log_prob = from_tensor(message.log_prob, f"{name}.log_prob")
        if log_prob.dtype != np.float32 or log_prob.shape != (rows,):
            got = f"{log_prob.dtype} {list(log_prob.shape)}"
            raise Refused(policy_pb2.REASON_SHAPE, f"{name}.log_prob", f"float32 [{rows}]", got)
        if len(message.memory) % rows:
            got = f"{len(message.memory)} bytes"
            raise Refused(policy_pb2.REASON_SHAPE, f"{name}.memory", f"as many bytes for each of {rows} rows", got)
        memory = np.frombuffer(message.memory, np.uint8).reshape(rows, -1)
        version = (message.version.epoch, message.version.step)
        return Answer(action, log_prob, memory, message.policy_id, version)


def ports_for(
    environment: Environment,
    policies: dict[str, policy_pb2.PolicyReference],
    exploration: rollout_pb2.CollectExploration | None,
    copies: NDArray[np.uint32],
) -> list[AgentPort]:
    """One port per agent of the environment."""
    explore = None
    if exploration is not None:
        explore = pb.Exploration(noise_scale=exploration.noise_scale, temperature=exploration.temperature)
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
        bounded = np.isfinite(low) & np.isfinite(high)
        safe_low, safe_high = np.where(bounded, low, 0), np.where(bounded, high, 0)
        value = np.where(bounded, safe_low + (safe_high - safe_low) / 2, np.clip(0, low, high))
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
