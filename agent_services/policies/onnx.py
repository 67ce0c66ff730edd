"""ONNX models. Inputs are named after the observation's leaves, outputs are parameters of the action distribution.

========================  ===================  =====================================================================
``PATH``                  (B, ...)             input: an observation leaf; ``observation`` where the space is one leaf
``mean`` / ``mean.PATH``  float32 (B, size)    output for a Box leaf, in the action's own units
``log_std[.PATH]``        float32 (B, size)    output, optional: the policy's own spread
``logits[.PATH]``         float32 (B, choices) output for a Discrete, MultiDiscrete or MultiBinary leaf
``memory``                float32 (B, M)       input, optional: what ``next_memory`` was at the last decision
``next_memory``           float32 (B, M)       output, optional; in ONNX no output may have an input's name
========================  ===================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from agent_services.model_check import check_structure
from agora.agents.policy import (
    Array,
    Batch,
    Categorical,
    Decide,
    Decision,
    Head,
    Normal,
    Source,
    Spaces,
    choices_of,
    output_width,
)
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

ROWS = 16
"""Batches are filled up to a multiple of this: some kernels (Elu, Softplus) treat the last, incomplete vector of a
buffer differently, so that a row's last bit would depend on how many rows there are."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(uint64)": np.dtype(np.uint64),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(bool)": np.dtype(np.bool_),
}


def load(source: Source) -> OnnxPolicy:
    """A policy from a model's bytes.

    Raises:
        Refused: REASON_MODEL, or REASON_CONFIG if there is no model.
    """
    if not source.model:
        raise Refused(policy_pb2.REASON_CONFIG, "model", "an ONNX model", "nothing")
    return OnnxPolicy(source.model)


class OnnxPolicy:
    """A checked model in a session of its own."""

    def __init__(self, model: bytes) -> None:
        check_structure(model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base
            raise Refused(policy_pb2.REASON_MODEL, "model", "a model that loads", str(error)[:300]) from error
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        self._outputs = {o.name: o for o in self._session.get_outputs()}
        self.memory_bytes = 4 * self._memory_width()

    def _memory_width(self) -> int:
        ends = [self._inputs.get("memory"), self._outputs.get("next_memory")]
        if ends == [None, None]:
            return 0
        shapes = [_shape(end) if end else None for end in ends]
        width = shapes[0][-1] if shapes[0] else None
        if shapes[0] != shapes[1] or not isinstance(width, int) or shapes[0] != (None, width):
            raise Refused(policy_pb2.REASON_MODEL, "memory", "memory and next_memory float32 (B, M) alike", str(shapes))
        return width

    def bind(self, spaces: Spaces) -> Decide:
        """The decision function for an agent with these spaces.

        Raises:
            Refused: REASON_SPEC_MISMATCH, if inputs or outputs do not fit them.
        """
        feeds = self._match_inputs(spaces.observation)
        names, discrete, spread = self._match_outputs(spaces.action)
        session, memory = self._session, self.memory_bytes

        def decide(batch: Batch) -> Decision:
            feed = {name: _fill(batch.observation[i], dtype) for name, i, dtype in feeds}
            if memory:
                feed["memory"] = _fill(batch.memory.view(np.float32), np.dtype(np.float32))
            try:
                outputs: list[Any] = session.run(names, feed)
            except Exception as error:
                raise Refused(policy_pb2.REASON_MODEL, "model", "a run without error", str(error)[:300]) from error
            n = batch.rows
            tail = np.ascontiguousarray(outputs.pop()[:n]).view(np.uint8) if memory else None
            values = iter(outputs)
            return Decision([_head(values.__next__, n, d, s) for d, s in zip(discrete, spread, strict=True)], tail)

        return decide

    def _match_inputs(self, observation: Sequence[Leaf]) -> list[tuple[str, int, np.dtype[Any]]]:
        places = {leaf.path or "observation": i for i, leaf in enumerate(observation)}
        feeds: list[tuple[str, int, np.dtype[Any]]] = []
        for name, end in self._inputs.items():
            if name == "memory":
                continue
            if name not in places:
                raise _mismatch(f"model.inputs.{name}", f"a name out of {sorted(places)}", name)
            leaf, dtype = observation[places[name]], _DTYPES.get(end.type)
            if dtype is None or dtype not in (leaf.dtype, np.float32) or _shape(end) != (None, *leaf.shape):
                expected = f"{leaf.dtype.name} or float32 (B, {', '.join(map(str, leaf.shape))})"
                raise _mismatch(f"model.inputs.{name}", expected, f"{end.type} {end.shape}")
            feeds.append((name, places[name], dtype))
        return feeds

    def _match_outputs(self, action: Sequence[Leaf]) -> tuple[list[str], list[bool], list[bool]]:
        names, discrete, spread = [], [], []
        for leaf in action:
            suffix = f".{leaf.path}" if leaf.path else ""
            discrete.append(bool(choices_of(leaf)))
            names.append(("logits" if discrete[-1] else "mean") + suffix)
            self._check_output(names[-1], output_width(leaf))
            spread.append(not discrete[-1] and f"log_std{suffix}" in self._outputs)
            if spread[-1]:
                names.append(f"log_std{suffix}")
                self._check_output(names[-1], output_width(leaf))
        names += ["next_memory"] if self.memory_bytes else []
        if set(names) != set(self._outputs):
            raise _mismatch("model.outputs", str(names), str(list(self._outputs)))
        return names, discrete, spread

    def _check_output(self, name: str, width: int) -> None:
        end = self._outputs.get(name)
        if end is None:
            raise _mismatch("model.outputs", name, str(list(self._outputs)))
        if end.type != "tensor(float)" or len(end.shape) != 2 or end.shape[1] not in (width, None):
            raise _mismatch(f"model.outputs.{name}", f"float32 (B, {width})", f"{end.type} {end.shape}")


def _head(take: Any, n: int, discrete: bool, spread: bool) -> Head:
    if discrete:
        return Categorical(take()[:n])
    mean = take()[:n]
    return Normal(mean, take()[:n] if spread else None)


def _fill(values: Array, dtype: np.dtype[Any]) -> Array:
    """Values as ``dtype``, filled up to a multiple of ``ROWS`` by repeating the first row."""
    n = len(values)
    if n and n % ROWS == 0:
        return values.astype(dtype, copy=False)
    filled = np.zeros((n + ROWS - n % ROWS, *values.shape[1:]), dtype)
    filled[:n] = values
    filled[n:] = filled[:1]
    return filled


def _shape(end: Any) -> tuple[int | None, ...]:
    """An input's or output's shape, None for axes without a fixed length."""
    return tuple(axis if isinstance(axis, int) else None for axis in end.shape)


def _mismatch(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, got)
