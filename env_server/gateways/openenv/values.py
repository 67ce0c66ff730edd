"""Values of Gymnasium spaces as JSON, and the JSON Schema that describes them.

A ``Dict`` is an object, a ``Tuple`` an array, a Box (), Discrete, MultiDiscrete or MultiBinary a number or nested
arrays of numbers. JSON has no NaN and no infinity: a number of a game that is not finite is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from agora.errors import Refused
from agora.spaces import Leaf, Space, leaves
from agora.v1 import policy_pb2
from env_server.environments.base import Array, Values

Schema = dict[str, Any]
_SHOWN = 80
_JSON = {"f": ("iuf", "numbers"), "i": ("iu", "whole numbers"), "u": ("iu", "whole numbers"), "b": ("b", "booleans")}
"""By a leaf's kind of dtype: the kinds that stand for it, and what to call them."""


def schema(space: Space) -> Schema:
    """JSON Schema (2020-12) of a space's values.

    Raises:
        Refused: a kind of space that the contract does not have.
    """
    match space:
        case spaces.Dict():
            return record({key: schema(member) for key, member in space.spaces.items()})
        case spaces.Tuple():
            members = [schema(member) for member in space.spaces]
            return {"type": "array", "prefixItems": members, "minItems": len(members), "maxItems": len(members)}
    (leaf,) = leaves(space)
    return _nested(_number(leaf), leaf.shape)


def record(members: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """JSON Schema of an object that has these members, all but the ``optional`` ones, and no others."""
    required = [key for key in members if key not in optional]
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def _number(leaf: Leaf) -> Schema:
    if leaf.dtype.kind == "b":
        return {"type": "boolean"}
    kind: Schema = {"type": "number" if leaf.dtype.kind == "f" else "integer"}
    end = np.finfo(leaf.dtype).max if leaf.dtype.kind == "f" else np.inf  # how a leaf says that a bound is open
    if np.size(leaf.low) and np.min(leaf.low) > -end:
        kind["minimum"] = np.min(leaf.low).item()
    if np.size(leaf.high) and np.max(leaf.high) < end:
        kind["maximum"] = np.max(leaf.high).item()
    return kind


def _nested(kind: Schema, shape: tuple[int, ...]) -> Schema:
    for length in reversed(shape):
        kind = {"type": "array", "items": kind, "minItems": length, "maxItems": length}
    return kind


def to_json(space: Space, values: Values, path: str = "") -> Any:
    """The first row of a space's leaves as JSON; ``values`` may also be masks, whose leaves have shapes of their own.

    Args:
        space: says which leaves belong together.
        values: leaves by dotted path, (B, ...).
        path: of ``space`` among them.
    """
    match space:
        case spaces.Dict():
            return {key: to_json(member, values, _join(path, key)) for key, member in space.spaces.items()}
        case spaces.Tuple():
            return [to_json(member, values, _join(path, str(n))) for n, member in enumerate(space.spaces)]
    return numbers(values[path][0])


def numbers(array: Array) -> Any:
    """A number or nested lists of numbers; None for those that are not finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        anything = array.astype(object)
        anything[~np.isfinite(array)] = None
        return anything.tolist()
    return array.tolist()


def from_json(space: Space, value: Any, field: str) -> Values:
    """A JSON value as one row of a space's leaves, (1, ...).

    Raises:
        Refused: members are missing or unknown, or a leaf has a wrong shape, type, or bounds; names the field.
    """
    found = {}
    for leaf, (where, part) in zip(leaves(space), _parts(space, value, field), strict=True):
        array = _array(leaf, part, where)
        leaf.check(array[np.newaxis], 1, where)
        found[leaf.path] = array[np.newaxis]
    return found


def _parts(space: Space, value: Any, field: str) -> Iterator[tuple[str, Any]]:
    match space:
        case spaces.Dict():
            if not isinstance(value, dict) or value.keys() != space.spaces.keys():
                expected = f"an object with {', '.join(space.spaces)}"
                raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, shown(value))
            for key, member in space.spaces.items():
                yield from _parts(member, value[key], f"{field}.{key}")
        case spaces.Tuple():
            if not isinstance(value, list) or len(value) != len(space.spaces):
                expected = f"an array of {len(space.spaces)}"
                raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, shown(value))
            for n, member in enumerate(space.spaces):
                yield from _parts(member, value[n], f"{field}[{n}]")
        case _:
            yield field, value


def _array(leaf: Leaf, value: Any, field: str) -> Array:
    kinds, word = _JSON[leaf.dtype.kind]
    expected = f"{word} of shape {list(leaf.shape)}"
    try:
        raw = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        raise Refused(policy_pb2.REASON_SHAPE, field, expected, shown(value)) from None
    if raw.size and raw.dtype.kind not in kinds:
        raise Refused(policy_pb2.REASON_DATA_TYPE, field, expected, shown(value))
    if raw.shape != leaf.shape:
        raise Refused(policy_pb2.REASON_SHAPE, field, expected, f"{shown(value)} of shape {list(raw.shape)}")
    with np.errstate(over="ignore", invalid="ignore"):
        array = raw.astype(leaf.dtype)
    if leaf.dtype.kind != "f" and (array != raw).any():
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, f"numbers that fit {leaf.dtype}", shown(value))
    return array


def shown(value: Any) -> str:
    """What came, for a refusal; long things are cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
