"""What one step does to a market, and what is shown of it, by hand and by closed forms."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from agora.market.choices import CANCEL, HOLD, LIMIT, MARKET, NO_QUOTE, SIZES, STEPS
from env_server.environments.market import Market, MarketConfig
from env_server.environments.market.book.records import CASH, Phase
from env_server.environments.market.config import Worth
from tests.env_server.market.test_env import BUSY, EMPTY, acts, copies, drawn

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

HELD, NOTHING = (HOLD, 0, 0, 0), (NO_QUOTE, NO_QUOTE, 0)
ONE, TWO, FIVE, TEN = range(len(SIZES))
AT = {ticks: place for place, ticks in enumerate(STEPS.tolist())}


def opened(copy: int = 0, **changes: Any) -> Market:
    market = Market(EMPTY.model_copy(update=changes), 1)
    market.reset(0, copies(copy))
    return market


def test_rewards_are_cash_and_shares_at_the_middle_not_at_the_worth() -> None:
    market = Market(BUSY.model_copy(update={"inventory_penalty": 0.01, "taker_fee": 300}), 2)
    market.reset(5, copies(0, 1))
    accounts, generator = market._markets["book"]["accounts"], np.random.default_rng(3)
    before, apart = np.full((2, 2), 100.0 * BUSY.cash), []
    for _ in range(100):
        step = market.step(drawn(market, generator))
        best = step.info["depth"][:, :, 0, 0].astype(float)
        assert (best > 0).all()
        middle = best.mean(axis=1)
        shares = accounts["shares"][:, :2]
        equity = accounts["cash"][:, :2] / CASH + shares * middle[:, None]
        assert step.rewards == pytest.approx(equity - before - 0.01 * shares.astype(float) ** 2, abs=1e-5)
        assert step.info["equity"] == pytest.approx(equity) and (step.info["inventory"] == shares).all()
        assert (step.info["mid"] == middle).all()
        before = equity
        apart += (np.abs(step.info["worth"] - middle)[:, None] * np.abs(shares)).ravel().tolist()
    assert max(apart) > 10.0  # the worth would have given other rewards


@pytest.mark.parametrize(("at", "moves"), [(255, True), (256, False), (767, False), (768, True)])
def test_the_ladder_moves_when_the_price_leaves_its_middle_half(at: int, moves: bool) -> None:
    market = opened()
    market._markets["book"]["base"] = 10_000 - at
    step = market.step(acts((0, 0, ONE), HELD))
    assert market._markets["book"]["base"][0] == (10_000 - 512 if moves else 10_000 - at)
    assert step.info["depth"][0, :, 0].tolist() == [[9_999, 1], [10_001, 1]]


def test_a_ladder_never_goes_below_one_tick() -> None:
    market = opened(worth=Worth(mean=200.0, volatility=0.0))
    market.step(acts((0, 0, ONE), HELD))
    assert market._markets["book"]["base"][0] == 1


def errors_of(step: Any, seat: int) -> Any:
    """Of a seat's signal, in ticks."""
    return 100.0 * step.observations[seat]["signal"].astype(float) + 10_000.0 - step.info["worth"]


def test_every_informed_seat_errs_by_itself_and_anew_in_every_step() -> None:
    count, noise, volatility = 1_000, 5.0, 4.0
    config = {"informed": True, "signal_noise": noise, "makers": 1, "traders": 2}
    worth = {"volatility": volatility, "reversion": 0.0}
    market = Market(EMPTY.model_copy(update=config | {"worth": Worth(**worth)}), count)
    market.reset(1, np.arange(count, dtype=np.uint32))
    steps = [market.step(acts(NOTHING, HELD, HELD, count=count)) for _ in range(3)]
    errors = [errors_of(step, seat) for step in steps for seat in range(3)]
    changes = [after.info["worth"] - before.info["worth"] for before, after in pairwise(steps)]
    about = np.corrcoef([*errors, *changes]) - np.eye(11)
    assert np.abs(about).max() < 5.0 / count**0.5
    for values, deviation in [*((error, noise) for error in errors), *((change, volatility) for change in changes)]:
        assert abs(values.mean()) < 5.0 * deviation / count**0.5
        assert values.std() == pytest.approx(deviation, rel=5.0 / (2.0 * count) ** 0.5)


def test_a_worth_returns_to_its_mean() -> None:
    market = opened(worth=Worth(volatility=0.0, reversion=0.25))
    market._markets["worth"] = 9_600.0
    assert [market.step(acts(NOTHING, HELD)).info["worth"][0] for _ in range(3)] == [9_700.0, 9_775.0, 9_831.25]
    market._markets["worth"] = -1e6
    assert market.step(acts(NOTHING, HELD)).info["worth"][0] == 1.0


