"""ONNX models. Inputs are named after the observation's leaves, outputs are parameters of the action distribution.

docs/onnx.md says the same to those who write models, with more words.

========================  ===================  =====================================================================
``PATH``                  (B, ...)             input: an observation leaf; ``observation`` where the space is one leaf,
                                               and any name where the model has but one input besides
``mean`` / ``mean.PATH``  float32 (B, size)    output for a Box leaf, in the action's own units
``log_std[.PATH]``        float32 (B, size)    output, optional: the policy's own spread
``logits[.PATH]``         float32 (B, choices) output for a Discrete, MultiDiscrete or MultiBinary leaf
``action[.PATH]``         (B, ...)             output of a model that settles the action itself, of the leaf's dtype or
                                               any float for a float; read where there is no ``mean`` or ``logits``
``value``, ``values``,                         outputs that are not read: what policies return beside the action
``log_prob``
``memory``                float32 (B, M)       input, optional: what ``next_memory`` was at the last decision
``next_memory``           float32 (B, M)       output, optional; in ONNX no output may have an input's name
========================  ===================  =====================================================================

The first axis of all of them is free, or 1 for all of them: such a model is run row by row.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from agent_services.model_check import check_structure
from agora.agents.policy import (
    Array,
    Batch,
    Categorical,
    Chosen,
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

_IGNORED = frozenset(("value", "values", "log_prob"))
_REALS = ("tensor(float)", "tensor(double)")
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


@dataclass(frozen=True)
class _Output:
    """What is read for an action leaf: ``logits``, ``mean`` (and ``log_std``), or ``action``."""

    leaf: Leaf
    kind: str
    names: Sequence[str]


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
        self._row_counts = check_structure(model)
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
        if shapes[0] != shapes[1] or not isinstance(width, int) or shapes[0] not in ((None, width), (1, width)):
            raise Refused(policy_pb2.REASON_MODEL, "memory", "memory and next_memory float32 (B, M) alike", str(shapes))
        return width

    def bind(self, spaces: Spaces) -> Decide:
        """The decision function for an agent with these spaces.

        Raises:
            Refused: REASON_SPEC_MISMATCH, if inputs or outputs do not fit them.
        """
        feeds = self._match_inputs(spaces.observation)
        outputs = [self._match_output(leaf) for leaf in spaces.action]
        names = [name for output in outputs for name in output.names] + (["next_memory"] if self.memory_bytes else [])
        if set(names) != set(self._outputs) - _IGNORED:
            raise _mismatch("model.outputs", str(names), str(list(self._outputs)))

        def decide(batch: Batch) -> Decision:
            feed = {name: batch.observation[i].astype(dtype, copy=False) for name, i, dtype in feeds}
            if self.memory_bytes:
                feed["memory"] = batch.memory.view(np.float32)
            values = self._run(names, feed, batch.rows)
            tail = np.ascontiguousarray(values.pop()).view(np.uint8) if self.memory_bytes else None
            parts = iter(values)
            return Decision([_head(output, parts, batch.rows) for output in outputs], tail)

        return decide

    def _run(self, names: list[str], feed: dict[str, Array], rows: int) -> list[Array]:
        """The outputs (rows, ...), computed in pieces of lengths that were checked."""
        most = self._row_counts[-1]
        pieces = []
        for start in range(0, max(rows, 1), most):
            n = min(rows - start, most)
            count = self._row_counts[bisect.bisect_left(self._row_counts, n)]
            piece = {name: _fill(values[start : start + n], count) for name, values in feed.items()}
            try:
                outputs: list[Array] = self._session.run(names, piece)
            except Exception as error:  # onnxruntime's errors have no common base
                raise Refused(policy_pb2.REASON_MODEL, "model", "a run without error", str(error)[:300]) from error
            for name, values in zip(names, outputs, strict=True):
                if values.shape[:1] != (count,):
                    expected = f"a row for each of {count}"
                    raise Refused(policy_pb2.REASON_MODEL, f"model.outputs.{name}", expected, str(list(values.shape)))
            pieces.append([values[:n] for values in outputs])
        return pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _match_inputs(self, observation: Sequence[Leaf]) -> list[tuple[str, int, np.dtype[Any]]]:
        places = {leaf.path or "observation": i for i, leaf in enumerate(observation)}
        inputs = {name: end for name, end in self._inputs.items() if name != "memory"}
        if len(places) == len(inputs) == 1:
            places = dict.fromkeys(inputs, 0)
        feeds: list[tuple[str, int, np.dtype[Any]]] = []
        for name, end in inputs.items():
            if name not in places:
                raise _mismatch(f"model.inputs.{name}", f"a name out of {sorted(places)}", name)
            leaf, dtype = observation[places[name]], _DTYPES.get(end.type)
            if dtype is None or dtype not in (leaf.dtype, np.float32) or _shape(end)[1:] != leaf.shape:
                expected = f"{leaf.dtype.name} or float32 (B, {', '.join(map(str, leaf.shape))})"
                raise _mismatch(f"model.inputs.{name}", expected, f"{end.type} {end.shape}")
            feeds.append((name, places[name], dtype))
        return feeds

    def _match_output(self, leaf: Leaf) -> _Output:
        suffix = f".{leaf.path}" if leaf.path else ""
        kind = "logits" if choices_of(leaf) else "mean"
        if f"{kind}{suffix}" not in self._outputs and f"action{suffix}" in self._outputs:
            types = _REALS if leaf.dtype.kind == "f" else [t for t, dtype in _DTYPES.items() if dtype == leaf.dtype]
            self._check_output(f"action{suffix}", leaf.shape, types)
            return _Output(leaf, "action", [f"action{suffix}"])
        names = [kind, *(["log_std"] if kind == "mean" and f"log_std{suffix}" in self._outputs else [])]
        for name in names:
            self._check_output(f"{name}{suffix}", (output_width(leaf),), _REALS[:1])
        return _Output(leaf, kind, [f"{name}{suffix}" for name in names])

    def _check_output(self, name: str, shape: Sequence[int], types: Sequence[str]) -> None:
        end = self._outputs.get(name)
        if end is None:
            expected = name if name.startswith("action") else f"{name}, or {_action_instead(name)}"
            raise _mismatch("model.outputs", expected, str(list(self._outputs)))
        lengths = _shape(end)[1:]
        fits = len(lengths) == len(shape) and all(a in (None, b) for a, b in zip(lengths, shape, strict=True))
        if end.type not in types or not fits:
            dtypes = " or ".join(_DTYPES[t].name for t in types)
            expected = f"{dtypes} (B{''.join(f', {n}' for n in shape)})"
            raise _mismatch(f"model.outputs.{name}", expected, f"{end.type} {end.shape}")


def _action_instead(name: str) -> str:
    _, dot, path = name.partition(".")
    return f"action{dot}{path}"


def _head(output: _Output, values: Iterator[Array], rows: int) -> Head:
    first = next(values)
    if output.kind == "logits":
        return Categorical(first)
    if output.kind == "mean":
        return Normal(first, next(values) if len(output.names) > 1 else None)
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        chosen = first.astype(output.leaf.dtype, copy=False)
    output.leaf.check(chosen, rows, f"model.outputs.{output.names[0]}")
    return Chosen(chosen)


def _fill(values: Array, count: int) -> Array:
    """Values filled up to ``count`` rows by repeating the first one."""
    n = len(values)
    if n == count:
        return values
    filled = np.zeros((count, *values.shape[1:]), values.dtype)
    filled[:n] = values
    filled[n:] = filled[:1]
    return filled


def _shape(end: Any) -> tuple[int | None, ...]:
    """An input's or output's shape, None for axes without a fixed length."""
    return tuple(axis if isinstance(axis, int) else None for axis in end.shape)


def _mismatch(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, got)
