"""What a client was given, looked at before anything is opened."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from agora.errors import Refused
from agora.ranges import DAY, SHORTEST, range_missed
from agora.v1 import policy_pb2

Seats = Mapping[str, str | Sequence[str]]
"""Agent id to the address, or the addresses of the replicas, of the service that plays it; "*" is all others."""


def check_patience(**seconds: float) -> None:
    """Look at durations, by their names.

    Raises:
        Refused: one is none that can be waited for.
    """
    for name, value in seconds.items():
        expected = f"seconds, {SHORTEST:g} to {DAY:,}"
        if not isinstance(value, int | float) or range_missed(value, SHORTEST, DAY):
            raise _refused(name, expected, value)


def as_copies(num_envs: Any) -> int:
    """How many copies there are. That none is too few, and how many are too many, the server says.

    Raises:
        Refused: it is no whole number, or one that no message carries.
    """
    try:
        copies = operator.index(num_envs)
    except TypeError:
        copies = -1
    if not 0 <= copies < 2**32:
        raise _refused("num_envs", "a whole number from 1 on", num_envs)
    return copies


def as_json(config: Mapping[str, Any] | None) -> str:
    """A game's configuration as a JSON object.

    Raises:
        Refused: it is no mapping, or JSON has no word for something in it.
    """
    if not isinstance(config, Mapping | None):
        raise _refused("config", "a mapping", config)
    try:
        return json.dumps(dict(config or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Refused(policy_pb2.REASON_CONFIG, "config", "what JSON can say", str(error)) from None


def as_seats(seats: Seats | None) -> dict[str, list[str]]:
    """Every seat's addresses.

    Raises:
        Refused: seats are no mapping, or a seat has none.
    """
    if not isinstance(seats, Mapping | None):
        raise _refused("seats", "a mapping of agents to addresses", seats)
    found = {who: [where] if isinstance(where, str) else where for who, where in (seats or {}).items()}
    for who, where in found.items():
        if not (isinstance(where, Sequence) and where and all(isinstance(one, str) for one in where)):
            raise _refused(f"seats.{who}", "an address or several", where)
    return {who: list(where) for who, where in found.items()}


def _refused(field: str, expected: str, value: Any) -> Refused:
    return Refused(policy_pb2.REASON_CONFIG, field, expected, repr(value))