def test_turns_are_drawn_anew_in_every_step_and_copy() -> None:
    market, turns = Market(EMPTY.model_copy(update={"steps": 200}), 2), []
    market.reset(4, copies(0, 1))
    held = np.zeros(2, np.int64)
    for _ in range(64):
        market.step(acts((0, 0, ONE), HELD, count=2))
        now = market.step(acts(NOTHING, (MARKET, 0, 0, ONE), count=2)).info["inventory"][:, 1]
        turns.append(now - held)
        held = now
    first, second = np.array(turns).T
    assert set(first) == set(second) == {0, 1} and (first != second).any()
    # Of 64 fair draws 32 +- 4 are of either kind; five times that is never seen.
    assert all(12 <= sum(taken) <= 52 for taken in (first, second))


def test_a_middle_is_remembered_for_its_change_mean_and_volatility() -> None:
    market = Market(MarketConfig(crowd=(), anchored=True, steps=200, worth={"volatility": 5.0, "reversion": 0.0}), 1)
    market.reset(3, copies(0))
    mids, slow = [10_000.0] * 50, np.zeros(3)
    for _ in range(150):
        step = market.step(acts(NOTHING))
        seen = step.observations[0]
        mids.append(float(np.floor(step.info["worth"][0] + 0.5)))
        assert step.info["mid"][0] == mids[-1]
        slow += (1.0 - np.array([0.8, 0.97, 0.997])) * (abs(mids[-1] - mids[-2]) - slow)
        assert seen["price_change_10"][0] == pytest.approx(100.0 * (mids[-1] / mids[-11] - 1.0), abs=1e-5)
        assert seen["sma_50"][0] == pytest.approx((np.mean(mids[-50:]) - 10_000.0) / 100.0, abs=1e-5)
        assert seen["mid"][0] == pytest.approx((mids[-1] - 10_000.0) / 100.0, abs=1e-5)
        assert seen["market"][0, 0] == pytest.approx(slow.mean() / 10.0, rel=1e-4)
        assert step.state["market"][0, 2] == pytest.approx(slow.mean() / 10.0, rel=1e-4)
    assert np.ptp(mids) > 20.0


def test_critics_see_the_book_the_worth_and_the_middle() -> None:
    market = opened(worth=Worth(volatility=0.0, reversion=0.0))
    market._markets["worth"] = 10_250.0
    step = market.step(acts((0, 1, FIVE), (LIMIT, 1, AT[2], TEN)))
    book = {place: step.state["book"][0][place] for place in zip(*np.nonzero(step.state["book"][0]), strict=True)}
    # The middle may be 10,000 or, where the trader acted alone at first, still is: 32 ticks below it is 9,968.
    first = int(np.floor(step.info["mid"][0])) - 32
    wanted = {
        (side, price - first): np.log1p(lots) / 5.0
        for side in (0, 1)
        for price, lots in step.info["depth"][0, side]
        if lots
    }
    assert book == pytest.approx(wanted) and (0, 9_999 - first) in book and (1, 10_002 - first) in book
    about = step.state["market"][0]
    assert about[0] == pytest.approx(2.5) and about[3] == pytest.approx(0.95)
    assert about[1] == pytest.approx((step.info["mid"][0] - 10_000.0) / 100.0)


def test_the_market_leaf_has_the_imbalance_and_what_is_left() -> None:
    market = opened()
    market.step(acts((0, 0, TWO), HELD))
    seen = market.step(acts((0, 0, TWO), (LIMIT, 0, AT[0], FIVE))).observations[0]
    assert seen["market"][0].tolist() == pytest.approx([0.0, (7 - 2) / (7 + 2), 1.0 - 2 / 20])


@pytest.mark.parametrize(
    ("bid", "ask", "imbalance"), [(0, NO_QUOTE, 1.0), (NO_QUOTE, 0, -1.0), (NO_QUOTE,) * 2 + (0.0,)]
)
def test_a_side_without_orders_weighs_nothing(bid: int, ask: int, imbalance: float) -> None:
    assert opened().step(acts((bid, ask, FIVE), HELD)).observations[0]["market"][0, 1] == imbalance


def test_a_trade_is_told_with_its_price_lots_and_side() -> None:
    market = opened()
    market.step(acts((0, 0, FIVE), HELD))
    bought = market.step(acts((0, 0, FIVE), (MARKET, 0, 0, TWO)))
    assert bought.info["trades"][0, :2].tolist() == [[10_001, 2, 1], [0, 0, 0]]
    assert (bought.info["volume"][0], bought.info["flow"][0]) == (2, 2)
    assert bought.observations[0]["price"][0] == pytest.approx(0.01)
    sold = market.step(acts((0, 0, FIVE), (MARKET, 1, 0, TWO)))
    assert sold.info["trades"][0, :2].tolist() == [[9_999, 2, -1], [0, 0, 0]]
    assert (sold.info["volume"][0], sold.info["flow"][0]) == (2, -2)
    quiet = market.step(acts((0, 0, FIVE), HELD))
    assert not quiet.info["trades"].any() and not quiet.info["volume"].any() and not quiet.info["flow"].any()


