"""The scripted traders as policies: they do in a seat what they do inside the market."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent_services.policies import load
from agora.agents.policy import Batch, Draws, Source, Spaces
from agora.errors import Refused
from agora.market.choices import CANCEL, HOLD, LIMIT, MARKET, OFFSETS, SIZES, STEPS
from env_server.environments.market import Market, MarketConfig
from env_server.environments.market.config import Crowd

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

COPIES = np.arange(4, dtype=np.uint32)
EMPTY = MarketConfig(makers=1, crowd=(), worth={"volatility": 0.0})


def bound(name: str, market: Market, agent: str, **parameters: str) -> Any:
    index = market.agents.index(agent)
    spaces = Spaces.of(market.observation_spaces[agent], market.action_spaces[agent], index, agent)
    return spaces, load("market", Source(name, parameters)).bind(spaces)


def chosen(market: Market, agent: str, policy: Any, step: Any, number: int) -> Any:
    spaces, decide = policy
    shown = step.observations[market.agents.index(agent)]
    seen = [shown[leaf.path] for leaf in spaces.observation]
    draws = Draws(5, 0, market.agents.index(agent), number, COPIES)
    memory = np.zeros((len(COPIES), 0), np.uint8)
    return decide(Batch(seen, [None], memory, draws)).heads[0].action


def played(market: Market, policies: dict[str, Any], steps: int) -> list[Any]:
    shown = [market.reset(3, COPIES)]
    for number in range(steps):
        actions = [{"": chosen(market, agent, policies[agent], shown[-1], number)} for agent in market.agents]
        shown.append(market.step(actions))
    return shown


def test_a_maker_quotes_at_its_half_spread() -> None:
    market = Market(EMPTY, 4)
    step = played(market, {"maker_0": bound("maker", market, "maker_0", half_spread="4")}, 1)[-1]
    # 9,996 and 10,004 are three ticks beyond the nearest prices.
    assert OFFSETS[3] == 3 and (step.observations[0]["orders"][:, :2, 1] == np.float32([-0.4, 0.4])).all()


def test_a_maker_in_a_seat_quotes_what_one_inside_does() -> None:
    seat = Market(MarketConfig(crowd=(Crowd(style="noise", count=6, take=0.5),)), 4)
    shown = played(seat, {"maker_0": bound("maker", seat, "maker_0")}, 300)
    inside = Crowd(style="maker", activity=1.0, least=5, most=5)
    crowd = MarketConfig(makers=0, traders=1, crowd=(Crowd(style="noise", count=6, take=0.5), inside))
    market = Market(crowd, 4)
    market.reset(3, COPIES)
    hold = [{"": np.zeros((4, 4), np.int64)}]
    spreads = [market.step(hold).observations[0]["spread"].mean() for _ in range(300)]
    ours = [step.observations[0]["spread"].mean() for step in shown[1:]]
    # Not the same draws, but the same behaviour: mean spreads are within a tick of one another.
    assert abs(np.mean(ours[50:]) - np.mean(spreads[50:])) < 0.1


@pytest.mark.parametrize(
    "name",
    [
        *("noise", "trend", "reversion", "fundamental", "zero", "book_reader"),
        *("spoofer", "layering", "momentum_ignition", "stop_hunting"),
    ],
)
def test_every_style_trades_in_a_seat(name: str) -> None:
    market = Market(MarketConfig(makers=0, traders=1, informed=True, flow=True, steps=400), 4)
    parameters = {"activity": "1", "threshold": "0"} if name in ("trend", "reversion", "fundamental") else {}
    shown = played(market, {"trader_0": bound(name, market, "trader_0", **parameters)}, 400)
    assert np.any([step.info["inventory"] for step in shown], axis=(0, 2)).all()


def test_a_follower_buys_what_rises_and_sells_what_falls() -> None:
    market = Market(EMPTY.model_copy(update={"makers": 0, "traders": 1}), 4)
    spaces, decide = bound("trend", market, "trader_0", activity="1", threshold="0.001")
    step = market.reset(0, COPIES)
    shown = {leaf.path: step.observations[0][leaf.path].copy() for leaf in spaces.observation}
    shown["price_change_10"][:] = [0.2, -0.2, 0.05, 0.0]  # percent; the threshold is 0.1
    shown["depth"][:, :, 0] = [[-0.1, 1.0], [0.1, 1.0]]  # A tick on either side of the middle there is something.
    batch = Batch([shown[leaf.path] for leaf in spaces.observation], [None], np.zeros((4, 0), np.uint8), DRAWS)
    action = decide(batch).heads[0].action
    assert action[:, 0].tolist() == [MARKET, MARKET, HOLD, HOLD] and action[:2, 1].tolist() == [0, 1]


DRAWS = Draws(5, 0, 0, 0, COPIES)


def test_a_spoofer_in_a_seat_collects_then_bids_behind_the_best_bid_then_sells() -> None:
    market = Market(EMPTY.model_copy(update={"traders": 1, "informed": True}), 4)
    spaces, decide = bound("spoofer", market, "trader_0", activity="1", take="1", least="2", most="2")
    market.reset(0, COPIES)
    quotes = [{"": np.zeros((4, 3), np.int64)}, {"": np.zeros((4, 4), np.int64)}]
    seen = market.step(quotes).observations[1]  # the best bid is 9,999 and the best ask 10,001
    shown = {leaf.path: seen[leaf.path].copy() for leaf in spaces.observation}
    # Steps 1, 1, 151 and 151 of cycles of 200; worth 10,010, 10,001, 10,001 and 9,990; it holds 0, 0, 5 and 5 lots.
    shown["market"][:, 2] = [1.0, 1.0, 0.85, 0.85]
    shown["signal"][:] = [0.1, 0.01, 0.01, -0.1]
    shown["own"][:, 0] = [0.0, 0.0, 0.01, 0.01]
    batch = Batch([shown[leaf.path] for leaf in spaces.observation], [None], np.zeros((4, 0), np.uint8), DRAWS)
    action = decide(batch).heads[0].action
    assert action[:, 0].tolist() == [MARKET, HOLD, LIMIT, MARKET]
    assert action[[0, 2, 3], 1].tolist() == [0, 0, 1]
    assert STEPS[action[2, 2]] == 1 and SIZES[action[[0, 2, 3], 3]].tolist() == [2, 10, 2]


def test_random_orders_are_cancelled_after_a_while() -> None:
    market = Market(EMPTY.model_copy(update={"makers": 0, "traders": 1}), 4)
    policy, acts = bound("noise", market, "trader_0", activity="0.5", take="0", cancel="1"), set()
    step = market.reset(3, COPIES)
    for number in range(40):
        action = chosen(market, "trader_0", policy, step, number)
        acts |= set(action[:, 0].tolist())
        step = market.step([{"": action}])
    assert CANCEL in acts


@pytest.mark.parametrize(
    ("name", "agent", "config", "words"),
    [
        ("fundamental", "trader_0", {}, "expected leaves .*'signal'"),
        ("book_reader", "trader_0", {"informed": True}, "expected leaves .*'flow'"),
        ("spoofer", "trader_0", {}, "expected leaves .*'signal'"),
        ("maker", "trader_0", {}, r"expected choices \(8, 8, 4\), got \[\(6, 2, 7, 4\)\]"),
        ("noise", "maker_0", {}, r"expected choices \(6, 2, 7, 4\), got \[\(8, 8, 4\)\]"),
    ],
)
def test_seats_that_do_not_fit_are_refused(name: str, agent: str, config: dict[str, Any], words: str) -> None:
    market = Market(MarketConfig(traders=1, **config), 4)
    with pytest.raises(Refused, match=words):
        bound(name, market, agent)
