"""What leaves say of every kind of space, the limits of what is taken, and messages that nobody should write."""

import numpy as np
import pytest
from gymnasium import spaces

from agora.codec import to_tensor
from agora.errors import Refused
from agora.spaces import MAX_DEPTH, check_carried, from_proto, leaves, ordered, to_proto
from agora.v1 import policy_pb2, space_pb2 as pb

MOST = float(np.finfo(np.float32).max)


def only(space):
    (leaf,) = leaves(space)
    return leaf


@pytest.mark.parametrize(
    ("space", "dtype", "shape", "low", "high", "choices"),
    [
        (spaces.Discrete(3), "int64", (), 0, 2, (3,)),
        (spaces.Discrete(3, start=-7), "int64", (), -7, -5, (3,)),
        (spaces.Discrete(1, start=4), "int64", (), 4, 4, (1,)),
        (spaces.MultiDiscrete([2, 5, 1]), "int64", (3,), 0, [1, 4, 0], (2, 5, 1)),
        (spaces.MultiDiscrete([[2, 5], [3, 4]]), "int64", (4,), 0, [1, 4, 2, 3], (2, 5, 3, 4)),
        (spaces.MultiBinary(1), "int8", (1,), 0, 1, ()),
        (spaces.MultiBinary([2, 3]), "int8", (2, 3), 0, 1, ()),
        (spaces.Box(-1, 2, (4,), np.int16), "int16", (4,), -1, 2, ()),
        (spaces.Box(-np.inf, np.inf, (2,), np.float32), "float32", (2,), -MOST, MOST, ()),
        (spaces.Box(np.array([0, 1]), np.array([5, 5]), dtype=np.uint8), "uint8", (2,), [0, 1], 5, ()),
        (spaces.Box(0, 1, (0, 2), np.float32), "float32", (0, 2), np.zeros((0, 2)), np.ones((0, 2)), ()),
    ],
    ids=str,
)
def test_a_leaf_of_every_kind(space, dtype, shape, low, high, choices):
    leaf = only(space)
    assert (leaf.path, leaf.dtype.name, leaf.shape, leaf.choices) == ("", dtype, shape, choices)
    assert np.array_equal(leaf.low, low) and np.array_equal(leaf.high, high)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 2.0, (3,), np.float32),
        spaces.Box(np.array([-1.0, -2.0, 0.0], np.float32), np.array([1.0, 2.0, 3.0], np.float32)),
        spaces.Box(-1.0, np.array([1.0, 2.0, 3.0], np.float32), (3,)),
        spaces.MultiDiscrete([2, 3, 4]),
        spaces.MultiBinary(3),
    ],
    ids=str,
)
def test_bounds_belong_to_the_space_and_the_next_numbers_do_not(space):
    """Two rows: all at the lower and all at the upper bound. Then one number at a time is moved out."""
    leaf = only(space)
    low, high = (np.broadcast_to(bound, leaf.shape).astype(leaf.dtype) for bound in (leaf.low, leaf.high))
    good = np.stack([low, high])
    leaf.check(good, 2, "x")
    assert leaf.holds(good) and leaf.holds(good[:0])
    for row, outwards in ((0, -1), (1, 1)):
        for place in range(3):
            bad = good.copy()
            limit = np.inf * outwards if leaf.dtype.kind == "f" else bad[row, place] + outwards
            bad[row, place] = np.nextafter(bad[row, place], limit) if leaf.dtype.kind == "f" else limit
            assert not leaf.holds(bad)
            with pytest.raises(Refused) as refused:
                leaf.check(bad, 2, "x")
            assert refused.value.reason == policy_pb2.REASON_OUT_OF_BOUNDS
            assert refused.value.expected == f"[{low[place]}, {high[place]}]"
            assert refused.value.got == f"{bad[row, place]} at [{row}, {place}]"


def test_the_first_number_that_is_wrong_is_named_and_those_at_the_bounds_are_not():
    leaf = only(spaces.Box(np.array([0.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0]), dtype=np.float64))
    with pytest.raises(Refused, match=r"x: expected \[0\.0, 3\.0\], got 3\.5 at \[1, 2\]"):
        leaf.check(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 3.5]]), 2, "x")
    with pytest.raises(Refused, match=r"x: expected finite numbers, got nan at \[1, 0\]"):
        leaf.check(np.array([[1.0, 9.0, 3.0], [np.nan, 0.0, np.inf]]), 2, "x")
    assert not leaf.holds(np.array([[0.0, np.nan, 0.0]]))


