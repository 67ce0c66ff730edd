"""What a model would need: every tensor's size and every operator's work, from shapes alone, before anything runs.

Shapes often hang on numbers that the model computes from other shapes (``Shape``, ``Concat``, ``ConstantOfShape`` after
``ones_like``, ``expand`` or ``view``). Such numbers are computed here for a given count of rows; what stays unknown,
because it hangs on the observation, is refused.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from agora.errors import Refused
from agora.v1 import policy_pb2

MAX_ELEMENTS = 16 * 1024 * 1024
"""Of any tensor."""
MAX_LIVE_BYTES = 512 * 1024 * 1024
"""Of all tensors that are needed at one time."""
MAX_WORK = 16_000_000_000
"""Multiplications of one run."""
KNOWN_ELEMENTS = 4096
"""Larger values are no shapes."""

_ELEMENT_WORK = 10
"""Reading or writing an element, in multiplications inside a contraction."""
_FOLDED = frozenset(
    """Add And Cast Ceil Concat Constant ConstantOfShape Div Equal Expand Floor Gather GatherElements
    GatherND Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Range ReduceMax ReduceMin
    ReduceProd ReduceSum Reshape ScatterElements ScatterND Slice Squeeze Sub Tile Transpose Unsqueeze Where""".split()  # noqa: SIM905 (a list would take a line a word)
)
"""Operators that compute shapes; they are evaluated here on what is known."""
_INTEGERS = frozenset("bhilqBHILQ")

Array = NDArray[Any]
Types = dict[str, TypeProto]


def graphs_of(node: NodeProto) -> list[GraphProto]:
    """The graphs inside a node: the branches of an If."""
    return [a.g for a in node.attribute if a.type == AttributeProto.GRAPH]


class Sizes:
    """The sizes of one model, at any count of rows."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._opset = max((o.version for o in model.opset_import), default=1)
        self._evaluators: dict[int, ReferenceEvaluator] = {}

    def check(self, rows: int) -> None:
        """Refuse a model that is too large when it is run with so many rows.

        Raises:
            Refused: REASON_MODEL, naming the tensor, what was expected and what came.
        """
        try:
            _Run(self, self._model.graph, rows)
        except Refused:
            raise
        except Exception as error:  # inference's errors and NumPy's have no common base
            raise _refused("model", f"a well-formed graph at {rows} rows", str(error)[:300]) from error

    def infer(self, node: NodeProto, types: Types, known: Mapping[str, TensorProto]) -> Types:
        """The types of a node's outputs."""
        schema = onnx.defs.get_schema(node.op_type, self._opset, "")
        data = {name: known[name] for name in node.input if name in known}
        given = {name: types[name] for name in node.input if name}
        found: Types = onnx.shape_inference.infer_node_outputs(
            schema, node, given, data, opset_imports=list(self._model.opset_import), ir_version=self._model.ir_version
        )
        return found

    def evaluate(self, node: NodeProto, known: Mapping[str, Array]) -> list[Array]:
        """What a node of known inputs answers."""
        if id(node) not in self._evaluators:
            self._evaluators[id(node)] = ReferenceEvaluator(node, opsets={"": self._opset})
        with np.errstate(all="ignore"):
            found = self._evaluators[id(node)].run(None, {name: known[name] for name in node.input if name})
        return [np.asarray(value) for value in found]


