"""What a factory sees and may do, and what a critic sees, as spaces."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from gymnasium import spaces

from agora.negotiation.layout import Op, view_dtype
from agora.negotiation.wire import HORIZON, slots_of, state_dtype

MAX_QUANTITY: Final = 30
"""Most units an offer may name: three times the lines of a factory, of which the league gives each ten."""
MAX_PRICE: Final = 255
"""Money per unit. The league's products cost 10 to 150; the market's range of the day is narrower, and a price
outside it is brought to its nearer end before it is offered."""
MONEY: Final = 1e12
"""No sum in a world comes near it."""


def observation_space(shape: tuple[int, ...]) -> spaces.Dict:
    """A ``View``: its fields are leaves."""
    return _of(view_dtype(slots_of(shape), HORIZON))


def action_space(shape: tuple[int, ...]) -> spaces.Dict:
    """Answers, a leaf for each column of ``Answer``, (K,)."""
    slots = slots_of(shape)
    return spaces.Dict(
        [
            ("op", spaces.MultiDiscrete([len(Op)] * slots)),
            ("delivery", spaces.MultiDiscrete([HORIZON + 1] * slots)),
            ("quantity", spaces.Box(0, MAX_QUANTITY, (slots,), np.int32)),
            ("price", spaces.Box(0, MAX_PRICE, (slots,), np.int32)),
        ]
    )


def state_space(shape: tuple[int, ...]) -> spaces.Dict:
    """A ``agora.negotiation.wire.state_dtype``: its fields are leaves."""
    return _of(state_dtype(shape))


def _of(record: np.dtype[Any]) -> spaces.Dict:
    return spaces.Dict([(name, _box(field[0])) for name, field in (record.fields or {}).items()])


def _box(field: np.dtype[Any]) -> spaces.Box:
    if field.base.kind == "f":
        return spaces.Box(-MONEY, MONEY, field.shape, np.float64)
    return spaces.Box(0, np.iinfo(np.int32).max, field.shape, np.int32)
