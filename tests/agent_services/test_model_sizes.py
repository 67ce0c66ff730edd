"""What a model would need is known before it runs: shapes that it computes, memory, and work."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from agent_services import model_sizes
from agent_services.model_check import check_structure
from agora.errors import Refused

MANY = np.array([2**15, 2**15])
SUM = [("ReduceSum", ["huge"], ["sum"], {"keepdims": 0}), ("Add", ["x", "sum"], ["mean"], {})]


def model(*nodes, opset=20, rows="B", width=8, out=("B", "W"), **weights):
    """``x`` (B, width) through the nodes (operator, inputs, outputs, attributes) to ``mean``."""
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, outputs, **rest) for operator, inputs, outputs, rest in nodes],
        "policy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return proto.SerializeToString()


def through(*nodes, **weights):
    """A model whose tensor ``huge`` is made by the nodes."""
    return model(*nodes, *SUM, **weights)


def floats(*shape):
    return np.ones(shape, np.float32)


def rows_to(*nodes, **weights):
    """``n``: the number of rows, as int64 (1,), through the nodes to the shape ``k``."""
    count = [("Shape", ["x"], ["s"], {}), ("Gather", ["s", "first"], ["n"], {})]
    return through(*count, *nodes, ("ConstantOfShape", ["k"], ["huge"], {}), first=np.array([0]), **weights)


TOO_LARGE = {
    "ConstantOfShape": lambda: through(("ConstantOfShape", ["k"], ["huge"], {}), k=MANY),
    "Expand": lambda: through(("Expand", ["one", "k"], ["huge"], {}), k=MANY, one=floats(1)),
    "Tile": lambda: through(("Tile", ["x", "k"], ["huge"], {}), k=np.array([1, 2**24])),
    "Range": lambda: through(
        ("Range", ["a", "b", "c"], ["r"], {}), ("Cast", ["r"], ["huge"], {"to": 1}),
        a=np.int64(0), b=np.int64(2**40), c=np.int64(1),
    ),
    "OneHot": lambda: through(
        ("Cast", ["x"], ["i"], {"to": 7}), ("OneHot", ["i", "depth", "values"], ["huge"], {}),
        depth=np.array([2**22]), values=np.array([0, 1], np.float32),
    ),
    "Resize": lambda: through(
        ("Unsqueeze", ["x", "axes"], ["y"], {}), ("Resize", ["y", "", "scales"], ["huge"], {}),
        axes=np.array([1, 2]), scales=np.array([1, 1, 4096, 4096], np.float32),
    ),
    "Pad": lambda: through(("Pad", ["x", "p"], ["huge"], {}), p=np.array([0, 0, 0, 2**24])),
    "ConvTranspose": lambda: through(
        ("Unsqueeze", ["x", "axes"], ["y"], {}), ("ConvTranspose", ["y", "w"], ["huge"], {"strides": [2**21]}),
        axes=np.array([1]), w=floats(1, 1, 1),
    ),
    "MatMul": lambda: through(("MatMul", ["a", "b"], ["huge"], {}), a=floats(100_000, 1), b=floats(1, 100_000)),
    "a computed shape": lambda: through(
        ("Mul", ["k", "k"], ["kk"], {}), ("ConstantOfShape", ["kk"], ["huge"], {}), k=np.array([2**15])
    ),
    "fewer rows": lambda: rows_to(("Div", ["most", "n"], ["k"], {}), most=np.array([2**31])),
    "a power of the rows": lambda: rows_to(("Mul", ["n", "n"], ["m"], {}), ("Mul", ["m", "m"], ["l"], {}),
        ("Mul", ["l", "l"], ["k"], {}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TOO_LARGE)
def test_no_operator_makes_a_tensor_beyond_the_limit(name):
    with pytest.raises(Refused, match=r"MODEL: model\.\w+: expected at most 16777216 elements, got \d{8,}"):
        check_structure(TOO_LARGE[name]())


def test_a_shape_that_hangs_on_the_observation_is_refused():
    numbers = [("Cast", ["x"], ["i"], {"to": 7}), ("ReduceMax", ["i"], ["m"], {"keepdims": 0})]
    shape = [("Reshape", ["m", "one"], ["k"], {}), ("ConstantOfShape", ["k"], ["huge"], {})]
    with pytest.raises(Refused, match=r"a shape that can be known beforehand, got .* from ConstantOfShape"):
        check_structure(through(*numbers, *shape, one=np.array([1])))


def test_one_unknown_axis_is_enough():
    depth = [("Cast", ["x"], ["i"], {"to": 7}), ("ReduceMax", ["i"], ["d"], {"keepdims": 0})]
    with pytest.raises(Refused, match=r"beforehand, got \[16, 8, None\] from OneHot"):
        check_structure(through(*depth, ("OneHot", ["i", "d", "v"], ["huge"], {}), v=np.array([0, 1], np.float32)))


def test_memory_is_counted_for_all_that_is_needed_at_one_time():
    """A chain of tensors of 64 MiB frees each as it goes; the same tensors side by side are too many."""
    wide = [("Tile", ["x", "k"], ["t0"], {})]
    chain = [("Relu", [f"t{i}"], [f"t{i + 1}"], {}) for i in range(40)]
    last = [("ReduceSum", ["t40"], ["huge"], {})]
    assert check_structure(through(*wide, *chain, *last, k=np.array([1, 2**17]))) == range(16, 17, 16)
    beside = [("Relu", ["t0"], [f"u{i}"], {}) for i in range(8)]
    together = [("Sum", [f"u{i}" for i in range(8)], ["huge"], {})]
    with pytest.raises(Refused, match="at most 536870912 bytes at one time, got 603979776 at Relu"):
        check_structure(through(*wide, *beside, *together, k=np.array([1, 2**17])))


def test_what_the_runtime_computes_once_it_keeps():
    """Each constant of 16 MiB is summed at once; folded beforehand, all of them stay."""
    nodes = []
    for i in range(40):
        nodes += [("ConstantOfShape", ["k"], [f"c{i}"], {}), ("ReduceSum", [f"c{i}"], [f"r{i}"], {"keepdims": 0})]
    with pytest.raises(Refused, match="at most 536870912 bytes at one time"):
        check_structure(through(*nodes, ("Sum", [f"r{i}" for i in range(40)], ["huge"], {}), k=np.array([2**22])))


HEAVY = {
    "MatMul": lambda n: [("MatMul", ["x", "w"], ["t0"], {}), *_chain("MatMul", n)],
    "Gemm": lambda n: [("Gemm", ["x", "w"], ["t0"], {}), *_chain("Gemm", n)],
}


def _chain(operator, n):
    return [(operator, [f"t{i}", "w"], [f"t{i + 1}"], {}) for i in range(n)] + [("Identity", [f"t{n}"], ["mean"], {})]


@pytest.mark.parametrize("operator", HEAVY)
def test_work_is_counted(operator):
    """16 rows by 1024 x 1024 are 2**24 multiplications, beside what is moved; 953 of them are above 16e9."""
    build = HEAVY[operator]
    assert check_structure(model(*build(50), width=1024, w=floats(1024, 1024)))[0] == 16
    with pytest.raises(Refused, match="at most 16000000000 multiplications"):
        check_structure(model(*build(953), width=1024, w=floats(1024, 1024)))


SCRATCH = {
    "Einsum": lambda: through(("Einsum", ["x", "w"], ["huge"], {"equation": "bi,jk->b"}), w=floats(1024, 2048)),
    "Einsum ...": lambda: through(("Einsum", ["x", "w"], ["huge"], {"equation": "...i,jk->..."}), w=floats(1024, 2048)),
    "Attention": lambda: through(
        ("Reshape", ["x", "k"], ["q"], {}), ("Tile", ["q", "t"], ["y"], {}),
        ("Attention", ["y", "y", "y"], ["huge"], {}),
        opset=23, k=np.array([-1, 1, 1, 8]), t=np.array([1, 1, 4096, 1]),
    ),
    "Conv": lambda: through(
        ("Reshape", ["x", "k"], ["q"], {}), ("Resize", ["q", "", "s"], ["r"], {}),
        ("Conv", ["r", "w"], ["huge"], {"pads": [32, 32, 31, 31]}),
        k=np.array([-1, 8, 1, 1]), s=np.array([1, 1, 64, 64], np.float32), w=floats(1, 8, 64, 64),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRATCH)
def test_so_is_what_an_operator_needs_beside_its_output(name):
    with pytest.raises(Refused, match=f"bytes at one time, got .* at {name.split()[0]}"):
        check_structure(SCRATCH[name]())


def test_sizes_are_known_for_every_count_of_rows_that_is_run():
    """Those that a model computes from the rows are looked at one by one; others grow with the rows."""
    plain = [("Relu", ["x"], ["mean"], {})]
    assert check_structure(model(*plain)) == range(16, 4097, 16)
    reads = [("Shape", ["x"], ["s"], {}), ("Expand", ["one", "s"], ["o"], {}), ("Add", ["x", "o"], ["mean"], {})]
    assert check_structure(model(*reads, one=floats(1))) == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert check_structure(model(*reads, one=floats(1), rows=1)) == (1,)
    wide = [("Tile", ["x", "k"], ["t"], {}), ("ReduceMax", ["t", "k1"], ["mean"], {})]
    most = check_structure(model(*wide, k=np.array([1, 2**14]), k1=np.array([1])))  # 2**17 elements a row
    assert most == range(16, 129, 16)


def branches(then_width, otherwise_width, condition):
    """If: x's first numbers, as many as the branch says."""

    def branch(name, width):
        nodes = [
            helper.make_node("Constant", [], [f"{name}_k"], value_ints=[1, width]),
            helper.make_node("Tile", ["x", f"{name}_k"], [name]),
        ]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "W"])])

    rest = {"then_branch": branch("a", then_width), "else_branch": branch("b", otherwise_width)}
    return model(*condition, ("If", ["c"], ["mean"], rest), zero=np.array(0.0, np.float32), eight=np.array([8]))


