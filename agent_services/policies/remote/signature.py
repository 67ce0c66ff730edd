"""What a model's metadata say of its inputs and outputs, matched with an agent's spaces."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent_services.policies.remote import oip_pb2 as pb
from agent_services.policies.remote.tensors import DATATYPES, DTYPES, Output
from agora.agents.policy import (
    Array,
    Batch,
    Categorical,
    Chosen,
    Decision,
    Head,
    Normal,
    Spaces,
    choices_of,
    output_width,
)
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

REALS = ("FP32", "FP64")
_FLOAT32 = np.dtype(np.float32)
End = pb.ModelMetadataResponse.TensorMetadata


@dataclass(frozen=True)
class Signature:
    """A model's inputs and outputs for one agent.

    Attributes:
        inputs: name, number of the observation's leaf, dtype to send, and shape of one row.
        heads: per action leaf its outputs: [action], [logits] or [mean], or [mean, log_std].
        memory: width M of ``memory`` and ``next_memory``; 0 without.
    """

    spaces: Spaces
    inputs: Sequence[tuple[str, int, np.dtype[Any], tuple[int, ...]]]
    heads: Sequence[Sequence[Output]]
    memory: int

    @property
    def outputs(self) -> list[Output]:
        """All that are asked for."""
        kept = [Output("next_memory", (self.memory,), _FLOAT32, REALS[:1])] if self.memory else []
        return [output for head in self.heads for output in head] + kept

    def feed(self, batch: Batch) -> dict[str, Array]:
        """The inputs of a batch by name, each (n, ...)."""
        found = {}
        for name, place, dtype, shape in self.inputs:
            found[name] = batch.observation[place].astype(dtype, copy=False).reshape(batch.rows, *shape)
        if self.memory:
            found["memory"] = batch.memory.view(np.float32)
        return found

    def decision(self, answers: Mapping[str, Array], rows: int) -> Decision:
        """What the outputs mean.

        Raises:
            Refused: an action that the model settled is not finite or not legal.
        """
        pairs = zip(self.spaces.action, self.heads, strict=True)
        heads = [_head(leaf, [answers[output.name] for output in head], head[0].name, rows) for leaf, head in pairs]
        return Decision(heads, answers["next_memory"].view(np.uint8) if self.memory else None)


def match(metadata: pb.ModelMetadataResponse, spaces: Spaces) -> Signature:
    """The signature of a model for an agent with these spaces.

    Raises:
        Refused: REASON_SPEC_MISMATCH, naming the tensor that does not fit.
    """
    inputs = {end.name: end for end in metadata.inputs}
    outputs = {end.name: end for end in metadata.outputs}
    memory = _memory_width(inputs.pop("memory", None), outputs.get("next_memory"))
    places = {leaf.path or "observation": i for i, leaf in enumerate(spaces.observation)}
    feeds = []
    for name, end in inputs.items():
        if name not in places:
            raise _mismatch(f"model.inputs.{name}", f"a name out of {sorted(places)}", name)
        leaf = spaces.observation[places[name]]
        _check_end(end, f"model.inputs.{name}", dict.fromkeys((DATATYPES[leaf.dtype], *REALS)), leaf.shape)
        column = not leaf.shape and len(end.shape) == 2
        feeds.append((name, places[name], DTYPES[end.datatype], (1,) if column else leaf.shape))
    if not feeds:
        raise _mismatch("model.inputs", f"metadata that declare some of {sorted(places)}", "none declared")
    return Signature(spaces, feeds, [_match_head(leaf, outputs) for leaf in spaces.action], memory)


def _match_head(leaf: Leaf, outputs: Mapping[str, End]) -> list[Output]:
    suffix, width = f".{leaf.path}" if leaf.path else "", (output_width(leaf),)
    parameters = "logits" if choices_of(leaf) else "mean"
    if f"{parameters}{suffix}" in outputs:
        names = [parameters, *(["log_std"] if parameters == "mean" and f"log_std{suffix}" in outputs else [])]
        wanted = [Output(f"{name}{suffix}", width, _FLOAT32, REALS) for name in names]
    elif f"action{suffix}" in outputs:
        datatypes = REALS if leaf.dtype.kind == "f" else (DATATYPES[leaf.dtype],)
        wanted = [Output(f"action{suffix}", leaf.shape, leaf.dtype, datatypes)]
    else:
        expected = f"{parameters}{suffix} or action{suffix} in the metadata"
        raise _mismatch("model.outputs", expected, str(list(outputs)))
    for output in wanted:
        _check_end(outputs[output.name], f"model.outputs.{output.name}", output.datatypes, output.shape)
    return wanted


def _head(leaf: Leaf, values: Sequence[Array], name: str, rows: int) -> Head:
    if name.startswith("action"):
        leaf.check(values[0], rows, f"model.outputs.{name}")
        return Chosen(values[0])
    return Categorical(values[0]) if choices_of(leaf) else Normal(values[0], values[1] if len(values) > 1 else None)


def _memory_width(before: End | None, after: End | None) -> int:
    if before is None and after is None:
        return 0
    shape = list(before.shape) if before else []
    if len(shape) != 2 or shape[1] < 1:
        raise _mismatch("model.inputs.memory", "FP32 [-1, M], as next_memory", str(shape or "none"))
    for end, field in ((before, "model.inputs.memory"), (after, "model.outputs.next_memory")):
        if end is None:
            raise _mismatch(field, "memory and next_memory together", "one of them")
        _check_end(end, field, REALS[:1], shape[1:])
    return shape[1]


def _check_end(end: End, field: str, datatypes: Collection[str], shape: Sequence[int]) -> None:
    said = list(end.shape)
    # A column of scalars has a second axis with many servers.
    lengths = shape if shape or len(said) < 2 else (1,)
    fits = len(said) == 1 + len(lengths) and said[0] == -1 and end.datatype in datatypes
    if not (fits and all(axis in (-1, length) for axis, length in zip(said[1:], lengths, strict=True))):
        expected = f"{' or '.join(datatypes)} {[-1, *shape]}"
        raise _mismatch(field, expected, f"{end.datatype or 'no datatype'} {said}")


def _mismatch(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, got)
