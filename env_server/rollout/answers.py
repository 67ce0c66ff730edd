"""The answers to one frame, checked: agents that are alike at once, others one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.codec import to_tensor
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2
from env_server.rollout.decisions import LOG_PROB, NOTHING, AgentPort, Answer

_SMALL = 65_536
"""Bytes up to which copying all agents' answers into one array is cheaper than looking at each."""


class AnswerReader:
    """Reads the answers of some agents, so many rows each."""

    def __init__(self, ports: Sequence[AgentPort], rows: Sequence[int]) -> None:
        self._ports, self._rows = ports, rows
        self._groups = [
            (places, _Alike([ports[place] for place in places], rows[places[0]])) for places in _groups(ports, rows)
        ]

    def read(self, reply: pb.Decisions) -> list[Answer | Refused]:
        """One outcome for each agent.

        Raises:
            Refused: it answers for another number of agents.
        """
        messages = list(reply.agents)
        if len(messages) != len(self._ports):
            expected, got = f"{len(self._ports)} answers", f"{len(messages)} answers"
            raise Refused(policy_pb2.REASON_SHAPE, "agents", expected, got)
        read: dict[int, Answer | Refused] = {}
        for places, alike in self._groups:
            read.update(zip(places, alike.read([messages[place] for place in places]), strict=False))
        return [
            read[place] if place in read else _outcome(port, messages[place], self._rows[place])
            for place, port in enumerate(self._ports)
        ]


def _outcome(port: AgentPort, message: pb.Actions, rows: int) -> Answer | Refused:
    try:
        return port.answer(message, rows)
    except Refused as refused:
        return refused


def _groups(ports: Sequence[AgentPort], rows: Sequence[int]) -> list[list[int]]:
    """Places of agents that answer with one tensor of one kind, and as many rows; only where they are several."""
    groups: list[list[int]] = []
    for place, port in enumerate(ports):
        if len(port.action_leaves) != 1:
            continue
        for group in groups:
            if rows[place] == rows[group[0]] and _same(port, ports[group[0]]):
                group.append(place)
                break
        else:
            groups.append([place])
    return [group for group in groups if len(group) > 1 and _small(ports[group[0]], len(group) * rows[group[0]])]


def _small(port: AgentPort, rows: int) -> bool:
    leaf = port.action_leaves[0]
    return rows * leaf.dtype.itemsize * int(np.prod(leaf.shape, dtype=np.int64)) <= _SMALL


def _same(one: AgentPort, other: AgentPort) -> bool:
    first, second = one.action_leaves[0], other.action_leaves[0]
    kinds = [(leaf.path, leaf.dtype, leaf.shape) for leaf in (first, second)]
    return kinds[0] == kinds[1] and np.array_equal(first.low, second.low) and np.array_equal(first.high, second.high)


class _Alike:
    """Reads answers that are as usual; leaves it to the agents' own ports to say what is wrong with others."""

    def __init__(self, ports: Sequence[AgentPort], rows: int) -> None:
        self._indices = [port.index for port in ports]
        self._path = ports[0].action_leaves[0].path
        self._actions = _Same(ports[0].action_leaves[0], rows, len(ports))
        self._log_probs = _Same(LOG_PROB, rows, len(ports))

    def read(self, messages: Sequence[pb.Actions]) -> list[Answer | Refused]:
        """All answers; none if anything is unusual."""
        tensors = []
        for index, message in zip(self._indices, messages, strict=True):
            sent = message.action
            if message.index != index or len(sent) != 1 or message.memory:
                return []
            tensors.append(sent[0])
        actions = self._actions.read(tensors)
        log_probs = self._log_probs.read([message.log_prob for message in messages])
        if actions is None or log_probs is None:
            return []
        return [
            Answer({self._path: action}, log_prob, NOTHING, message.policy_id, (version.epoch, version.step))
            for message, version, action, log_prob in zip(
                messages, (message.version for message in messages), actions, log_probs, strict=True
            )
        ]


class _Same:
    """Reads equal tensors, one for each agent."""

    def __init__(self, leaf: Leaf, rows: int, agents: int) -> None:
        self._leaf = leaf
        if leaf.low.ndim or leaf.high.ndim:  # Bounds of the values' own shape are compared in half of the time.
            low, high = (np.broadcast_to(bound, (rows, *leaf.shape)).copy() for bound in (leaf.low, leaf.high))
            self._leaf = replace(leaf, low=low, high=high)
        self._type = to_tensor(np.empty(0, leaf.dtype)).data_type
        self._shape = [rows, *leaf.shape]
        self._bytes = rows * leaf.dtype.itemsize * int(np.prod(leaf.shape, dtype=np.int64))
        self._all = (agents, *self._shape)

    def read(self, tensors: Sequence[tensor_pb2.Tensor]) -> NDArray[Any] | None:
        """Values (agents, rows, ...); None if one of them is not what it should be."""
        parts = []
        for tensor in tensors:
            part = tensor.data
            if tensor.data_type != self._type or len(part) != self._bytes or tensor.shape != self._shape:
                return None
            parts.append(part)
        values = np.frombuffer(b"".join(parts), self._leaf.dtype).reshape(self._all)
        return values if self._leaf.holds(values) else None
