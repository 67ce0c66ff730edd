"""Users' nested values as leaves and back: order, names of what is wrong, kinds of numbers, masks."""

from collections import OrderedDict

import numpy as np
import pytest
from gymnasium import spaces

from agora.clients.values import cast, join, mask, one, split
from agora.errors import Refused
from agora.spaces import leaves
from agora.v1 import policy_pb2

NESTED = spaces.Dict(
    [
        ("z", spaces.Discrete(3)),
        ("a", spaces.Tuple([spaces.Box(-1.0, 1.0, (2,), np.float32), spaces.MultiDiscrete([2, 3])])),
    ]
)
VALUE = {"a": ([0.5, -0.5], [1, 2]), "z": 2}


def only(space):
    (leaf,) = leaves(space)
    return leaf


def test_leaves_come_in_the_spaces_order_with_their_names():
    found = list(split(NESTED, VALUE, "x.action"))
    assert found == [("x.action.z", 2), ("x.action.a.0", [0.5, -0.5]), ("x.action.a.1", [1, 2])]
    assert list(split(spaces.Discrete(2), 1, "x")) == [("x", 1)]
    assert next(split(NESTED, OrderedDict(VALUE), "x")) == ("x.z", 2)


@pytest.mark.parametrize(
    ("value", "field", "expected", "got"),
    [
        ({"z": 2}, "x", "a mapping with ['a', 'z']", "['z']"),
        ({**VALUE, "b": 1}, "x", "a mapping with ['a', 'z']", "['a', 'b', 'z']"),
        ({"z": 2, "b": 1}, "x", "a mapping with ['a', 'z']", "['b', 'z']"),
        ([2, 3], "x", "a mapping with ['a', 'z']", "list"),
        ({"z": 2, "a": (1,)}, "x.a", "2 members", "(1,)"),
        ({"z": 2, "a": (1, 2, 3)}, "x.a", "2 members", "(1, 2, 3)"),
        ({"z": 2, "a": {1, 2}}, "x.a", "2 members", "{1, 2}"),
    ],
)
def test_members_that_are_missing_or_too_many(value, field, expected, got):
    with pytest.raises(Refused) as refused:
        list(split(NESTED, value, "x"))
    assert (refused.value.field, refused.value.expected, refused.value.got) == (field, expected, got)
    assert refused.value.reason == policy_pb2.REASON_SHAPE


def test_joined_values_are_what_was_split():
    parts = [np.array(2), np.array([0.5, -0.5], np.float32), np.array([1, 2])]
    found = join(NESTED, iter(parts))
    assert list(found) == ["z", "a"] and isinstance(found["a"], tuple)
    assert isinstance(found["z"], np.int64) and found["z"] == 2
    assert found["a"][0] is parts[1] and found["a"][1] is parts[2]
    batch = join(spaces.Discrete(3), iter([np.array([0, 2])]))
    assert batch.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Box(0.0, 9.0, (2,), np.float32), [1, 2], np.array([[1, 2]], np.float32)),
        (spaces.Box(0.0, 9.0, (), np.float64), True, np.array([1.0])),
        (spaces.Discrete(3, start=2), np.int8(4), np.array([4])),
        (spaces.Discrete(2), True, np.array([1])),
        (spaces.MultiBinary(2), [True, False], np.array([[1, 0]], np.int8)),
        (spaces.Box(0, 255, (2,), np.uint8), np.array([0, 255]), np.array([[0, 255]], np.uint8)),
        (spaces.Box(-128, 127, (2,), np.int8), [-128, 127], np.array([[-128, 127]], np.int8)),
        (spaces.Box(0, 1, (2,), np.bool_), [0, 1], np.array([[False, True]])),
        (spaces.Box(0, 1, (0,), np.int32), np.zeros(0, np.int64), np.zeros((1, 0), np.int32)),
    ],
    ids=str,
)
def test_numbers_become_the_leafs(space, value, expected):
    found = cast(only(space), value, None, "x")
    assert found.dtype == expected.dtype and np.array_equal(found, expected)
    rows = cast(only(space), np.stack([np.asarray(value)] * 3), 3, "x")
    assert rows.dtype == expected.dtype and np.array_equal(rows, np.concatenate([expected] * 3))