class _Run:
    """One run with a fixed count of rows, step by step, without the numbers.

    Attributes:
        types: of every tensor so far.
        known: the values that do not hang on the observation, where they are small; and the same as protos.
        lasting: tensors that do not hang on the observation: onnxruntime computes them once and keeps them.
    """

    def __init__(self, sizes: Sizes, graph: GraphProto, rows: int) -> None:
        self._sizes = sizes
        self.types: Types = {}
        self.known: dict[str, Array] = {}
        self.protos: dict[str, TensorProto] = {}
        self.lasting: set[str] = set()
        self._live = self._work = 0
        constants = {tensor.name for tensor in graph.initializer}
        for value in graph.input:
            if value.name not in constants:
                kind = TypeProto()
                kind.CopyFrom(value.type)
                kind.tensor_type.shape.dim[0].dim_value = rows
                self.types[value.name] = kind
        self._graph(graph)

    def _graph(self, graph: GraphProto) -> None:
        for tensor in graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            self.lasting.add(tensor.name)
            if math.prod(tensor.dims) <= KNOWN_ELEMENTS:
                self._know(tensor.name, numpy_helper.to_array(tensor))
        freed = _last_uses(graph)
        for number, node in enumerate(graph.node):
            if node.op_type == "If":
                self._branches(node)
            else:
                self._node(node)
            self._live -= sum(self._bytes(name) for name in freed[number] if name not in self.lasting)

    def _node(self, node: NodeProto) -> None:
        _check_division(node, self.types, self.known)
        found = self._sizes.infer(node, self.types, self.protos)
        for name in filter(None, node.output):
            self._add(name, found.get(name), node)
        shapes = {name: _shape(self.types[name]) for name in (*node.input, *node.output) if name}
        work, scratch = _cost(node, shapes)
        self._spend(node, work, scratch)
        inputs = [name for name in node.input if name]
        if node.op_type in ("Shape", "Size") or self.lasting.issuperset(inputs):
            self.lasting.update(node.output)
            self._fold(node, inputs)

    def _fold(self, node: NodeProto, inputs: Sequence[str]) -> None:
        if any(math.prod(_shape(self.types[name])) > KNOWN_ELEMENTS for name in node.output if name):
            return
        if node.op_type == "Shape":
            start, end = (_attribute(node, name, otherwise) for name, otherwise in (("start", 0), ("end", None)))
            self._know(node.output[0], np.array(_shape(self.types[inputs[0]])[start:end], np.int64))
        elif node.op_type == "Size":
            self._know(node.output[0], np.array(math.prod(_shape(self.types[inputs[0]])), np.int64))
        elif node.op_type in _FOLDED and all(name in self.known for name in inputs):
            for name, value in zip(node.output, self._sizes.evaluate(node, self.known), strict=False):
                self._know(name, value)

    def _branches(self, node: NodeProto) -> None:
        """Both are checked, for which one is taken may change with the rows; the answer is that of the taken one."""
        condition = self.known.get(node.input[0])
        taken = None if condition is None else "then_branch" if bool(condition.all()) else "else_branch"
        answers: list[list[str]] = []
        for attribute in sorted(node.attribute, key=lambda a: a.name == taken):  # the taken one last: its types stay
            self._graph(attribute.g)
            answers.append([value.name for value in attribute.g.output])
        for name, *sources in zip(node.output, *answers, strict=True):
            kinds = [self.types[source] for source in sources]
            if taken is None and kinds[0] != kinds[1]:
                raise _refused(f"model.{name}", "a shape that can be known beforehand", "two branches that differ")
            self._add(name, kinds[-1], node)
            if taken is not None and sources[-1] in self.known:
                self._know(name, self.known[sources[-1]])
            if taken is not None and sources[-1] in self.lasting:
                self.lasting.add(name)

    def _add(self, name: str, kind: TypeProto | None, node: NodeProto) -> None:
        if kind is None or not kind.HasField("tensor_type") or kind.tensor_type.elem_type == TensorProto.STRING:
            got = "strings" if kind is not None and kind.HasField("tensor_type") else "another kind"
            raise _refused(f"model.{name}", "a tensor of numbers", f"{got} from {node.op_type}")
        lengths = _shape(kind)
        if min(lengths, default=0) < 0 or not kind.tensor_type.HasField("shape"):
            told = [None if n < 0 else n for n in lengths] or "no shape"
            raise _refused(f"model.{name}", "a shape that can be known beforehand", f"{told} from {node.op_type}")
        if math.prod(lengths) > MAX_ELEMENTS:
            got = f"{math.prod(lengths)} ({list(lengths)}) from {node.op_type}"
            raise _refused(f"model.{name}", f"at most {MAX_ELEMENTS} elements", got)
        self.types[name] = kind
        self._live += self._bytes(name)

    def _spend(self, node: NodeProto, work: int, scratch: int) -> None:
        self._work += work
        if self._live + 4 * scratch > MAX_LIVE_BYTES:
            got = f"{self._live + 4 * scratch} at {node.op_type}"
            raise _refused(f"model.{node.output[0]}", f"at most {MAX_LIVE_BYTES} bytes at one time", got)
        if self._work > MAX_WORK:
            got = f"{self._work} up to {node.op_type}"
            raise _refused(f"model.{node.output[0]}", f"at most {MAX_WORK} multiplications", got)

    def _know(self, name: str, value: Array) -> None:
        self.known[name] = value
        self.protos[name] = numpy_helper.from_array(value, name)

    def _bytes(self, name: str) -> int:
        kind = self.types[name]
        return math.prod(_shape(kind)) * helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type).itemsize


