"""Messages written by hand are the messages that protobuf writes."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from agora import wire
from agora.codec import to_tensor
from agora.v1 import agent_pb2, tensor_pb2


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_what_protobuf_writes(number):
    hello = agent_pb2.AgentHello(seed=number).SerializeToString()
    assert (hello or b"\x28\x00") == b"\x28" + wire.varint(number)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20_000])
def test_an_opening_and_its_bytes_are_a_field(length):
    text = b"x" * length
    assert tensor_pb2.Tensor.FromString(wire.opening(3, length) + text).data == text


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 0, 4), (40, 1000)])
def test_a_tensor_in_a_field(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    raw = wire.tensor_opening(4, array.dtype, array.shape) + array.tobytes()
    read = agent_pb2.Observations.FromString(raw)
    assert list(read.observation) == [to_tensor(array)]
