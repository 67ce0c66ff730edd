"""The answers to one frame, checked: agents that are alike at once, others one by one."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._alike = _Alike(ports, rows[0]) if _are_alike(ports, rows) else None

    def read(self, reply: pb.Decisions) -> list[Answer | Refused]:
        """One outcome for each agent.

        Raises:
            Refused: it answers for another number of agents.
        """
        messages = reply.agents
        if len(messages) != len(self._ports):
            expected, got = f"{len(self._ports)} answers", f"{len(messages)} answers"
            raise Refused(policy_pb2.REASON_SHAPE, "agents", expected, got)
        if self._alike is not None and (answers := self._alike.read(messages)):
            return answers
        return [
            _outcome(port, message, rows) for port, message, rows in zip(self._ports, messages, self._rows, strict=True)
        ]


def _outcome(port: AgentPort, message: pb.Actions, rows: int) -> Answer | Refused:
    try:
        return port.answer(message, rows)
    except Refused as refused:
        return refused


def _are_alike(ports: Sequence[AgentPort], rows: Sequence[int]) -> bool:
    """Whether all answer with one tensor of one kind, and as many rows."""
    if len(ports) < 2 or len(set(rows)) > 1 or any(len(port.action_leaves) != 1 for port in ports):
        return False
    first, *others = (port.action_leaves[0] for port in ports)
    size = len(ports) * rows[0] * first.dtype.itemsize * int(np.prod(first.shape, dtype=np.int64))
    return size <= _SMALL and all(_same(first, other) for other in others)


def _same(one: Leaf, other: Leaf) -> bool:
    kinds = [(leaf.path, leaf.dtype, leaf.shape) for leaf in (one, other)]
    return kinds[0] == kinds[1] and np.array_equal(one.low, other.low) and np.array_equal(one.high, other.high)


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
