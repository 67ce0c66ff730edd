"""A multi-layer perceptron in torch, from a safetensors file: weights without code, read without pickle.

The tensors are a ``state_dict`` of a ``Sequential``: ``PREFIX.NUMBER.weight`` (out, in) and ``PREFIX.NUMBER.bias``
(out), applied in the order of NUMBER; optionally ``log_std`` (size). Its input is the observation's leaves, flattened
and joined in their order; its output is the mean of a single Box leaf, or the logits of a single leaf of choices. The
file's metadata says what torch's modules do not: ``activation`` (relu, tanh, elu, silu or gelu; default relu) and
``output``: ``identity``, or ``sigmoid`` or ``tanh``, which are stretched onto the action's bounds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from agent_services.model_check import MAX_BYTES
from agora.agents.policy import (
    Batch,
    Categorical,
    Decide,
    Decision,
    Floats,
    Normal,
    Source,
    Spaces,
    choices_of,
    output_width,
)
from agora.errors import Refused
from agora.v1 import policy_pb2

ROWS = 64
"""Batches are computed in pieces of exactly this many rows: the kernel, and with it a row's last bit, depends on the
number of rows."""

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "elu": torch.nn.functional.elu,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
}
OUTPUTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": lambda x: 0.5 * (torch.tanh(x) + 1.0),
}
_NAME = re.compile(r"(?:.*\.)?(\d+)\.(weight|bias)")


def load(source: Source) -> TorchPolicy:
    """A policy from a safetensors file's bytes.

    Raises:
        Refused: REASON_MODEL, naming the tensor or metadata that is wrong.
    """
    if not 8 <= len(source.model) <= MAX_BYTES:
        raise _refused("model", f"8 to {MAX_BYTES} bytes", f"{len(source.model)} bytes")
    try:
        tensors = load_tensors(source.model)
        header = json.loads(source.model[8 : 8 + int.from_bytes(source.model[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise _refused("model", "a safetensors file", str(error)[:300]) from error
    return TorchPolicy(tensors, header.get("__metadata__", {}))


class TorchPolicy:
    """A stack of linear layers."""

    memory_bytes = 0

    def __init__(self, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
        torch.set_num_threads(1)
        self._log_std = tensors.get("log_std")
        self._activation = _choose(ACTIVATIONS, "activation", metadata.get("activation", "relu"))
        self._stretched = metadata.get("output", "identity") != "identity"
        self._output = _choose(OUTPUTS, "output", metadata.get("output", "identity"))
        layers: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            match = _NAME.fullmatch(name)
            if match:
                layers.setdefault(int(match[1]), {})[match[2]] = tensor
            elif name != "log_std":
                raise _refused(f"model.{name}", "NUMBER.weight, NUMBER.bias or log_std", name)
        self._layers = [_layer(number, layers[number]) for number in sorted(layers)]
        if not self._layers:
            raise _refused("model", "at least one layer", "none")
        for (before, _), (after, _) in zip(self._layers, self._layers[1:], strict=False):
            if before.shape[1] != after.shape[0]:
                raise _refused("model", f"a layer of {before.shape[1]} inputs", f"one of {after.shape[0]}")

    def bind(self, spaces: Spaces) -> Decide:
        """The decision function for an agent with these spaces.

        Raises:
            Refused: REASON_SPEC_MISMATCH, if the widths do not fit them.
        """
        width = sum(int(np.prod(leaf.shape, dtype=np.int64)) for leaf in spaces.observation)
        ends = (self._layers[0][0].shape[0], self._layers[-1][0].shape[1])
        leaf = spaces.action[0] if len(spaces.action) == 1 else None
        if leaf is None or ends != (width, output_width(leaf)):
            expected = f"{ends[0]} numbers seen and one action leaf of {ends[1]}"
            got = f"{width} seen and action leaves of {[output_width(x) for x in spaces.action]}"
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "model", expected, got)
        discrete, log_std = bool(choices_of(leaf)), self._spread(ends[1])
        low, high = (np.broadcast_to(b, leaf.shape).ravel().astype(np.float32) for b in (leaf.low, leaf.high))
        stretch = self._stretched and not discrete

        def decide(batch: Batch) -> Decision:
            parts = [x.reshape(batch.rows, -1).astype(np.float32, copy=False) for x in batch.observation]
            values = self._run(np.concatenate(parts, axis=1))
            if discrete:
                return Decision([Categorical(values)])
            spread = None if log_std is None else np.ascontiguousarray(np.broadcast_to(log_std, values.shape))
            return Decision([Normal(low + (high - low) * values if stretch else values, spread)])

        return decide

    def _spread(self, width: int) -> Floats | None:
        if self._log_std is None:
            return None
        if self._log_std.shape != (width,) or self._log_std.dtype != torch.float32:
            raise _refused("model.log_std", f"float32 [{width}]", f"{self._log_std.dtype} {list(self._log_std.shape)}")
        return np.asarray(self._log_std.numpy())

    def _run(self, inputs: Floats) -> Floats:
        outputs = np.empty((len(inputs), self._layers[-1][0].shape[1]), np.float32)
        piece = np.zeros((ROWS, inputs.shape[1]), np.float32)
        with torch.inference_mode():
            for start in range(0, len(inputs), ROWS):
                rows = inputs[start : start + ROWS]
                piece[: len(rows)] = rows
                values = torch.from_numpy(piece)
                for number, (weight, bias) in enumerate(self._layers):
                    values = torch.addmm(bias, values, weight)
                    last = number == len(self._layers) - 1
                    values = self._output(values) if last else self._activation(values)
                outputs[start : start + ROWS] = values.numpy()[: len(rows)]
        return outputs


def _layer(number: int, parts: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = parts.get("weight"), parts.get("bias")
    if weight is None or bias is None or weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise _refused(
            f"model.{number}", "a weight (out, in) and a bias (out)", str({k: list(v.shape) for k, v in parts.items()})
        )
    if weight.dtype != torch.float32 or bias.dtype != torch.float32:
        raise _refused(f"model.{number}", "float32", f"{weight.dtype} and {bias.dtype}")
    # As (in, out): with the transposed view, the kernel's last bit depends on a row's place in the batch.
    return weight.T.contiguous(), bias.contiguous()


def _choose(table: Mapping[str, Any], key: str, name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    if name not in table:
        raise _refused(f"model.metadata.{key}", f"one of {', '.join(table)}", name)
    found: Callable[[torch.Tensor], torch.Tensor] = table[name]
    return found


def _refused(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, field, expected, got)