def test_booleans_have_bounds_and_bytes():
    leaf = only(spaces.Box(np.array([False, True]), np.array([True, True]), dtype=np.bool_))
    leaf.check(np.array([[False, True], [True, True]]), 2, "x")
    for row in ([False, False], [True, False]):
        with pytest.raises(Refused, match="got False at"):
            leaf.check(np.array([row]), 1, "x")
    high = only(spaces.Box(0, 0, (1,), np.bool_))
    with pytest.raises(Refused, match="got True at"):
        high.check(np.array([[True]]), 1, "x")


def test_what_is_named_is_put_in_order():
    members = leaves(spaces.Dict([("z", spaces.Discrete(2)), ("a", spaces.Tuple([spaces.Discrete(3)] * 2))]))
    assert ordered({"a.1": 1, "z": 2, "a.0": 3}, members) == [2, 3, 1]
    for given in ({"z": 2, "a.0": 3}, {"z": 2, "a.0": 3, "a.1": 1, "b": 0}, {"z": 2, "a.0": 3, "b": 0}, {}):
        with pytest.raises(Refused) as refused:
            ordered(given, members)
        assert (refused.value.field, refused.value.expected) == ("leaves", "['a.0', 'a.1', 'z']")
        assert refused.value.got == str(sorted(given))
        assert refused.value.reason == policy_pb2.REASON_SPEC_MISMATCH


def test_names_of_members():
    for key in ("a" * 128, "A-b_9"):
        assert leaves(spaces.Dict({key: spaces.Discrete(2)}))[0].path == key
    for key in ("a" * 129, "", "a.b", "a b", "ä", "a\n", 3):
        with pytest.raises(Refused) as refused:
            leaves(spaces.Dict({"in": spaces.Dict({key: spaces.Discrete(2)})}))
        assert refused.value.field == "in" and len(refused.value.got) <= 200
        assert refused.value.got.startswith(repr(key)[:100])


def test_long_names_are_cut_in_what_is_said():
    with pytest.raises(Refused) as refused:
        leaves(spaces.Dict({"a" * 500: spaces.Discrete(2)}))
    assert refused.value.got == "'" + "a" * 199


def test_parts_without_numbers_are_refused_under_their_field():
    empty = (
        spaces.Dict({}),
        spaces.Tuple([]),
        spaces.Dict({"a": spaces.Tuple([])}),
        spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Tuple([])}),
        spaces.Tuple([spaces.Box(0, 1, (2, 0))]),
    )
    for space in empty:
        with pytest.raises(Refused, match=r"game\.x\.action: expected at least one number in every part"):
            check_carried(space, "game.x.action")
    with pytest.raises(Refused, match=r"game\.x\.action\.b: expected Box, Discrete"):
        check_carried(spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Text(3)}), "game.x.action")


@pytest.mark.parametrize("start", [-(2**63), 2**63 - 4])
def test_choices_may_reach_both_ends_of_int64(start):
    leaf = only(spaces.Discrete(4, start=start))
    assert (int(leaf.low), int(leaf.high)) == (start, start + 3)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.MultiDiscrete([2, 3], start=[0, 1]), "starts at 0"),
        (spaces.MultiDiscrete(np.zeros(0, np.int64)), "at least one element"),
        (spaces.Box(0, 1, (2,), np.float16), "boolean, integer, float32 or float64"),
    ],
    ids=str,
)
def test_what_the_contract_lacks(space, said):
    with pytest.raises(Refused, match=said) as refused:
        to_proto(space)
    assert refused.value.reason == policy_pb2.REASON_SPEC_MISMATCH


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_an_empty_choice_of_bits(shape):
    space = spaces.MultiBinary(1)
    space._shape = shape
    with pytest.raises(Refused, match="at least one element"):
        leaves(space)


