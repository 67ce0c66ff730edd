"""A model is a program from somebody else: what it may be made of, found out before anything of it runs.

No loops, no functions, no chance, no external files, only operators whose sizes can be known beforehand; and no tensor,
no memory and no work beyond what ``agent_services/model_sizes.py`` says, so that 64 bytes of model cannot ask for a
gigabyte. docs/onnx.md says the same to those who write models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from agent_services.model_sizes import Sizes, graphs_of
from agora.errors import Refused
from agora.v1 import policy_pb2

MAX_BYTES = 32 * 1024 * 1024
MAX_NODES = 2_000
ROWS = 16
"""Batches are filled up to a multiple of this: some kernels (Elu, Softplus) treat the last, incomplete vector of a
buffer differently, so that a row's last bit would depend on how many rows there are."""
MOST_ROWS = 4096
"""Of one run; larger batches are run in pieces."""

STANDARD = ("", "ai.onnx")
ALLOWED = frozenset(
    """Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitwiseAnd
    BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos
    Cosh CumSum DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization GRU
    HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less
    LessOrEqual Log LogSoftmax LpNormalization LSTM MatMul Max MaxPool Mean Min Mish Mod Mul Neg Not OneHot Or Pad Pow
    PRelu QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize RMSNormalization RNN RotaryEmbedding Round ScatterElements
    ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where
    Xor""".split()  # noqa: SIM905 (a list would take a line a word)
)
"""Operators of the standard domain that a policy may use: those that torch's exporters emit, save what is named below,
what makes sequences, losses, windows and boxes, and Fourier transforms."""
_CHANCE = "no operator that draws: export mean and log_std, or logits, and the service draws"
_DATA = "no operator whose output's size hangs on the observation"
_LOOP = "no loop: unroll it, or keep what is to be remembered in memory"
_EXPECTED = {
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), _CHANCE
    ),
    **dict.fromkeys(("Compress", "NonMaxSuppression", "NonZero", "Unique"), _DATA),
    **dict.fromkeys(("Loop", "Scan", "SequenceMap"), _LOOP),
}


def check_structure(model: bytes) -> Sequence[int]:
    """Refuse a model that is made of anything a policy does not need, or that would need too much.

    Returns:
        The counts of rows that it may be run with, in ascending order: only for these its sizes are known.

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
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # the checker's errors have no common base
        raise _refused("model", "a well-formed graph", str(error)[:300]) from error
    return _row_counts(proto)


def _row_counts(proto: ModelProto) -> Sequence[int]:
    sizes = Sizes(proto)
    constants = {tensor.name for tensor in proto.graph.initializer}
    if _one_row([value for value in proto.graph.input if value.name not in constants]):
        sizes.check(1)
        return (1,)
    doubled = [ROWS << i for i in range((MOST_ROWS // ROWS).bit_length())]
    sizes.check(ROWS)
    fitting = [ROWS]
    for rows in doubled[1:]:
        try:
            sizes.check(rows)
        except Refused:
            break
        fitting.append(rows)
    # Without these no size falls while the rows grow (a Split's last part may), so that what lies between fits too.
    computed = any(node.op_type in ("Shape", "Size", "Split") for node in _nodes(proto.graph))
    return fitting if computed else range(ROWS, fitting[-1] + 1, ROWS)


def _one_row(inputs: Sequence[onnx.ValueInfoProto]) -> bool:
    """Whether the model was made for one row at a time."""
    fixed = []
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        if not len(dims) or dims[0].dim_value > 1:
            expected = "a first axis without a fixed length, or of length 1"
            raise _refused(f"model.inputs.{value.name}", expected, str([d.dim_value or d.dim_param for d in dims]))
        fixed.append(dims[0].dim_value == 1)
    if len(set(fixed)) > 1:
        raise _refused("model.inputs", "first axes that are alike", str(fixed))
    return fixed[0]


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
    nodes = list(_nodes(graph))
    constants = sum(node.op_type == "Constant" for node in nodes)
    for kind, count in (("nodes that compute", len(nodes) - constants), ("Constant nodes", constants)):
        if count > MAX_NODES:
            raise _refused("model.graph.node", f"at most {MAX_NODES} {kind}", str(count))
    for opset in proto.opset_import:
        if opset.domain not in STANDARD:
            raise _refused("model.opset_import", "the standard domain", opset.domain)
    for node in nodes:
        _check_node(node)


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, those of branches too."""
    for node in graph.node:
        yield node
        for inner in graphs_of(node):
            yield from _nodes(inner)


def _check_node(node: NodeProto) -> None:
    if node.domain not in STANDARD or node.op_type not in ALLOWED:
        operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        expected = _EXPECTED.get(node.op_type, "an operator that policies may use (docs/onnx.md)")
        raise _refused("model.graph.node", expected, operator)
    branches = ("then_branch", "else_branch") if node.op_type == "If" else ()
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH and attribute.name in branches:
            continue
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS, AttributeProto.SPARSE_TENSOR):
            raise _refused(f"model.{node.op_type}.{attribute.name}", "no graph inside a node", "one")


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for inner in graphs_of(node):
            yield from _tensors(inner)


def _check_tensor(tensor: TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or len(tensor.external_data):
        expected = "weights inside the model (torch.onnx.export(..., external_data=False))"
        raise _refused(f"model.{tensor.name}", expected, "external data")
    if min(tensor.dims, default=0) < 0 or math.prod(tensor.dims) > MAX_BYTES:
        raise _refused(f"model.{tensor.name}", f"at most {MAX_BYTES} elements", str(list(tensor.dims)))


def _refused(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, field, expected, got)
