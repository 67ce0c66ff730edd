"""Numbers, places and findings as the pages write them."""

from __future__ import annotations

import math
from typing import Any, Final
from urllib.parse import quote, urlencode

from analysis.scml.league import Estimate
from analysis.scml.replay import Offer

KINDS: Final = {
    "U1": "certain shortfall",
    "U2": "uncovered sale",
    "U3": "cash",
    "U4": "more material than can be used",
    "J1": "certain shortfall, together",
    "J2": "uncovered sales, together",
    "J3": "cash, together",
    "J4": "more material than can be used, together",
}
"""What the audit's kinds mean: U for one act alone, J for all that a decision and what stood before it bind."""


def number(value: float | None, decimals: int = 2, sign: bool = False) -> str:
    """A number for people; "–" where there is none.

    Args:
        value: the number.
        decimals: most decimals; whole numbers have none.
        sign: write a plus, too.
    """
    if value is None or not math.isfinite(value):
        return "–"
    value = round(value, decimals) or 0.0  # minus zero is zero
    text = f"{value:{'+' if sign else ''},.{0 if value == int(value) and not sign else decimals}f}"
    return text.replace("-", "−")


def fixed(value: float | None, decimals: int = 3, sign: bool = False) -> str:
    """A number with all its decimals, for columns; "–" where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{round(value, decimals) or 0.0:{'+' if sign else ''},.{decimals}f}"
    return text.replace("-", "−")


def estimated(estimate: Estimate, sign: bool = False) -> str:
    """A mean and half the width of its 95 % interval, "0.994 ± 0.105"; the mean alone where there is no interval."""
    mean = fixed(estimate.mean, sign=sign)
    return f"{mean} ± {fixed(estimate.high - estimate.mean)}" if math.isfinite(estimate.high) else mean


def offer(value: Offer) -> str:
    """An offer in words."""
    units = "unit" if value.quantity == 1 else "units"
    return f"{value.quantity} {units} at {number(value.price)} each, on day {value.delivery}"


def cell(value: Any) -> str:
    """A value of a table that somebody else wrote."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.6g}".replace("-", "−")
    return str(value)


def place(*parts: object, **query: object) -> str:
    """The address of a page: its parts quoted, and the query."""
    return "/" + "/".join(quote(str(part), safe="") for part in parts) + search(**query)


def search(**query: object) -> str:
    """The part of an address from "?" on, of what is not None, empty or False; "" where nothing is left."""
    wanted = {key: value for key, value in query.items() if value not in (None, "", False)}
    return f"?{urlencode(wanted)}" if wanted else ""
