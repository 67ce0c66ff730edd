"""What passes between a game server and a process that plays worlds: records of raw numbers, one message a step.

A world is played by a process of its own kind, because its engine is. That process hosts many worlds, called copies;
each waits at any moment for one factory, or has ended. Server and process take turns::

    server                                        process
      │  START   JSON: the worlds to play            │
      ├─────────────────────────────────────────────►│ plays every copy to its first decision
      │◄─────────────────────────────────────────────┤ REPORTS  one record per copy
      │  ANSWERS one record per copy that waits      │
      ├─────────────────────────────────────────────►│ plays those to their next decision
      │◄─────────────────────────────────────────────┤ REPORTS  one record each, in the same order
                              …                          or TROUBLE  JSON: what went wrong

Every message is answered by one, so both sides always know whose turn it is.
"""

from __future__ import annotations

import socket
import struct
from enum import IntEnum
from typing import Any

import numpy as np

from agora.negotiation.layout import Answer, Commitment, Op, view_dtype

HORIZON = 10
"""Days ahead that a lot may be delivered."""
NOBODY = -1
"""In place of a seat: the world has ended."""
_HEADER = struct.Struct("<BI")
MAX_BYTES = 1 << 30


class Kind(IntEnum):
    """What a message is."""

    START = 1
    """JSON: ``{"run": folder or null, "worlds": [{"copy", "name", "spec"}]}``."""
    ANSWERS = 2
    REPORTS = 3
    TROUBLE = 4
    """JSON: ``{"what": "engine" | "spec" | "world", "message"}``."""


class Negotiation(IntEnum):
    """Columns of a state's negotiations, int32: what is going on between one seller and one buyer."""

    RUNNING = 0
    ROUND = 1
    OFFERED_BY = 2
    """1 the seller, 2 the buyer, 0 nobody yet."""
    QUANTITY = 3
    DELIVERY = 4
    """δ, days from today."""
    PRICE = 5


def slots_of(shape: tuple[int, ...]) -> int:
    """K: most partners that a factory has where level i has ``shape[i]`` factories."""
    around = zip((0, *shape[:-1]), (*shape[1:], 0), strict=True)
    return max(before + after for before, after in around)


def pairs_of(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """(seller, buyer), numbered level by level, for all who may trade, in the order of a state's negotiations."""
    starts = np.cumsum((0, *shape)).tolist()
    return [
        (seller, buyer)
        for level in range(len(shape) - 1)
        for seller in range(starts[level], starts[level + 1])
        for buyer in range(starts[level + 1], starts[level + 2])
    ]


def answers_dtype(shape: tuple[int, ...]) -> np.dtype[Any]:
    """The record of one copy's answers; ``substituted`` says that nobody answered and these stand in."""
    answers = (slots_of(shape), len(Answer))
    return np.dtype([("copy", np.int32), ("substituted", np.int32), ("answers", np.int32, answers)])


def state_dtype(shape: tuple[int, ...]) -> np.dtype[Any]:
    """The record of a world's global state: N factories, all pairs, without what nature will do.

    Fields: ``day`` int32; ``inventory`` int32 (N,), units in store this morning; ``balance`` float64 (N,), money;
    ``commitments`` float64 (N, HORIZON + 1, 4) as in a ``View``; ``negotiations`` int32 (pairs, 6), columns
    ``Negotiation``.
    """
    factories = sum(shape)
    return np.dtype(
        [
            ("day", np.int32),
            ("inventory", np.int32, factories),
            ("balance", np.float64, factories),
            ("commitments", np.float64, (factories, HORIZON + 1, len(Commitment))),
            ("negotiations", np.int32, (len(pairs_of(shape)), len(Negotiation))),
        ]
    )


def report_dtype(shape: tuple[int, ...]) -> np.dtype[Any]:
    """The record of a copy after a step.

    Fields: ``copy``; ``seat`` it waits for, or ``NOBODY``; ``executed`` int32 (K, 4) and ``edited`` uint8 (K,), what
    the answers just given came to after they were made legal and shielded, and where the shield changed them;
    ``score`` float64 (N,), balance / initial balance now; ``bankrupt`` uint8 (N,); ``state``; and unless the world
    has ended the seat's ``view``, with ``op_mask`` uint8 (K, 3) and ``delivery_mask`` uint8 (K, HORIZON + 1), the
    choices that are open to it, one at least in every slot.
    """
    factories, slots = sum(shape), slots_of(shape)
    return np.dtype(
        [
            ("copy", np.int32),
            ("seat", np.int32),
            ("executed", np.int32, (slots, len(Answer))),
            ("edited", np.uint8, slots),
            ("score", np.float64, factories),
            ("bankrupt", np.uint8, factories),
            ("view", view_dtype(slots, HORIZON)),
            ("op_mask", np.uint8, (slots, len(Op))),
            ("delivery_mask", np.uint8, (slots, HORIZON + 1)),
            ("state", state_dtype(shape)),
        ]
    )


def send(link: socket.socket, kind: Kind, payload: bytes) -> None:
    """Send one message.

    Raises:
        OSError: the other side is gone, or does not read.
    """
    link.sendall(_HEADER.pack(kind, len(payload)) + payload)


def receive(link: socket.socket) -> tuple[Kind, bytearray]:
    """The next message.

    Raises:
        OSError: the other side is gone (ConnectionError), or the socket's time is up (TimeoutError).
    """
    kind, size = _HEADER.unpack(_exactly(link, _HEADER.size))
    if size > MAX_BYTES:
        raise ConnectionError(f"message: expected at most {MAX_BYTES} bytes, got {size}")
    return Kind(kind), _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = link.recv_into(view)
        if not got:
            raise ConnectionError("the other side closed the link")
        view = view[got:]
    return data