SHAPED = [
    ("Shape", ["x"], ["s"], {"start": 1}), ("Equal", ["s", "eight"], ["e"], {}), ("Squeeze", ["e"], ["c"], {}),
]  # fmt: skip
SEEN = [("ReduceSum", ["x"], ["sum"], {"keepdims": 0}), ("Greater", ["sum", "zero"], ["c"], {})]


def test_both_branches_of_an_if_are_checked():
    check_structure(branches(1, 2, SHAPED))
    check_structure(branches(2, 2, SEEN))
    with pytest.raises(Refused, match="two branches that differ"):
        check_structure(branches(1, 2, SEEN))
    for widths in ((1, 2**24), (2**24, 1)):
        with pytest.raises(Refused, match="at most 16777216 elements"):
            check_structure(branches(*widths, SHAPED))


def test_strings_and_containers_are_no_numbers():
    with pytest.raises(Refused, match="a tensor of numbers, got strings from Cast"):
        check_structure(model(("Cast", ["x"], ["t"], {"to": 8}), ("Cast", ["t"], ["mean"], {"to": 1})))


DIVISION = """
import sys
import numpy as np, onnxruntime as ort
ort.InferenceSession(sys.stdin.buffer.read()).run(None, {"x": np.full((1, 8), -(2.0**63), np.float32)})
"""


