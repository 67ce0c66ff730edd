"""Values of spaces as JSON and back."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused
from env_server.gateways.openenv.values import from_json, schema, to_json

OFFER = spaces.Dict(
    {
        "price": spaces.Box(0.0, 1.0, (2,), np.float32),
        "deal": spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]),
        "bid": spaces.Box(-np.inf, np.inf, (), np.float64),
        "lots": spaces.MultiDiscrete([2, 3]),
    }
)
GOOD = {"price": [0, 0.5], "deal": [3, [1, 0]], "bid": -3, "lots": [1, 2]}


def test_the_schema_says_types_shapes_and_bounds():
    told = schema(OFFER)["properties"]
    number = {"type": "number", "minimum": 0.0, "maximum": 1.0}
    assert told["price"] == {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    assert told["deal"]["prefixItems"][0] == {"type": "integer", "minimum": 1, "maximum": 3}
    assert told["bid"] == {"type": "number"}
    assert told["lots"]["items"] == {"type": "integer", "minimum": 0, "maximum": 2}
    assert schema(OFFER)["required"] == ["bid", "deal", "lots", "price"]


def test_a_value_comes_back_as_it_went():
    leaves = from_json(OFFER, GOOD, "action")
    assert {path: (values.dtype.name, values.shape) for path, values in leaves.items()} == {
        "price": ("float32", (1, 2)),
        "deal.0": ("int64", (1,)),
        "deal.1": ("int8", (1, 2)),
        "bid": ("float64", (1,)),
        "lots": ("int64", (1, 2)),
    }
    assert to_json(OFFER, leaves) == GOOD


def test_what_is_not_finite_is_null():
    seen = {"": np.array([[1.0, np.nan, -np.inf]])}
    assert json.dumps(to_json(spaces.Box(-9.0, 9.0, (3,)), seen), allow_nan=False) == "[1.0, null, null]"


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"price": [0, 1.5]}, "action.price", "[0.0, 1.0]"),
        ({"price": [0.5]}, "action.price", "numbers of shape [2]"),
        ({"price": [0, [1]]}, "action.price", "numbers of shape [2]"),
        ({"price": ["0", "1"]}, "action.price", "numbers of shape [2]"),
        ({"price": [0, 1e300]}, "action.price", "finite numbers"),
        ({"price": None}, "action.price", "numbers of shape [2]"),
        ({"deal": [3]}, "action.deal", "an array of 2"),
        ({"deal": [3, [257, 0]]}, "action.deal[1]", "numbers that fit int8"),
        ({"deal": [4, [1, 0]]}, "action.deal[0]", "[1, 3]"),
        ({"lots": [1.0, 2]}, "action.lots", "whole numbers of shape [2]"),
        ({"bid": 10**400}, "action.bid", "numbers of shape []"),
        ({"more": 1}, "action", "an object with bid, deal, lots, price"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(change, field, expected):
    with pytest.raises(Refused) as caught:
        from_json(OFFER, GOOD | change, "action")
    assert (caught.value.field, caught.value.expected) == (field, expected)
