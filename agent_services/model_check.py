"""A model is a program from somebody else: what it may be made of, found out before anything of it runs.

No control flow, no functions, no external files, only operators that compute element by element or contract weights,
and no tensor beyond ``MAX_ELEMENTS``, so that 64 bytes of model cannot ask for a gigabyte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from agora.errors import Refused
from agora.v1 import policy_pb2

MAX_BYTES = 32 * 1024 * 1024
MAX_NODES = 2_000
MAX_ELEMENTS = 16 * 1024 * 1024
"""Of any tensor, at ``TRIAL_ROWS`` rows."""
TRIAL_ROWS = 64

STANDARD = ("", "ai.onnx")
ALLOWED = frozenset(
    """Abs Add And BatchNormalization Cast Ceil Celu Clip Concat Constant Cos Div Elu Equal Erf Exp Flatten Floor Gather
    Gelu Gemm Greater GreaterOrEqual GRU HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Less LessOrEqual
    Log LogSoftmax LSTM MatMul Max Mean Min Mish Mul Neg Not OneHot Or Pow PRelu Reciprocal ReduceMax ReduceMean
    ReduceMin ReduceSum Relu Reshape Round Selu Shape Sigmoid Sign Sin Slice Softmax Softplus Softsign Split Sqrt
    Squeeze Sub Sum Tanh Transpose Unsqueeze Where""".split()  # noqa: SIM905 (a list would take a line a word)
)
"""Operators of the standard domain that a policy may use."""


def check_structure(model: bytes) -> None:
    """Refuse a model that is made of anything a policy does not need.

    Raises:
        Refused: REASON_MODEL, naming the part, what was expected and what came.
    """
    if len(model) > MAX_BYTES:
        raise _refused("model", f"at most {MAX_BYTES} bytes", f"{len(model)} bytes")
    try:
        proto = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf's DecodeError is not exported under one name
        raise _refused("model", "an ONNX model", f"bytes that do not parse ({error})"[:300]) from error
    _check_parts(proto)
    for tensor in _tensors(proto.graph):
        _check_tensor(tensor)
    _check_sizes(proto)


def _check_parts(proto: ModelProto) -> None:
    graph = proto.graph
    for name, values in (
        ("functions", proto.functions),
        ("training_info", proto.training_info),
        ("graph.sparse_initializer", graph.sparse_initializer),
    ):
        if len(values):
            raise _refused(f"model.{name}", "none", str(len(values)))
    if not graph.input or not graph.output or not graph.node:
        raise _refused("model.graph", "inputs, nodes and outputs", "an empty graph")
    if len(graph.node) > MAX_NODES:
        raise _refused("model.graph.node", f"at most {MAX_NODES} nodes", str(len(graph.node)))
    for opset in proto.opset_import:
        if opset.domain not in STANDARD:
            raise _refused("model.opset_import", "the standard domain", opset.domain)
    for node in graph.node:
        _check_node(node)


def _check_node(node: NodeProto) -> None:
    if node.domain not in STANDARD or node.op_type not in ALLOWED:
        operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        raise _refused("model.graph.node", "an operator that policies may use", operator)
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR):
            raise _refused(f"model.{node.op_type}.{attribute.name}", "no graph inside a node", "one")


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data):
        raise _refused(f"model.{tensor.name}", "weights inside the model", "external data")
    if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > MAX_BYTES:
        raise _refused(f"model.{tensor.name}", f"at most {MAX_BYTES} elements", str(list(tensor.dims)))


def _check_sizes(proto: ModelProto) -> None:
    """Infer every tensor's shape at ``TRIAL_ROWS`` rows, and refuse what is unknown or too large."""
    probe = ModelProto()
    probe.CopyFrom(proto)
    del probe.graph.value_info[:]
    for value in probe.graph.input:
        dims = value.type.tensor_type.shape.dim
        if not len(dims) or dims[0].HasField("dim_value"):
            raise _refused(f"model.inputs.{value.name}", "a first axis without a fixed length", "a fixed shape")
        dims[0].dim_value = TRIAL_ROWS
    for value in probe.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        onnx.checker.check_model(proto)
        inferred = onnx.shape_inference.infer_shapes(probe, strict_mode=True, data_prop=True)
    except Exception as error:  # the checker's and inference's errors have no common base
        raise _refused("model", "a well-formed graph", str(error)[:300]) from error
    known = {v.name: v for v in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)}
    for node in inferred.graph.node:
        for name in filter(None, node.output):
            _check_size(name, known.get(name))


def _check_size(name: str, value: onnx.ValueInfoProto | None) -> None:
    shape = value.type.tensor_type.shape if value is not None and value.type.tensor_type.HasField("shape") else None
    lengths = [d.dim_value if d.HasField("dim_value") else None for d in shape.dim] if shape is not None else [None]
    sizes = [length for length in lengths if length is not None]
    if len(sizes) != len(lengths):
        raise _refused(f"model.{name}", "a shape that can be known beforehand", str(lengths))
    if math.prod(sizes) > MAX_ELEMENTS:
        raise _refused(f"model.{name}", f"at most {MAX_ELEMENTS} elements", f"{math.prod(sizes)} ({lengths})")


def _refused(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, field, expected, got)