def test_flow_lies_at_its_price_and_fades() -> None:
    market = opened(flow=True)

    def lots(leaf: Any) -> dict[tuple[int, int], float]:
        """By row and price."""
        return {(row, 9_936 + place): np.expm1(5.0 * leaf[row, place]) for row, place in np.argwhere(leaf).tolist()}

    seen = lots(market.step(acts((0, 0, FIVE), HELD)).observations[0]["flow"][0])
    assert seen == pytest.approx({(0, 9_999): 5 * 0.98, (1, 10_001): 5 * 0.98}, rel=1e-4)
    seen = lots(market.step(acts((0, 0, FIVE), (MARKET, 0, 0, TWO))).observations[0]["flow"][0])
    old, new = 5 * 0.98**2, 2 * 0.98
    traded = {(0, 10_001): new, (2, 10_001): new, (3, 10_001): new}
    assert all(seen[key] == pytest.approx(value, rel=1e-4) for key, value in traded.items())
    assert seen[0, 9_999] == pytest.approx(old, rel=1e-4)


def test_flow_that_would_grow_too_large_is_counted_anew() -> None:
    market = opened(flow=True, steps=5_000)
    shown = [market.step(acts((0, 0, ONE), HELD)).observations[0]["flow"][0, 0, 63]]
    for _ in range(2):
        market._markets["growth"] *= 1e9
        market._markets["sight"]["flow"] *= 1e9
        shown.append(market.step(acts((0, 0, ONE), HELD)).observations[0]["flow"][0, 0, 63])
    assert market._markets["growth"][0] == 1.0
    assert np.expm1(5.0 * np.array(shown)) == pytest.approx([0.98, 0.98**2, 0.98**3], rel=1e-4)


def test_a_fifth_order_takes_the_place_of_the_oldest() -> None:
    market = opened()
    market.step(acts((0, 0, ONE), HELD))
    for step, size in ((4, ONE), (8, TWO), (4, FIVE), (8, TEN)):
        seen = market.step(acts((0, 0, ONE), (LIMIT, 0, AT[step], size))).observations[1]
    assert (10 * seen["orders"][0, :, 2]).round().tolist() == [1, 2, 5, 10]
    seen = market.step(acts((0, 0, ONE), (LIMIT, 0, AT[2], TWO))).observations[1]
    assert (10 * seen["orders"][0, :, 2]).round().tolist() == [2, 5, 10, 2]
    assert seen["own"][0, 1] * EMPTY.position_limit == pytest.approx(19)
    seen = market.step(acts((0, 0, ONE), (CANCEL, 0, 0, 0))).observations[1]
    assert not seen["orders"].any() and not seen["own"][0, 1]


def test_an_order_knows_what_lies_ahead_of_it_alone() -> None:
    market = opened()
    market.step(acts((0, 0, ONE), (LIMIT, 0, AT[4], FIVE)))
    market.step(acts((0, 0, ONE), HELD))
    first = market.step(acts((0, 0, ONE), (LIMIT, 0, AT[0], TWO))).observations[1]["orders"][0]
    second = market.step(acts((0, 0, ONE), (LIMIT, 0, AT[0], TEN))).observations[1]["orders"][0]
    ahead = np.expm1(5.0 * np.array([first[1, 3], second[1, 3], second[2, 3]]))
    assert ahead == pytest.approx([1.0, 1.0, 3.0], rel=1e-4)


def test_a_market_closes_with_an_auction() -> None:
    market = opened(closing=True, steps=4, opening=1)
    phases = [int(market._markets["book"]["phase"][0])]
    for _ in range(4):
        step = market.step(acts((0, 0, ONE), HELD))
        phases.append(int(market._markets["book"]["phase"][0]))
    assert phases == [Phase.AUCTION, Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.AUCTION, Phase.CLOSED]
    assert step.truncated.all()


def test_an_uncross_is_told_without_a_side() -> None:
    market = opened(opening=2)
    market.step(acts((0, NO_QUOTE, TWO), HELD))
    step = market.step(acts((0, NO_QUOTE, TWO), (LIMIT, 1, AT[-2], TWO)))
    assert step.info["trades"][0, 0, 1:].tolist() == [2, 0]
    assert (step.info["volume"][0], step.info["flow"][0]) == (2, 0)
