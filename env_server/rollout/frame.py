"""One frame of decisions on its way out: what every step repeats is encoded once, arrays are copied once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.spaces import ordered
from agora.v1 import agent_pb2 as pb, policy_pb2
from agora.wire import opening, tensor_opening
from env_server.environments.base import Array, Step
from env_server.rollout.decisions import AgentPort

Part = pb.Observations
Chunk = bytes | memoryview


class FramePart:
    """What is asked for one agent, in n rows."""

    def __init__(self, port: AgentPort, copies: NDArray[np.uint32], rows: NDArray[np.intp]) -> None:
        self._port, self._rows = port, rows
        self._everyone = len(rows) == len(copies)
        part = Part(index=port.index, copies=copies[rows].tobytes(), policy=port.policy)
        if port.exploration is not None:
            part.exploration.CopyFrom(port.exploration)
            if len(port.explores):
                part.exploration.rows = port.explores[rows].tobytes()
        self._head = part.SerializeToString()
        shapes = [(len(rows), *leaf.shape) for leaf in port.observation_leaves]
        self._leaves = [
            (leaf.path, leaf.dtype, shape, tensor_opening(Part.OBSERVATION_FIELD_NUMBER, leaf.dtype, shape))
            for leaf, shape in zip(port.observation_leaves, shapes, strict=True)
        ]
        self._length = len(self._head) + sum(
            len(before) + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            for _, dtype, shape, before in self._leaves
        )
        self._opening = opening(pb.DecisionsRequest.AGENTS_FIELD_NUMBER, self._length)

    def write(self, chunks: list[Chunk], step: Step, memory: Array | None, steps: Array | None) -> int:
        """Append what the agent sees now; returns the number of bytes.

        Args:
            chunks: where to.
            step: what all copies show.
            memory: uint8 (n, memory_bytes), or None.
            steps: uint32 (n,), each row's own step, or None.

        Raises:
            Refused: the environment shows something else than its space says.
        """
        more = self._rare(memory, steps)
        masks = self._masks(step)
        length = self._length + len(more) + sum(map(len, masks))
        before = opening(pb.DecisionsRequest.AGENTS_FIELD_NUMBER, length) if more or masks else self._opening
        chunks += (before, self._head, more, *masks)
        seen = step.observations[self._port.index]
        for path, dtype, shape, leaf_opening in self._leaves:
            values = seen[path] if self._everyone else seen[path][self._rows]
            if values.dtype != dtype or values.shape != shape:
                expected, got = f"{dtype} {shape}", f"{values.dtype} {values.shape}"
                raise Refused(policy_pb2.REASON_SHAPE, path, expected, got)
            chunks += (leaf_opening, np.ascontiguousarray(values).data)
        return len(before) + length

    def _masks(self, step: Step) -> list[Chunk]:
        """The legal choices, where the game says them."""
        chunks: list[Chunk] = []
        if masks := step.action_masks.get(self._port.index):
            for mask in ordered(masks, self._port.action_leaves):
                values = np.ascontiguousarray(mask if self._everyone else mask[self._rows])
                chunks += (_mask_opening(values.dtype, values.shape), values.data.cast("B"))
        return chunks

    def _rare(self, memory: Array | None, steps: Array | None) -> bytes:
        """The fields that most games and policies do without."""
        if memory is None and steps is None:
            return b""
        part = Part()
        if memory is not None:
            part.memory = memory.tobytes()
        if steps is not None:
            part.steps = steps.tobytes()
        return part.SerializeToString()


@lru_cache(256)
def _mask_opening(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return tensor_opening(Part.ACTION_MASK_FIELD_NUMBER, dtype, shape)


class Frame:
    """A frame for some agents, to be filled once a step and encoded for every replica that is asked."""

    def __init__(self, parts: Sequence[FramePart], block: int) -> None:
        self.parts = parts
        self.sequence = 0
        self._decisions = pb.DecisionsRequest(block=block)
        self._chunks: list[Chunk] = []
        self._length = 0

    def begin(self, number: int) -> list[Chunk]:
        """Start on step ``number``; the parts are written to what is returned, and their bytes counted with ``add``."""
        self._decisions.step = number
        self._chunks, self._length = [], 0
        return self._chunks

    def add(self, length: int) -> None:
        """Count the bytes of a part."""
        self._length += length

    def encode(self, deadline_us: int) -> bytes:
        """The ActRequest, with the frame's ``sequence``."""
        self._decisions.sequence, self._decisions.deadline_us = self.sequence, deadline_us
        head = self._decisions.SerializeToString()
        before = opening(pb.ActRequest.DECISIONS_FIELD_NUMBER, len(head) + self._length)
        return b"".join((before, head, *self._chunks))