def divided(operator, by, **weights):
    return model(
        ("Cast", ["x"], ["i"], {"to": 7}), (operator, ["i", by], ["q"], {}), ("Cast", ["q"], ["mean"], {"to": 1}),
        **weights,
    )  # fmt: skip


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_a_division_that_ends_the_process_is_refused(operator):
    """The smallest of all whole numbers divided by -1 is no number: the processor itself complains."""
    fatal = divided(operator, "d", d=np.array([-1]))
    done = subprocess.run([sys.executable, "-c", DIVISION], input=fatal, capture_output=True, check=False)
    assert done.returncode < 0, "onnxruntime has learned it: the rule can go"
    for by in (np.array([-1]), np.array([0]), np.array([2, -1, 2, 2, 2, 2, 2, 2])):
        with pytest.raises(Refused, match="whole numbers divided by constants other than 0 and -1"):
            check_structure(divided(operator, "d", d=by))
    with pytest.raises(Refused, match="one that hangs on the observation"):
        check_structure(divided(operator, "i"))
    check_structure(divided(operator, "d", d=np.array([3])))


def test_computed_shapes_are_those_of_the_runtime():
    """Every output of a model full of shape arithmetic has the shape that onnxruntime gives it."""
    nodes = [
        ("Shape", ["x"], ["s"], {}), ("Gather", ["s", "first"], ["n"], {}), ("Mul", ["n", "two"], ["n2"], {}),
        ("Concat", ["n2", "four"], ["k"], {"axis": 0}), ("Reshape", ["x", "k"], ["y"], {}),
        ("Slice", ["y", "first", "two", "one"], ["z"], {}), ("Shape", ["z"], ["zs"], {}),
        ("ConstantOfShape", ["zs"], ["o"], {}), ("Equal", ["zs", "four"], ["e"], {}),
        ("Where", ["e", "two", "zs"], ["w"], {}), ("Expand", ["one_f", "w"], ["v"], {}),
        ("ReduceProd", ["w"], ["p"], {"keepdims": 0}), ("Range", ["zero_s", "p", "one_s"], ["r"], {}),
        ("Cast", ["r"], ["mean"], {"to": 1}), ("Size", ["z"], ["q"], {}),
    ]  # fmt: skip
    weights = {
        "first": np.array([0]), "two": np.array([2]), "four": np.array([4]), "one": np.array([1]),
        "one_f": floats(1), "zero_s": np.int64(0), "one_s": np.int64(1),
    }  # fmt: skip
    proto = onnx.load_model_from_string(model(*nodes, out=["N"], **weights))
    run = model_sizes._Run(model_sizes.Sizes(proto), proto.graph, 16)
    names = [outputs[0] for _, _, outputs, _ in nodes]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "mean")
    found = ort.InferenceSession(proto.SerializeToString()).run(names, {"x": floats(16, 8)})
    assert {n: model_sizes._shape(run.types[n]) for n in names} == {
        n: v.shape for n, v in zip(names, found, strict=True)
    }
    assert found[names.index("mean")].tolist() == list(range(64))  # z is (32, 2), and w too
    for name in {"s", "n", "n2", "k", "zs", "e", "w", "p", "q"}:
        assert np.array_equal(run.known[name], found[names.index(name)]), name


