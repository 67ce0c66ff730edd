"""Arrays ↔ tensors of the Open Inference Protocol.

Its datatypes, and where an answer that is not raw bytes has its values, are as the protocol's version 2 defines them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from agent_services.policies.remote import oip_pb2 as pb
from agora.agents.policy import Array
from agora.errors import Refused
from agora.v1 import policy_pb2

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""The others (FP16, BF16, BYTES) have no leaf to fit."""
DATATYPES = {dtype: name for name, dtype in DTYPES.items()}
_CONTENTS = {"INT8": "int", "INT16": "int", "INT32": "int", "UINT8": "uint", "UINT16": "uint", "UINT32": "uint"}


@dataclass(frozen=True)
class Output:
    """One output that is asked for.

    Attributes:
        shape: of one row; what has none may come as a column.
        dtype: what its values are turned into.
        datatypes: in which it may come.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    datatypes: Collection[str]


def add_input(request: pb.ModelInferRequest, name: str, values: Array) -> None:
    """Add an input to a request; its dtype is one of ``DTYPES``."""
    request.inputs.add(name=name, datatype=DATATYPES[values.dtype], shape=values.shape)
    request.raw_input_contents.append(values.tobytes())


def read_output(response: pb.ModelInferResponse, output: Output, into: Array) -> None:
    """Write an output's values into an array (n, *output.shape).

    Raises:
        Refused: REASON_MODEL: it is missing, has another shape or datatype, or its bytes do not fit.
    """
    names = [tensor.name for tensor in response.outputs]
    if output.name not in names:
        raise _bad(output.name, "an answer with this output", str(names))
    number = names.index(output.name)
    tensor = response.outputs[number]
    shapes = (into.shape, (*into.shape, 1)) if output.shape == () else (into.shape,)
    if tuple(tensor.shape) not in shapes or tensor.datatype not in output.datatypes:
        expected = f"{' or '.join(output.datatypes)} {list(into.shape)}"
        raise _bad(output.name, expected, f"{tensor.datatype or 'no datatype'} {list(tensor.shape)}")
    raw = response.raw_output_contents
    values = _from_bytes(tensor, raw[number] if number < len(raw) else b"") if raw else _from_numbers(tensor)
    if values.size != into.size:
        raise _bad(output.name, f"{into.size} values", str(values.size))
    with np.errstate(over="ignore"):  # what becomes infinite is refused where finite numbers are looked for
        into[...] = values.reshape(into.shape)


def _from_bytes(tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes) -> Array:
    dtype, count = DTYPES[tensor.datatype], math.prod(tensor.shape)
    if len(raw) != count * dtype.itemsize:
        raise _bad(tensor.name, f"{count * dtype.itemsize} bytes", f"{len(raw)} bytes")
    return np.frombuffer(raw, dtype)


def _from_numbers(tensor: pb.ModelInferResponse.InferOutputTensor) -> Array:
    kind = _CONTENTS.get(tensor.datatype, tensor.datatype.lower())
    try:
        return np.array(list(getattr(tensor.contents, f"{kind}_contents")), DTYPES[tensor.datatype])
    except OverflowError as error:
        raise _bad(tensor.name, f"numbers of {tensor.datatype}", str(error)) from error


def _bad(name: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, f"model.outputs.{name}", expected, got)
