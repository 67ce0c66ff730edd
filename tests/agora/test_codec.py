"""The tensor codec: every type there and back, bytes as the contract says, and refusals that name the fault."""

import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as npst

from agora.codec import from_numbers, from_tensor, to_tensor
from agora.errors import Refused
from agora.v1 import policy_pb2, tensor_pb2 as pb

DTYPES = ["?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f4", "<f8"]


@given(st.sampled_from(DTYPES).flatmap(lambda d: npst.arrays(d, npst.array_shapes(min_dims=0, min_side=0, max_side=4))))
def test_every_array_comes_back_as_it_was(array):
    back = from_tensor(pb.Tensor.FromString(to_tensor(array).SerializeToString()))
    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_bytes_are_little_endian_row_major():
    tensor = to_tensor(np.array([[1, 2], [3, 4]], ">i4").T)
    assert tensor.data == struct.pack("<4i", 1, 3, 2, 4)
    assert list(tensor.shape) == [2, 2] and tensor.data_type == pb.DATA_TYPE_INT32


def test_nothing_is_copied_on_the_way_in():
    tensor = to_tensor(np.arange(8.0))
    array = from_tensor(tensor)
    assert not array.flags.owndata and not array.flags.writeable


@pytest.mark.parametrize(
    ("tensor", "reason", "words"),
    [
        (pb.Tensor(shape=[1], data=b"1234"), policy_pb2.REASON_DATA_TYPE, "number 0"),
        (pb.Tensor(data_type=99, shape=[1]), policy_pb2.REASON_DATA_TYPE, "number 99"),
        (pb.Tensor(data_type=pb.DATA_TYPE_FLOAT32, shape=[2], data=b"1234"), policy_pb2.REASON_SHAPE, "8 bytes"),
        (pb.Tensor(data_type=pb.DATA_TYPE_FLOAT32, shape=[-1], data=b"1234"), policy_pb2.REASON_SHAPE, "-1"),
        (pb.Tensor(data_type=pb.DATA_TYPE_INT8, shape=[2**62, 8], data=b""), policy_pb2.REASON_SHAPE, "0 bytes"),
    ],
)
def test_malformed_tensors_are_refused_by_name(tensor, reason, words):
    with pytest.raises(Refused) as refused:
        from_tensor(tensor, "agents[1].action[0]")
    assert refused.value.reason == reason and refused.value.field == "agents[1].action[0]"
    assert words in str(refused.value)


def test_objects_have_no_place_on_the_wire():
    with pytest.raises(Refused, match="object"):
        to_tensor(np.array([object()]))


def test_numbers_must_fit_the_rows():
    assert from_numbers(struct.pack("<2I", 7, 9), "copies", 2).tolist() == [7, 9]
    with pytest.raises(Refused, match="3 numbers"):
        from_numbers(b"\0" * 8, "copies", 3)
    with pytest.raises(Refused, match="5 bytes"):
        from_numbers(b"\0" * 5, "copies")
