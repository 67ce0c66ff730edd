"""JSON of every kind of leaf: schemas where bounds differ, what is cut, what stands for what."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.gateways.openenv.values import from_json, numbers, record, schema, shown, to_json


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Box(np.array([-1.0, 2.0]), np.array([3.0, 9.0]), dtype=np.float64),
         {"type": "number", "minimum": -1.0, "maximum": 9.0}),
        (spaces.Box(np.array([-np.inf, 2.0]), np.array([3.0, np.inf]), dtype=np.float64), {"type": "number"}),
        (spaces.Box(np.array([1.0, 2.0], np.float32), np.inf, (2,)), {"type": "number", "minimum": 1.0}),
        (spaces.Box(-np.inf, np.array([1.0, 2.0], np.float32), (2,)), {"type": "number", "maximum": 2.0}),
        (spaces.Box(-128, 127, (2,), np.int8), {"type": "integer", "minimum": -128, "maximum": 127}),
        (spaces.Box(0, 1, (2,), np.bool_), {"type": "boolean"}),
        (spaces.MultiBinary(2), {"type": "integer", "minimum": 0, "maximum": 1}),
        (spaces.MultiDiscrete([2, 5]), {"type": "integer", "minimum": 0, "maximum": 4}),
    ],
    ids=str,
)  # fmt: skip
def test_bounds_of_a_schema_hold_for_all_elements(space, expected):
    assert schema(space) == {"type": "array", "items": expected, "minItems": 2, "maxItems": 2}


def test_shapes_are_nested_from_outside():
    found = schema(spaces.Box(0.0, 1.0, (2, 3), np.float32))
    assert (found["minItems"], found["maxItems"]) == (2, 2)
    assert (found["items"]["minItems"], found["items"]["maxItems"]) == (3, 3)
    empty = schema(spaces.Box(0.0, 1.0, (0,), np.float32))
    assert empty == {"type": "array", "items": {"type": "number"}, "minItems": 0, "maxItems": 0}


def test_objects_have_what_they_must_and_no_more():
    members = {"a": {"type": "integer"}, "b": {"type": "number"}}
    expected = {"type": "object", "properties": members, "additionalProperties": False}
    assert record(members) == expected | {"required": ["a", "b"]}
    assert record(members, optional=("b",)) == expected | {"required": ["a"]}


SPACE = spaces.Dict(
    {
        "pair": spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (1,), np.bool_)]),
        "inner": spaces.Dict({"x": spaces.Box(-1.0, 1.0, (2, 1), np.float64)}),
    }
)


@pytest.mark.parametrize("seed", range(5))
def test_samples_come_back_as_they_went(seed):
    SPACE.seed(seed)
    value = SPACE.sample()
    told = {"pair": [int(value["pair"][0]), value["pair"][1].tolist()], "inner": {"x": value["inner"]["x"].tolist()}}
    found = from_json(SPACE, json.loads(json.dumps(told)), "a")
    assert set(found) == {"pair.0", "pair.1", "inner.x"}
    assert all(len(values) == 1 for values in found.values())
    assert to_json(SPACE, found) == told


def test_only_the_first_row_is_told():
    seen = {"x": np.array([[1, 2], [3, 4]])}
    assert to_json(spaces.Dict({"x": spaces.MultiDiscrete([5, 5])}), seen) == {"x": [1, 2]}


def test_numbers_that_are_not_finite_are_none_and_the_rest_stay():
    assert numbers(np.array([1.5, np.inf, -2.0])) == [1.5, None, -2.0]
    assert numbers(np.array([[np.nan], [2.0]], np.float32)) == [[None], [2.0]]
    assert numbers(np.array(np.nan)) is None
    assert numbers(np.array([1, 2])) == [1, 2] and numbers(np.array(True)) is True


@pytest.mark.parametrize(
    ("space", "value", "reason"),
    [
        (spaces.Box(0, 1, (), np.bool_), 1, policy_pb2.REASON_DATA_TYPE),
        (spaces.Discrete(2), True, policy_pb2.REASON_DATA_TYPE),
        (spaces.Box(0.0, 1.0, (), np.float32), True, policy_pb2.REASON_DATA_TYPE),
        (spaces.Box(0, 255, (), np.uint8), 256, policy_pb2.REASON_OUT_OF_BOUNDS),
        (spaces.Box(0, 255, (), np.uint8), -1, policy_pb2.REASON_OUT_OF_BOUNDS),
        (spaces.Box(0, 9, (2,), np.uint8), [9, 256], policy_pb2.REASON_OUT_OF_BOUNDS),
        (spaces.Box(0.0, 1.0, (2,), np.float32), [], policy_pb2.REASON_SHAPE),
        (spaces.Box(0.0, 1.0, (2,), np.float32), [1, 0, 1], policy_pb2.REASON_SHAPE),
        (spaces.Tuple([spaces.Discrete(2)]), {"0": 1}, policy_pb2.REASON_SPEC_MISMATCH),
        (spaces.Dict({"a": spaces.Discrete(2)}), [["a", 1]], policy_pb2.REASON_SPEC_MISMATCH),
        (spaces.Dict({"a": spaces.Discrete(2)}), {}, policy_pb2.REASON_SPEC_MISMATCH),
    ],
    ids=str,
)
def test_what_stands_for_nothing_else(space, value, reason):
    with pytest.raises(Refused) as refused:
        from_json(space, value, "a")
    assert refused.value.reason == reason


def test_whole_numbers_may_stand_for_real_ones():
    assert from_json(spaces.Box(0.0, 3.0, (2,), np.float32), [1, 2], "a")[""].tolist() == [[1.0, 2.0]]
    assert from_json(spaces.Box(0.0, 1.0, (0,), np.float32), [], "a")[""].shape == (1, 0)
    assert from_json(spaces.Box(0, 255, (), np.uint8), 255, "a")[""].dtype == np.uint8


def test_what_is_longer_than_eighty_characters_is_cut():
    assert shown("x" * 78) == "'" + "x" * 78 + "'"
    assert shown("x" * 79) == "'" + "x" * 79 + "..."