def moved(*lengths):
    return 10 * sum(lengths)


# Multiplications by hand, at 16 rows of 8 numbers; each model is one operator behind a Reshape to (16, 1, 8), which
# itself moves 128 numbers in, 128 out and a shape of 3.
SHAPED_UP = moved(128, 128, 3)
WORK = {
    "Conv": (  # 16 rows, 4 channels, 6 places, each of 3 products
        ("Conv", ["y", "w"], ["mean"], {}), {"w": floats(4, 1, 3)}, moved(128, 12, 384) + 384 * 3,
    ),
    "ConvTranspose": (
        ("ConvTranspose", ["y", "w"], ["mean"], {}), {"w": floats(1, 4, 3)}, moved(128, 12, 640) + 128 * 4 * 3,
    ),
    "MaxPool": (("MaxPool", ["y"], ["mean"], {"kernel_shape": [4]}), {}, moved(128, 80) + 80 * 4),
    "AveragePool": (("AveragePool", ["y"], ["mean"], {"kernel_shape": [2]}), {}, moved(128, 112) + 112 * 2),
    "LSTM": (  # a sequence of 16 with one row: 4 gates of 5 units see 8 inputs and 5 of their own
        ("LSTM", ["y", "w", "r"], ["mean"], {"hidden_size": 5}),
        {"w": floats(1, 20, 8), "r": floats(1, 20, 5)}, moved(128, 160, 100, 80) + 16 * 20 * (8 + 5),
    ),
    "MatMul": (("MatMul", ["y", "w"], ["mean"], {}), {"w": floats(8, 7)}, moved(128, 56, 112) + 16 * 8 * 7),
    "Einsum": (
        ("Einsum", ["y", "w"], ["mean"], {"equation": "abc,cd->abd"}), {"w": floats(8, 7)},
        moved(128, 56, 112) + 16 * 8 * 7,
    ),
    "Neg": (("Neg", ["y"], ["mean"], {}), {}, moved(128, 128)),
}  # fmt: skip