def _last_uses(graph: GraphProto) -> defaultdict[int, list[str]]:
    """Number of a node → the computed tensors that nobody needs after it."""
    last = {name: number for number, node in enumerate(graph.node) for name in (*node.output, *_read(node)) if name}
    made = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
    freed: defaultdict[int, list[str]] = defaultdict(list)
    for name in made & last.keys():
        freed[last[name]].append(name)
    return freed


def _read(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for graph in graphs_of(node):
        for inner in graph.node:
            yield from _read(inner)
        yield from (value.name for value in graph.output)


def _check_division(node: NodeProto, types: Mapping[str, TypeProto], known: Mapping[str, Array]) -> None:
    """Whole numbers are divided by known ones only: by -1 the smallest of them ends onnxruntime's process."""
    if node.op_type not in ("Div", "Mod") or len(node.input) != 2:
        return
    dtype = helper.tensor_dtype_to_np_dtype(types[node.input[1]].tensor_type.elem_type)
    divisor = known.get(node.input[1])
    if dtype.char in _INTEGERS and (divisor is None or np.isin(divisor, (0, -1)).any()):
        got = "one that hangs on the observation" if divisor is None else str(divisor.tolist())[:100]
        raise _refused(f"model.{node.output[0]}", "whole numbers divided by constants other than 0 and -1", got)


def _cost(node: NodeProto, shapes: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    """Multiplications, and elements of memory beside inputs and outputs; upper bounds."""
    given = [shapes.get(name, ()) for name in node.input]
    out = shapes[node.output[0]] if node.output and node.output[0] else ()
    moved = _ELEMENT_WORK * sum(math.prod(shape) for shape in shapes.values())
    match node.op_type:
        case "MatMul":
            return moved + math.prod(out) * given[0][-1], 0
        case "Gemm":
            return moved + math.prod(given[0]) * (out[1] if len(out) > 1 else 1), 0
        case "Conv":
            window = math.prod(given[1][1:])
            return moved + math.prod(out) * window, math.prod(out[2:]) * window
        case "ConvTranspose":
            window = math.prod(given[1][1:])
            return moved + math.prod(given[0]) * window, math.prod(given[0][2:]) * window
        case "AveragePool" | "MaxPool":
            return moved + math.prod(out) * math.prod(_attribute(node, "kernel_shape", [1])), 0
        case "LSTM" | "GRU" | "RNN":
            steps = math.prod(given[0][:2])
            return moved + steps * (math.prod(given[1]) + math.prod(given[2])), steps * math.prod(given[2][:2])
        case "Attention":
            scores = _scores(node, given)
            return moved + 2 * scores * max(given[0][-1], given[2][-1]), 2 * scores
        case "Einsum":
            everything = _einsum_elements(_attribute(node, "equation", b"").decode(), given)
            return moved + everything, everything
    return moved, 0


def _scores(node: NodeProto, given: Sequence[Sequence[int]]) -> int:
    """Elements of an Attention's scores: every query against every key, for every head."""
    query, key = given[0], given[1]
    past = given[4][2] if len(given) > 4 and given[4] else 0
    heads = query[1] if len(query) == 4 else int(_attribute(node, "q_num_heads", 1))
    return query[0] * heads * query[-2] * (key[-2] + past)


def _einsum_elements(equation: str, given: Sequence[Sequence[int]]) -> int:
    """How many products there are: the lengths of all indices, multiplied."""
    lengths: dict[str, int] = {}
    terms = equation.replace(" ", "").split("->")[0].split(",")
    for term, shape in zip(terms, given, strict=False):
        before, dots, after = term.partition("...")
        hidden = len(shape) - len(before) - len(after)
        names = [*before, *(f"...{i}" for i in range(hidden, 0, -1) if dots), *after]
        for name, length in zip(names, shape, strict=False):
            lengths[name] = max(lengths.get(name, 1), length)
    return math.prod(lengths.values())


def _attribute(node: NodeProto, name: str, otherwise: Any) -> Any:
    found = [helper.get_attribute_value(a) for a in node.attribute if a.name == name]
    return found[0] if found else otherwise


def _shape(kind: TypeProto) -> tuple[int, ...]:
    """Lengths of the axes; -1 for one that is not known."""
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.tensor_type.shape.dim)


def _refused(field: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, field, expected, got)
