"""Which acts are unsafe, by what the factory had signed when it acted.

With today d, a delivery on t = d + δ, L lines, production cost c, balance M, N days; S, B and K the sales, supplies and
money due per day (nature's part of today included); and the store projected by p_δ = min(L, I_δ + B_t, S_t) made, and
I_{δ+1} = I_δ + max(0, B_t - p_δ) ("engine": what lies in store is never used up) or I_δ + B_t - p_δ ("conserving"):

* U1, certain shortfall: selling more than max(0, L - S_t); or for today, when nothing can be bought any more, more than
  max(0, min(L, I_0 + B_0) - S_0).
* U2, uncovered: selling more than max(0, min(L, I_δ + B_t) - S_t), and under "conserving" than what is left over at the
  end of any day from t on.
* U3, cash: buying for more than the least, over days k >= t, of M - Σ_{u<=k} (K_u + c·min(L, S_u)).
* U4, useless: buying more than L·(N - t) - I_δ - Σ_{u>=t} B_u.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.scml.books import Books, Flags, Floats
from analysis.scml.ledger import Act

Physics = Literal["engine", "conserving"]
KINDS: Final = ("U1", "U2", "U3", "U4")
TOLERANCE: Final = 1e-6
"""Units or money; excesses below are rounding."""


@dataclass(frozen=True)
class Limits:
    """What was still safe at M moments, for deliveries up to W days ahead.

    Attributes:
        sure: float64 (M, W), units that could be sold without certain shortfall.
        covered: float64 (M, W), units that could be sold from material at hand or bought.
        left_over: float64 (M, W), units of material without use at the end of each day, under "conserving"; infinite
            under "engine", where material serves again.
        money: float64 (M, W), M less all payments up to each day.
        room: float64 (M, W), units of material that could still be made into something.
    """

    sure: Floats
    covered: Floats
    left_over: Floats
    money: Floats
    room: Floats


def limits(books: Books, physics: Physics) -> Limits:
    """What was safe at each moment of a factory."""
    lines, sales = books.lines, books.sales
    before, after = _store(books, physics)
    covered = np.maximum(0.0, np.minimum(lines, before + books.supplies) - sales)
    sure = np.maximum(0.0, lines - sales)
    sure[:, 0] = np.where(books.can_buy, sure[:, 0], covered[:, 0])
    money = books.balance[:, None] - np.cumsum(books.due + books.production_cost * np.minimum(lines, sales), axis=1)
    days = books.days_left[:, None] - np.arange(sales.shape[1])
    room = np.maximum(0.0, lines * days - before - _from_here_on(np.add, books.supplies))
    left_over = after if physics == "conserving" else np.full_like(after, np.inf)
    return Limits(sure, covered, left_over, money, room)


def judge(books: Books, found: Limits, acts: list[tuple[int, Act]]) -> Floats:
    """By how much acts exceed what was safe, each alone.

    Args:
        books: M moments of a factory.
        found: their limits.
        acts: binding acts, each with its moment.

    Returns:
        float64 (acts, 4), columns ``KINDS``: units, money for U3; 0 where it does not.
    """
    moment = np.array([m for m, _ in acts], int)
    ahead = np.array([act.delivery - act.day for _, act in acts], int)
    quantity = np.array([act.quantity for _, act in acts], float)
    money = quantity * np.array([act.price for _, act in acts], float)
    sells = np.array([act.side == "sell" for _, act in acts], bool)
    covered = np.minimum(found.covered, _from_here_on(np.minimum, found.left_over))
    ever_free = _from_here_on(np.minimum, found.money)
    over = [
        only(sells, quantity - found.sure[moment, ahead]),
        only(sells, quantity - covered[moment, ahead]),
        only(~sells, money - ever_free[moment, ahead]),
        only(~sells, quantity - found.room[moment, ahead]),
    ]
    return np.stack(over, axis=1)


def only(where: Flags, excess: Floats) -> Floats:
    """The excess where the flag is set and it is more than rounding, else 0."""
    return np.where(where & (excess > TOLERANCE), excess, 0.0)


def _store(books: Books, physics: Physics) -> tuple[Floats, Floats]:
    """I_δ before each day, and what is then left over of I_δ + B: both float64 (M, W)."""
    before, after = np.zeros_like(books.sales), np.zeros_like(books.sales)
    store = books.inventory
    for day in range(books.sales.shape[1]):
        arriving = books.supplies[:, day]
        made = np.minimum(np.minimum(books.lines, store + arriving), books.sales[:, day])
        before[:, day], after[:, day] = store, store + arriving - made
        store = after[:, day] if physics == "conserving" else store + np.maximum(0.0, arriving - made)
    return before, after


def _from_here_on(operation: np.ufunc, values: NDArray[np.float64]) -> Floats:
    """The sum or least of each row's values from each place to its end."""
    return np.asarray(operation.accumulate(values[:, ::-1], axis=1)[:, ::-1])