@pytest.mark.parametrize("name", WORK)
def test_work_is_what_it_is_by_hand(monkeypatch, name):
    node, weights, expected = WORK[name]
    data = model(("Reshape", ["x", "k"], ["y"], {}), node, k=np.array([-1, 1, 8]), **weights)
    monkeypatch.setattr(model_sizes, "MAX_WORK", SHAPED_UP + expected)
    assert check_structure(data)[0] == 16
    monkeypatch.setattr(model_sizes, "MAX_WORK", SHAPED_UP + expected - 1)
    with pytest.raises(Refused, match=f"got {SHAPED_UP + expected} up to {name}"):
        check_structure(data)


def test_memory_is_what_it_is_by_hand():
    """16 x 8 x 1024 x 2048 products of 4 bytes, beside the 16 sums of the answer."""
    with pytest.raises(Refused, match=f"got {4 * (2**28 + 16)} at Einsum"):
        check_structure(SCRATCH["Einsum"]())


def test_attention_of_heads_side_by_side(monkeypatch):
    """(16, 4, 2): 2 heads of width 1 for queries and keys, and values of width 3 a head."""
    shape, wide = ("Reshape", ["x", "k"], ["y"], {}), ("Tile", ["y", "t"], ["v"], {})
    attention = ("Attention", ["y", "y", "v"], ["mean"], {"q_num_heads": 2, "kv_num_heads": 2})
    data = model(shape, wide, attention, opset=23, k=np.array([-1, 4, 2]), t=np.array([1, 1, 3]))
    scores, width = 16 * 2 * 4 * 4, 6  # bounded by the widest of all heads together
    expected = moved(128, 128, 3) + moved(128, 3, 384) + moved(128, 384, 384) + 2 * scores * width
    monkeypatch.setattr(model_sizes, "MAX_WORK", expected - 1)
    with pytest.raises(Refused, match=f"got {expected} up to Attention"):
        check_structure(data)


def test_attention_sees_what_is_past(monkeypatch):
    """3 keys more for the 4 queries of 2 heads in 16 rows."""
    shape, past = ("Reshape", ["x", "k"], ["y"], {}), floats(16, 2, 3, 1)
    attention = ("Attention", ["y", "y", "y", "", "past", "past"], ["mean", "keys", "values"], {})
    data = model(shape, attention, opset=23, k=np.array([-1, 2, 4, 1]), past=past)
    keys = 16 * 2 * (4 + 3)
    expected = moved(128, 128, 4) + moved(128, past.size, 128, keys, keys) + 2 * 16 * 2 * 4 * (4 + 3)
    monkeypatch.setattr(model_sizes, "MAX_WORK", expected - 1)
    with pytest.raises(Refused, match=f"got {expected} up to Attention"):
        check_structure(data)


def test_attention_is_every_query_against_every_key(monkeypatch):
    """16 rows, 2 heads, 4 queries and keys of width 1: twice 16 * 2 * 4 * 4 products, for the scores and the values."""
    shape = ("Reshape", ["x", "k"], ["y"], {})
    data = model(shape, ("Attention", ["y", "y", "y"], ["mean"], {}), opset=23, k=np.array([-1, 2, 4, 1]))
    expected = moved(128, 128, 4) + moved(128, 128) + 2 * 16 * 2 * 4 * 4
    monkeypatch.setattr(model_sizes, "MAX_WORK", expected)
    assert check_structure(data)[0] == 16
    monkeypatch.setattr(model_sizes, "MAX_WORK", expected - 1)
    with pytest.raises(Refused, match=f"got {expected} up to Attention"):
        check_structure(data)
