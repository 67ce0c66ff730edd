"""Tensors of the Open Inference Protocol as servers send them: raw, as numbers, and wrong."""

import numpy as np
import pytest

from agent_services.policies.remote import oip_pb2 as pb
from agent_services.policies.remote.tensors import DTYPES, Output, read_output
from agora.errors import Refused
from agora.v1 import policy_pb2

FIELDS = {
    "BOOL": ("bool_contents", [True, False, True, True]),
    "UINT8": ("uint_contents", [0, 1, 254, 255]),
    "UINT16": ("uint_contents", [0, 1, 2, 65_535]),
    "UINT32": ("uint_contents", [0, 1, 2, 4_294_967_295]),
    "UINT64": ("uint64_contents", [0, 1, 2, 18_446_744_073_709_551_615]),
    "INT8": ("int_contents", [-128, 127, 0, 1]),
    "INT16": ("int_contents", [-32_768, 32_767, 0, 1]),
    "INT32": ("int_contents", [-2_147_483_648, 2_147_483_647, 0, 1]),
    "INT64": ("int64_contents", [-9_223_372_036_854_775_808, 9_223_372_036_854_775_807, 0, 1]),
    "FP32": ("fp32_contents", [0.5, -0.25, 3.0, 1e30]),
    "FP64": ("fp64_contents", [0.1, -0.2, 3.0, 1e300]),
}


def answered(datatype="FP32", shape=(2, 2), values=(), raw=None, name="mean", before=()):
    response = pb.ModelInferResponse()
    for other, data in before:
        response.outputs.add(name=other, datatype="BYTES", shape=[1])
        response.raw_output_contents.append(data)
    output = response.outputs.add(name=name, datatype=datatype, shape=shape)
    if raw is None:
        getattr(output.contents, FIELDS[datatype][0]).extend(values)
    else:
        response.raw_output_contents.append(raw)
    return response


def read(response, datatype="FP32", shape=(2,)):
    into = np.empty((2, *shape), DTYPES[datatype])
    read_output(response, Output("mean", shape, into.dtype, (datatype,)), into)
    return into


@pytest.mark.parametrize("datatype", FIELDS)
def test_numbers_and_bytes_say_the_same(datatype):
    values = np.array(FIELDS[datatype][1], DTYPES[datatype]).reshape(2, 2)
    assert (read(answered(datatype, values=FIELDS[datatype][1]), datatype) == values).all()
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    assert (read(answered(datatype, raw=raw, before=[("text", b"\0")]), datatype) == values).all()


def test_a_column_of_scalars_has_one_axis_or_two():
    for shape in ((2,), (2, 1)):
        assert read(answered("INT64", shape, [4, -7]), "INT64", ()).tolist() == [4, -7]


@pytest.mark.parametrize(
    ("response", "expected", "got"),
    [
        (pb.ModelInferResponse(), "this output", "[]"),
        (answered(name="price", values=[0.0] * 4), "this output", "['price']"),
        (answered(shape=(2, 3), values=[0.0] * 6), "FP32 [2, 2]", "FP32 [2, 3]"),
        (answered(shape=(-2, -2), values=[0.0] * 4), "FP32 [2, 2]", "FP32 [-2, -2]"),
        (answered("FP64", values=[0.0] * 4), "FP32 [2, 2]", "FP64 [2, 2]"),
        (answered(values=[0.0] * 3), "4 values", "3"),
        (answered(), "4 values", "0"),
        (answered(raw=b"\0" * 15), "16 bytes", "15 bytes"),
        (answered(raw=b""), "16 bytes", "0 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_outputs_name(response, expected, got):
    with pytest.raises(Refused) as caught:
        read(response)
    error = caught.value
    assert (error.reason, error.field) == (policy_pb2.REASON_MODEL, "model.outputs.mean")
    assert expected in error.expected and got in error.got


def test_bytes_that_are_missing_and_numbers_that_do_not_fit_are_refused():
    lacking = answered(values=[0.0] * 4, before=[])
    lacking.raw_output_contents.append(b"\0" * 16)
    lacking.outputs.insert(0, pb.ModelInferResponse.InferOutputTensor(name="first"))
    with pytest.raises(Refused, match="0 bytes"):
        read(lacking)
    with pytest.raises(Refused, match="INT8"):
        read(answered("INT8", values=[0, 1, 2, 300]), "INT8")