@pytest.mark.parametrize(
    ("space", "value", "reason", "expected"),
    [
        (spaces.Discrete(3), 1.0, policy_pb2.REASON_DATA_TYPE, "int64"),
        (spaces.Box(0, 1, (1,), np.bool_), [1.0], policy_pb2.REASON_DATA_TYPE, "bool"),
        (spaces.Box(0, 1, (1,), np.float32), ["1"], policy_pb2.REASON_DATA_TYPE, "float32"),
        (spaces.Box(0, 1, (1,), np.float32), [1j], policy_pb2.REASON_DATA_TYPE, "float32"),
        (spaces.Box(0, 1, (2,), np.float32), [[1], [1, 2]], policy_pb2.REASON_SHAPE, "float32 [2]"),
        (spaces.Box(0, 1, (2,), np.float32), [1], policy_pb2.REASON_SHAPE, "[1, 2]"),
        (spaces.Box(0, 255, (1,), np.uint8), [256], policy_pb2.REASON_OUT_OF_BOUNDS, "[0, 255]"),
        (spaces.Box(0, 255, (2,), np.uint8), [0, -1], policy_pb2.REASON_OUT_OF_BOUNDS, "[0, 255]"),
        (spaces.Box(-128, 127, (2,), np.int8), [0, -129], policy_pb2.REASON_OUT_OF_BOUNDS, "[-128, 127]"),
        (spaces.Box(-128, 127, (2,), np.int8), [0, 128], policy_pb2.REASON_OUT_OF_BOUNDS, "[-128, 127]"),
        (spaces.Discrete(3), 2**63, policy_pb2.REASON_OUT_OF_BOUNDS, f"[{-(2**63)}, {2**63 - 1}]"),
        (spaces.Discrete(3), 3, policy_pb2.REASON_OUT_OF_BOUNDS, "[0, 2]"),
        (spaces.Box(0, 1, (2,), np.bool_), [0, 2], policy_pb2.REASON_OUT_OF_BOUNDS, "False and True"),
        (spaces.Box(0, 1, (2,), np.bool_), [1, -1], policy_pb2.REASON_OUT_OF_BOUNDS, "False and True"),
        (spaces.Box(0, 1, (1,), np.float32), [np.nan], policy_pb2.REASON_NOT_FINITE, "finite numbers"),
    ],
    ids=str,
)
def test_numbers_that_are_not_the_leafs(space, value, reason, expected):
    with pytest.raises(Refused) as refused:
        cast(only(space), value, None, "x.action")
    assert (refused.value.field, refused.value.reason) == ("x.action", reason)
    assert refused.value.expected == expected


def test_a_batch_has_as_many_rows_as_asked_for():
    leaf = only(spaces.Discrete(3))
    assert cast(leaf, [0, 1], 2, "x").tolist() == [0, 1]
    for rows in (1, 3):
        with pytest.raises(Refused, match=rf"x: expected \[{rows}\], got \[2\]"):
            cast(leaf, [0, 1], rows, "x")


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(0, 1, (1,), np.bool_)], ids=str)
def test_what_came_is_cut_to_eighty_characters(space):
    with pytest.raises(Refused) as refused:
        cast(only(space), np.full(300, 0.5), None, "x")
    assert len(refused.value.got) == 80 and refused.value.got.startswith("float64: array([0.5")
    with pytest.raises(Refused) as refused:
        cast(only(space), [2**64 - 1] * 20, None, "x")
    assert len(refused.value.got) == 80 and refused.value.got == repr([2**64 - 1] * 20)[:80]


def test_one_of_a_batch_is_the_callers_to_keep():
    batch = np.array([[1, 2], [3, 4]])
    first = one(batch)
    batch[0] = 9
    assert first.tolist() == [1, 2]
    first[0] = 7
    assert batch.tolist() == [[9, 9], [3, 4]]


MASKS = [
    np.array([[1, 0, 1], [0, 1, 1]], np.uint8),
    None,
    np.array([[1, 0, 0, 1, 1], [1, 1, 1, 0, 0]], np.uint8),
]


def test_masks_have_the_form_that_samples_take():
    found = mask(NESTED, iter(MASKS), whole=False)
    assert found["z"].tolist() == [1, 0, 1] and found["z"].dtype == np.int8
    box, choices = found["a"]
    assert box is None
    assert [part.tolist() for part in choices] == [[1, 0], [0, 1, 1]] and choices[0].dtype == np.int8
    for _ in range(20):
        drawn = NESTED.sample(mask=found)
        assert drawn["z"] in (0, 2) and drawn["a"][1][0] == 0 and drawn["a"][1][1] in (1, 2)


def test_whole_batches_of_masks():
    found = mask(NESTED, iter(MASKS), whole=True)
    assert found["z"].tolist() == [[1, 0, 1], [0, 1, 1]]
    assert [part.tolist() for part in found["a"][1]] == [[[1, 0], [1, 1]], [[0, 1, 1], [1, 0, 0]]]


def test_masks_are_for_choices_only():
    some = np.ones((1, 2), np.uint8)
    assert mask(spaces.Box(0.0, 1.0, (2,)), iter([some]), whole=False) is None
    assert mask(spaces.MultiBinary(2), iter([some]), whole=False) is None
    assert mask(spaces.Discrete(2), iter([None]), whole=False) is None
    square = spaces.MultiDiscrete([[2, 1], [1, 2]])
    parts = mask(square, iter([np.array([[1, 0, 1, 1, 0, 1]], np.uint8)]), whole=False)
    assert [part.tolist() for part in parts] == [[1, 0], [1], [1], [0, 1]]
