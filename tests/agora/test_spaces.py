"""Spaces there and back, the order of leaves, and checks of values."""

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused
from agora.spaces import MAX_DEPTH, from_proto, leaves, to_proto
from agora.v1 import policy_pb2, space_pb2 as pb

SPACES = [
    spaces.Box(0, 1, (4, 8), np.float32),
    spaces.Box(np.array([0.0, -np.inf]), np.array([2.0, np.inf]), dtype=np.float64),
    spaces.Box(0, 255, (8, 8, 3), np.uint8),
    spaces.Discrete(3, start=2),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiBinary([2, 3]),
    spaces.Dict([("z", spaces.Discrete(2)), ("a", spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.Discrete(4)]))]),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_spaces_come_back_as_they_were(space):
    back = from_proto(pb.Space.FromString(to_proto(space).SerializeToString()))
    assert back == space
    assert [leaf.path for leaf in leaves(back)] == [leaf.path for leaf in leaves(space)]


def test_leaves_keep_the_order_of_members():
    assert [leaf.path for leaf in leaves(SPACES[-1])] == ["z", "a.0", "a.1"]


def test_discrete_leaves_are_numbers_between_their_choices():
    (leaf,) = leaves(spaces.Discrete(3, start=2))
    leaf.check(np.array([2, 4]), 2, "action")
    with pytest.raises(Refused, match=r"action: expected \[2, 4\], got 5 at \[1\]"):
        leaf.check(np.array([2, 5]), 2, "action")


@pytest.mark.parametrize(
    ("values", "reason", "words"),
    [
        (np.zeros((2, 3), np.float64), policy_pb2.REASON_DATA_TYPE, "expected float32, got float64"),
        (np.zeros((3, 3), np.float32), policy_pb2.REASON_SHAPE, "expected [2, 3], got [3, 3]"),
        (np.full((2, 3), np.nan, np.float32), policy_pb2.REASON_NOT_FINITE, "nan at [0, 0]"),
        (np.full((2, 3), 1.5, np.float32), policy_pb2.REASON_OUT_OF_BOUNDS, "expected [0.0, 1.0], got 1.5"),
        (np.array([[0, 0, 0], [0, -1, 0]], np.float32), policy_pb2.REASON_OUT_OF_BOUNDS, "-1.0 at [1, 1]"),
    ],
)
def test_wrong_values_are_refused_by_name(values, reason, words):
    (leaf,) = leaves(spaces.Box(0, 1, (3,), np.float32))
    with pytest.raises(Refused) as refused:
        leaf.check(values, 2, "agents[0].action[0]")
    assert refused.value.reason == reason and words in str(refused.value)


def test_infinity_is_refused_even_where_bounds_are_open():
    (leaf,) = leaves(spaces.Box(-np.inf, np.inf, (1,), np.float32))
    with pytest.raises(Refused) as refused:
        leaf.check(np.array([[np.inf]], np.float32), 1, "x")
    assert refused.value.reason == policy_pb2.REASON_NOT_FINITE


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Sequence(spaces.Discrete(2))], ids=str)
def test_spaces_without_fixed_leaves_are_refused(space):
    with pytest.raises(Refused, match="expected Box, Discrete"):
        to_proto(space)


def test_nothing_and_too_much_are_refused():
    with pytest.raises(Refused, match="well-formed"):
        from_proto(pb.Space())
    with pytest.raises(Refused, match="well-formed"):
        from_proto(pb.Space(discrete=pb.DiscreteSpace(n=0)))
    deep = pb.Space(discrete=pb.DiscreteSpace(n=2))
    for _ in range(MAX_DEPTH + 1):
        deep = pb.Space(tuple=pb.TupleSpace(members=[deep]))
    with pytest.raises(Refused, match="levels"):
        from_proto(deep)


def test_bytes_that_are_no_booleans_are_refused():
    (leaf,) = leaves(spaces.Box(0, 1, (2,), np.bool_))
    leaf.check(np.array([[True, False]]), 1, "x")
    with pytest.raises(Refused, match="x: expected bytes 0 and 1, got 2"):
        leaf.check(np.frombuffer(b"\x02\x00", np.bool_).reshape(1, 2), 1, "x")


def test_bounds_of_booleans_hold():
    (leaf,) = leaves(spaces.Box(1, 1, (1,), np.bool_))
    with pytest.raises(Refused, match=r"expected \[True, True\], got False"):
        leaf.check(np.array([[False]]), 1, "x")


@pytest.mark.parametrize(("low", "high"), [(np.nan, 1.0), (0.0, np.nan), (np.inf, np.inf), (-np.inf, -np.inf)])
def test_bounds_between_which_there_is_no_number_are_refused(low, high):
    space = spaces.Box(0, 1, (1,), np.float64)
    space.low, space.high = np.array([low]), np.array([high])
    with pytest.raises(Refused, match="space: expected"):
        leaves(space)


def test_no_more_levels_are_written_than_are_read():
    space: spaces.Space = spaces.Discrete(2)
    for _ in range(MAX_DEPTH):
        space = spaces.Tuple((space,))
    from_proto(to_proto(space))
    with pytest.raises(Refused, match="levels"):
        to_proto(spaces.Tuple((space,)))


def test_the_last_choice_may_be_the_last_number_of_int64():
    (leaf,) = leaves(spaces.Discrete(3, start=2**63 - 3))
    assert leaf.high == 2**63 - 1
    with pytest.raises(Refused, match="choices within int64"):
        leaves(spaces.Discrete(3, start=2**63 - 2))
