"""The market as an environment: seats among scripted traders, by hand where that is possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.market.choices import HOLD, LIMIT, MAKER_CHOICES, MARKET, NO_QUOTE, SIZES, STEPS
from env_server.environments.market import Market, MarketConfig
from env_server.environments.market.book.records import CASH
from env_server.environments.market.config import Crowd
from env_server.environments.market.state import market_type

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

EMPTY = MarketConfig(makers=1, traders=1, crowd=(), steps=20, worth={"volatility": 0.0})
BUSY = MarketConfig(makers=1, traders=1, steps=200)


def copies(*numbers: int) -> Any:
    return np.array(numbers, np.uint32)


def acts(*rows: tuple[int, ...], count: int = 1) -> list[dict[str, Any]]:
    return [{"": np.tile(np.array(row, np.int64), (count, 1))} for row in rows]


def drawn(market: Market, generator: np.random.Generator) -> list[dict[str, Any]]:
    return [
        {"": generator.integers(0, space.nvec, (market.num_envs, len(space.nvec)))}
        for space in market.action_spaces.values()
    ]


def played(market: Market, steps: int, seed: int = 3) -> list[Any]:
    generator, shown = np.random.default_rng(seed), []
    for _ in range(steps):
        shown.append(market.step(drawn(market, generator)))
    return shown


def test_a_maker_quotes_and_a_trader_takes() -> None:
    count = 16
    market = Market(EMPTY, count)
    market.reset(0, np.arange(count, dtype=np.uint32))
    five, two = SIZES.tolist().index(5), SIZES.tolist().index(2)
    step = market.step(acts((0, 0, five), (HOLD, 0, 0, 0), count=count))
    seen = step.observations[1]
    # The middle is 10,000: the nearest prices are 9,999 and 10,001.
    assert seen["depth"][0, :, 0].ravel() == pytest.approx([-0.1, np.log1p(5) / 5, 0.1, np.log1p(5) / 5])
    assert seen["spread"][0] == pytest.approx(0.2) and not seen["orders"].any()
    assert step.observations[0]["orders"][0, :2, :3] == pytest.approx(np.array([[1, -0.1, 0.5], [-1, 0.1, 0.5]]))
    assert not step.rewards.any()

    step = market.step(acts((NO_QUOTE, NO_QUOTE, five), (MARKET, 0, 0, two), count=count))
    took = step.info["inventory"][:, 1] > 0  # Elsewhere the maker's turn came first, and its quotes were gone.
    assert took.any() and not took.all()
    assert (step.info["inventory"] == np.where(took[:, None], [-2, 2], 0)).all()
    assert step.observations[1]["own"][:, 0] * EMPTY.position_limit == pytest.approx(np.where(took, 2, 0))
    # Two lots a tick above the middle, which stays where it was.
    assert (step.rewards == np.where(took[:, None], [2.0, -2.0], 0.0)).all()


def test_a_limit_order_rests_where_its_choice_says() -> None:
    market = Market(EMPTY, 1)
    market.reset(0, copies(0))
    market.step(acts((0, 0, 0), (HOLD, 0, 0, 0)))
    behind = STEPS.tolist().index(4)
    seen = market.step(acts((0, 0, 0), (LIMIT, 1, behind, 2))).observations[1]
    # Four ticks behind the ask at 10,001, seen from 10,000, five lots, nobody ahead.
    assert seen["orders"][0, 0] == pytest.approx([-1.0, 0.5, 0.5, 0.0])


def test_choices_are_the_ticks_and_lots_that_the_guide_lists() -> None:
    anchored = EMPTY.model_copy(update={"anchored": True})  # the middle stays at 10,000
    for place, ticks in enumerate((0, 1, 2, 3, 5, 8, 12)):
        market = Market(anchored, 1)
        market.reset(0, copies(0))
        best = market.step(acts((place, place, 0), (HOLD, 0, 0, 0))).info["depth"][0, :, 0]
        assert best.tolist() == [[9_999 - ticks, 1], [10_001 + ticks, 1]]
    for place, ticks in enumerate((-2, -1, 0, 1, 2, 4, 8)):
        for size, lots in enumerate((1, 2, 5, 10)):
            market = Market(anchored, 1)
            market.reset(0, copies(0))
            market.step(acts((5, 5, 0), (HOLD, 0, 0, 0)))  # 9,991 and 10,009
            orders = market.step(acts((5, 5, 0), (LIMIT, 0, place, size))).observations[1]["orders"][0]
            assert orders[0, :3] == pytest.approx([1.0, (9_991 - ticks - 10_000) / 10, lots / 10])


def test_who_came_first_is_ahead_in_the_queue() -> None:
    market = Market(EMPTY, 1)
    market.reset(0, copies(0))
    ten, at_the_front = SIZES.tolist().index(10), STEPS.tolist().index(0)
    market.step(acts((0, 0, ten), (HOLD, 0, 0, 0)))
    seen = market.step(acts((0, 0, ten), (LIMIT, 0, at_the_front, 0))).observations
    assert seen[1]["orders"][0, 0, 3] == pytest.approx(np.log1p(10) / 5)
    assert seen[0]["orders"][0, 0, 3] == 0.0


def test_cash_and_shares_only_change_hands() -> None:
    market = Market(BUSY.model_copy(update={"maker_fee": -20, "taker_fee": 30}), 3)
    market.reset(5, copies(0, 1, 2))
    start = market.config.cash * 100 * CASH
    for _ in played(market, 50):
        accounts = market._markets["book"]["accounts"]
        assert not accounts["shares"].sum(axis=1).any()
        money = (accounts["cash"] - start).sum(axis=1) + market._markets["book"]["collected"]
        assert not money.any()
    assert market._markets["book"]["accounts"]["volume"].sum() > 0


def test_copies_do_not_depend_on_who_is_played_beside_them() -> None:
    whole, half = Market(BUSY, 4), Market(BUSY, 2)
    whole.reset(9, copies(0, 1, 2, 3))
    half.reset(9, copies(2, 3))
    generator = np.random.default_rng(0)
    for _ in range(100):
        actions = drawn(whole, generator)
        ours = whole.step(actions)
        theirs = half.step([{"": leaves[""][2:]} for leaves in actions])
        for mine, other in zip(ours.observations, theirs.observations, strict=True):
            assert all((mine[name][2:] == other[name]).all() for name in mine)
        assert all((ours.state[name][2:] == theirs.state[name]).all() for name in ours.state)
        assert (ours.rewards[2:] == theirs.rewards).all()


def test_a_reset_begins_the_same_episode_again_and_another_seed_another() -> None:
    market = Market(BUSY, 2)
    market.reset(9, copies(0, 1))
    first = played(market, 50)[-1]
    market.reset(9, copies(0, 1))
    again = played(market, 50)[-1]
    market.reset(10, copies(0, 1))
    other = played(market, 50)[-1]
    assert all((first.state[name] == again.state[name]).all() for name in first.state)
    assert any((first.state[name] != other.state[name]).any() for name in first.state)
    assert all((first.state[name][0] != first.state[name][1]).any() for name in first.state)


def test_what_is_shown_lies_in_the_spaces() -> None:
    market = Market(BUSY, 2)
    market.reset(9, copies(0, 1))
    for step in played(market, 20):
        for index, agent in enumerate(market.agents):
            seen = {name: leaf[0] for name, leaf in step.observations[index].items()}
            for name, space in market.observation_spaces[agent].spaces.items():
                assert seen[name].shape == space.shape and np.isfinite(seen[name]).all()
            assert step.action_masks[index][""].shape == (2, sum(market.action_spaces[agent].nvec))


def test_an_episode_is_truncated_and_then_needs_a_reset() -> None:
    market = Market(EMPTY.model_copy(update={"steps": 2}), 1)
    market.reset(0, copies(0))
    hold = acts((NO_QUOTE, NO_QUOTE, 0), (HOLD, 0, 0, 0))
    assert market.step(hold).awaited.all()
    last = market.step(hold)
    assert last.truncated.all() and not last.terminated.any() and not last.awaited.any()
    with pytest.raises(RuntimeError, match="expected a reset after 2 steps"):
        market.step(hold)


def test_orders_gather_before_the_opening() -> None:
    market = Market(EMPTY.model_copy(update={"opening": 1}), 1)
    step = market.reset(0, copies(0))
    assert not step.action_masks[1][""][0, MARKET] and step.action_masks[1][""][0, LIMIT]
    step = market.step(acts((0, 0, 3), (LIMIT, 0, STEPS.tolist().index(-2), 3)))
    assert step.info["inventory"].tolist() == [[-10, 10]] and step.action_masks[1][""][0, MARKET]


def test_who_holds_as_much_as_it_may_can_only_sell() -> None:
    market = Market(EMPTY.model_copy(update={"position_limit": 10}), 1)
    ten = SIZES.tolist().index(10)
    market.reset(0, copies(0))
    market.step(acts((0, 0, ten), (HOLD, 0, 0, 0)))
    step = market.step(acts((0, 0, ten), (MARKET, 0, 0, ten)))
    assert step.info["inventory"].tolist() == [[-10, 10]]
    # The maker owes ten lots: bids, no asks but none at all, sizes.
    assert step.action_masks[0][""][0].tolist() == [1] * 8 + [0] * 7 + [1] + [1] * 4
    # The trader has no orders to cancel: acts, sides, steps, sizes.
    assert step.action_masks[1][""][0].tolist() == [1, 1, 1, 1, 1, 0] + [0, 1] + [1] * 7 + [1] * 4


def test_orders_at_one_price_are_one_level() -> None:
    market = Market(EMPTY, 1)
    market.reset(0, copies(0))
    five, front, behind = SIZES.tolist().index(5), STEPS.tolist().index(0), STEPS.tolist().index(2)
    market.step(acts((0, NO_QUOTE, five), (HOLD, 0, 0, 0)))
    market.step(acts((0, NO_QUOTE, five), (LIMIT, 0, front, five)))
    step = market.step(acts((0, NO_QUOTE, five), (LIMIT, 0, behind, five)))
    assert step.info["depth"][0, 0, :3].tolist() == [[9_999, 10], [9_997, 5], [0, 0]]
    assert not step.info["depth"][0, 1].any() and not step.observations[0]["depth"][0, 0, 2:].any()


def test_messages_of_slow_agents_arrive_later() -> None:
    market = Market(EMPTY.model_copy(update={"latency": 2}), 1)
    market.reset(0, copies(0))
    there = [bool(market.step(acts((0, 0, 0), (HOLD, 0, 0, 0))).observations[0]["orders"].any()) for _ in range(4)]
    assert there == [False, False, True, True]


def test_a_gain_counts_shares_at_the_opening_price() -> None:
    market = Market(EMPTY.model_copy(update={"position_limit": 5}), 1)
    market.reset(0, copies(0))
    market.step(acts((0, NO_QUOTE, 0), (HOLD, 0, 0, 0)))
    step = market.step(acts((0, NO_QUOTE, 0), (MARKET, 1, 0, 0)))
    # The maker bought a lot at 9,999, a tick below the opening price.
    own = [seen["own"][0] for seen in step.observations]
    assert (own[0][0], own[1][0]) == pytest.approx((0.2, -0.2))
    assert (own[0][3], own[1][3]) == pytest.approx((1 / 500, -1 / 500))
    accounts = step.state["accounts"][0]
    assert accounts[0] == pytest.approx([1 / 6, 1 / 501]) and accounts[1] == pytest.approx([-1 / 6, -1 / 501])


def test_a_rejection_is_seen_with_its_reason() -> None:
    market = Market(EMPTY.model_copy(update={"position_limit": 5}), 1)
    market.reset(0, copies(0))
    own = market.step(acts((NO_QUOTE, NO_QUOTE, 0), (LIMIT, 0, 2, 3))).observations[1]["own"][0]
    assert own[4:] == pytest.approx([8, 0.01])  # ten lots are beyond the position limit


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (np.zeros((1, 3), np.int32), r"maker_0: action: expected int64 \(1, 3\), got int32 \(1, 3\)"),
        (np.zeros((1, 4), np.int64), r"got int64 \(1, 4\)"),
        (np.array([[0, MAKER_CHOICES[1], 0]]), r"maker_0: action\[1\] of copy 0: expected 0 to 7, got 8"),
        (np.array([[0, 0, -1]]), r"action\[2\] of copy 0: expected 0 to 3, got -1"),
    ],
)
def test_malformed_actions_are_refused_in_words(action: Any, words: str) -> None:
    market = Market(EMPTY, 1)
    market.reset(0, copies(0))
    with pytest.raises(ValueError, match=words):
        market.step([{"": action}, *acts((HOLD, 0, 0, 0))])
    assert market.step(acts((0, 0, 0), (HOLD, 0, 0, 0))).awaited.all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"makers": 0, "traders": 0}, "makers: expected at least one seat"),
        ({"steps": 5, "opening": 5}, "opening: expected < steps, 5, got 5"),
        ({"crowd": [{"style": "noise", "least": 5, "most": 2}]}, "most: expected >= least, 5, got 2"),
        ({"crowd": [{"style": "gambler"}]}, "crowd.0.style"),
    ],
)
def test_configurations_that_mean_nothing_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MarketConfig.model_validate(settings)


@pytest.mark.parametrize(
    "style",
    [
        *("noise", "trend", "reversion", "fundamental", "zero_intelligence", "book_reader"),
        *("spoofer", "layering", "momentum_ignition", "stop_hunting", "protected"),
    ],
)
def test_every_style_trades(style: Any) -> None:
    crowd = (Crowd(style="noise", count=6), Crowd(style="maker", count=1, activity=1.0), Crowd(style=style, count=3))
    market = Market(MarketConfig(crowd=crowd, steps=400), 4)
    market.reset(2, np.arange(4, dtype=np.uint32))
    played(market, 400)
    assert (market._markets["book"]["accounts"]["volume"][:, 8:11].sum(axis=1) > 0).all()


def test_markets_of_similar_size_are_one_type() -> None:
    def of(agents: int, parts: int = 1) -> Any:
        rest = [Crowd(style="noise", count=1)] * (parts - 1)
        return market_type(MarketConfig(makers=1, crowd=(Crowd(style="noise", count=agents - parts), *rest)))

    assert of(2) == of(64) != of(65) == of(256) != of(257)
    assert of(60) == of(60, 15) != of(60, 16)  # the seats are a part too
    assert of(64)["equity"].shape == (64,) and of(65)["equity"].shape == (256,)


def test_one_choice_out_of_all_is_the_same_game() -> None:
    whole, flat = Market(BUSY, 4), Market(BUSY.model_copy(update={"flat": True}), 4)
    whole.reset(2, np.arange(4, dtype=np.uint32))
    flat.reset(2, np.arange(4, dtype=np.uint32))
    generator = np.random.default_rng(0)
    for _ in range(50):
        actions = drawn(whole, generator)
        numbers = [
            {"": np.ravel_multi_index(leaves[""].T, space.nvec)}
            for leaves, space in zip(actions, whole.action_spaces.values(), strict=True)
        ]
        ours, theirs = whole.step(actions), flat.step(numbers)
        assert (ours.rewards == theirs.rewards).all()
    parts, product = ours.action_masks[1][""], theirs.action_masks[1][""]
    act, side, step, size = np.unravel_index(np.arange(product.shape[1]), whole.action_spaces["trader_0"].nvec)
    assert (product == parts[:, act] & parts[:, 6 + side] & parts[:, 8 + step] & parts[:, 15 + size]).all()
    with pytest.raises(ValueError, match="maker_0: action of copy 0: expected 0 to 255, got 256"):
        flat.step([{"": np.array([256, 0, 0, 0])}, numbers[1]])