@pytest.mark.parametrize(
    ("low", "high", "carried"),
    [
        (0.0, 1.0, ()),
        (np.zeros(3), np.ones(3), ()),
        (np.array([0.0, 0.0, -1.0]), np.ones(3), (3,)),
        (np.zeros(3), np.array([1.0, 2.0, 1.0]), (3,)),
        (np.array([0.0, 0.0, -1.0]), np.array([1.0, 2.0, 1.0]), (3,)),
    ],
)
def test_bounds_travel_as_one_number_only_if_both_are(low, high, carried):
    space = spaces.Box(low, high, (3,), np.float64)
    box = to_proto(space).box
    assert tuple(box.low.shape) == tuple(box.high.shape) == carried
    assert tuple(box.shape) == (() if carried else (3,))
    assert from_proto(pb.Space(box=box)) == space


def test_one_bound_may_be_a_number_and_the_other_an_array():
    """Nobody here writes such a message, but others may."""
    low, high = to_tensor(np.float64(-1.0)), to_tensor(np.array([1.0, 2.0]))
    with pytest.raises(Refused, match="space: expected bounds that fit the shape"):
        from_proto(pb.Space(box=pb.BoxSpace(low=low, high=high)))
    found = from_proto(pb.Space(box=pb.BoxSpace(low=high, high=to_tensor(np.array([3.0, 2.0])))))
    assert found == spaces.Box(np.array([1.0, 2.0]), np.array([3.0, 2.0]), dtype=np.float64)


def member(key, space=None):
    return pb.DictSpace.Member(key=key, space=space or to_proto(spaces.Discrete(2)))


def bits(*shape):
    return pb.Space(multi_binary=pb.MultiBinarySpace(shape=shape))


def choices(*nvec):
    return pb.Space(multi_discrete=pb.MultiDiscreteSpace(nvec=nvec))


@pytest.mark.parametrize(
    "message",
    [
        choices(), choices(2, 0), choices(-1, 2), bits(), bits(0), bits(2, 0), bits(2, -1),
        pb.Space(discrete=pb.DiscreteSpace(n=-1)), pb.Space(dict=pb.DictSpace(members=[member("a"), member("a")])),
    ],
    ids=str,
)  # fmt: skip
def test_messages_that_are_no_space(message):
    with pytest.raises(Refused, match="space: expected a well-formed space"):
        from_proto(message)


@pytest.mark.parametrize(
    ("message", "space"),
    [
        (choices(1), spaces.MultiDiscrete([1])),
        (bits(1), spaces.MultiBinary(1)),
        (bits(4), spaces.MultiBinary(4)),
        (bits(1, 2), spaces.MultiBinary([1, 2])),
        (pb.Space(discrete=pb.DiscreteSpace(n=1)), spaces.Discrete(1)),
        (pb.Space(dict=pb.DictSpace()), spaces.Dict({})),
        (pb.Space(tuple=pb.TupleSpace()), spaces.Tuple([])),
    ],
    ids=str,
)
def test_the_smallest_spaces(message, space):
    assert from_proto(message) == space


def test_what_is_wrong_inside_is_named_by_its_path():
    inner = pb.Space(dict=pb.DictSpace(members=[member("a"), member("b", choices(0))]))
    message = pb.Space(tuple=pb.TupleSpace(members=[to_proto(spaces.Discrete(2)), inner]))
    with pytest.raises(Refused) as refused:
        from_proto(message, "action")
    assert refused.value.field == "action[1].b"
    with pytest.raises(Refused) as refused:
        from_proto(pb.Space(), "action")
    assert (refused.value.field, refused.value.got) == ("action", "nothing")


def test_as_many_levels_are_read_as_the_limit_says():
    def nested(levels, wrap):
        message = to_proto(spaces.Discrete(2))
        for _ in range(levels):
            message = wrap(message)
        return message

    for wrap in (
        lambda inner: pb.Space(tuple=pb.TupleSpace(members=[inner])),
        lambda inner: pb.Space(dict=pb.DictSpace(members=[member("a", inner)])),
    ):
        assert len(leaves(from_proto(nested(MAX_DEPTH, wrap)))) == 1
        with pytest.raises(Refused, match=f"at most {MAX_DEPTH} levels, got more"):
            from_proto(nested(MAX_DEPTH + 1, wrap))
