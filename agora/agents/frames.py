"""Frames of the Act stream ↔ arrays. What the hello fixes is worked out once; a frame costs no Python per row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import Array, Floats, choices_of, output_width
from agora.agents.sampling import Explore
from agora.codec import from_numbers, from_tensor, to_tensor
from agora.errors import Refused
from agora.reading import LeafReader
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2

MAX_COPIES = 65_536


class MaskReader:
    """Reads one action leaf's legal-action masks."""

    def __init__(self, leaf: Leaf) -> None:
        self._choices = choices_of(leaf)
        self._shape: tuple[int, ...] = (output_width(leaf),) if self._choices else leaf.shape

    def read(self, tensor: tensor_pb2.Tensor, rows: int, field: str) -> NDArray[np.uint8] | None:
        """The mask uint8 (rows, ...), or None where all is legal.

        Raises:
            Refused: wrong type or shape, or a row without any legal choice.
        """
        if tensor.data_type == tensor_pb2.DATA_TYPE_UNSPECIFIED and not tensor.data:
            return None
        mask = from_tensor(tensor, field)
        if mask.dtype != np.uint8:
            raise Refused(policy_pb2.REASON_DATA_TYPE, field, "uint8", mask.dtype.name)
        if mask.shape != (rows, *self._shape):
            raise Refused(policy_pb2.REASON_SHAPE, field, str([rows, *self._shape]), str(list(mask.shape)))
        end = 0
        for count in self._choices:
            some = mask[:, end : end + count].any(axis=1)
            if not some.all():
                got = f"none in row {int(np.argmin(some))}, elements {end} to {end + count - 1}"
                raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, "a legal choice in every row", got)
            end += count
        return mask


def read_leaves(readers: Sequence[LeafReader], tensors: Sequence[tensor_pb2.Tensor], rows: int) -> list[Array]:
    """All leaves of an observation.

    Raises:
        Refused: a wrong number of leaves, or a leaf is wrong.
    """
    if len(tensors) != len(readers):
        raise Refused(policy_pb2.REASON_SHAPE, "observation", f"{len(readers)} leaves", str(len(tensors)))
    return [reader.read(tensor, rows) for reader, tensor in zip(readers, tensors, strict=True)]


def read_masks(
    readers: Sequence[MaskReader], tensors: Sequence[tensor_pb2.Tensor], rows: int
) -> list[NDArray[np.uint8] | None]:
    """One mask per action leaf, None where all is legal.

    Raises:
        Refused: a wrong number of masks, or a mask is wrong.
    """
    if not len(tensors):
        return [None] * len(readers)
    if len(tensors) != len(readers):
        expected = f"none or {len(readers)} masks"
        raise Refused(policy_pb2.REASON_SHAPE, "action_mask", expected, str(len(tensors)))
    pairs = zip(readers, tensors, strict=True)
    return [reader.read(t, rows, f"action_mask[{i}]") for i, (reader, t) in enumerate(pairs)]


def read_copies(data: bytes) -> NDArray[np.uint32]:
    """The copies' numbers (n,).

    Raises:
        Refused: not whole numbers of four bytes, or a number that no environment has.
    """
    copies = from_numbers(data, "copies")
    if len(copies) and copies.max() >= MAX_COPIES:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "copies", f"[0, {MAX_COPIES - 1}]", str(copies.max()))
    return copies


def read_memory(data: bytes, rows: int, width: int) -> NDArray[np.uint8]:
    """The rows' memory, uint8 (rows, width); nothing stands for zeros.

    Raises:
        Refused: another number of bytes.
    """
    if not data:
        return np.zeros((rows, width), np.uint8)
    if len(data) != rows * width:
        raise Refused(policy_pb2.REASON_SHAPE, "memory", f"{rows * width} bytes", f"{len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(rows, width)


def read_exploration(observations: pb.Observations, rows: int) -> Explore | None:
    """How to explore, None for greedy.

    Raises:
        Refused: a negative or infinite scale, temperature or epsilon, or not one byte a row.
    """
    if not observations.HasField("exploration"):
        return None
    message = observations.exploration
    explore = Explore(message.noise_scale, message.temperature, message.epsilon)
    for name in ("noise_scale", "temperature", "epsilon"):
        value: float = getattr(explore, name)
        if not math.isfinite(value):
            raise Refused(policy_pb2.REASON_NOT_FINITE, f"exploration.{name}", "a finite number", str(value))
        if value < 0.0:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, f"exploration.{name}", ">= 0", str(value))
    if explore.epsilon > 1.0:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "exploration.epsilon", "at most 1", str(explore.epsilon))
    if message.rows:
        if len(message.rows) != rows:
            raise Refused(policy_pb2.REASON_SHAPE, "exploration.rows", f"{rows} bytes", str(len(message.rows)))
        explore.rows = np.frombuffer(message.rows, np.uint8) != 0
        if not explore.rows.any():
            return None
    return explore


class Writer:
    """Writes one agent's answers, in place: building messages apart and handing them over copies each one twice."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._types = [to_tensor(np.empty(0, leaf.dtype)).data_type for leaf in leaves]

    def write(self, into: pb.Actions, actions: Sequence[Array], log_prob: Floats, memory: Any) -> None:
        """Fill a message with an action's leaves, log-probabilities and memory."""
        for data_type, action in zip(self._types, actions, strict=True):
            into.action.add(data_type=data_type, shape=action.shape, data=action.tobytes())
        tensor = into.log_prob
        tensor.data_type = tensor_pb2.DATA_TYPE_FLOAT32
        tensor.shape.append(len(log_prob))
        tensor.data = log_prob.tobytes()
        if memory is not None:
            into.memory = memory.tobytes()
