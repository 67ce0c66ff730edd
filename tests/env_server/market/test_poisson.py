"""The market in the limit of models: a maker alone with Poisson takers, around a middle that nobody moves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agora.market.choices import NO_QUOTE, OFFSETS
from env_server.environments.market import Market, MarketConfig

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

COPIES, STEPS = 4_000, 40
ACTIVITY, REACH = 0.6, 6.0
TAKER = {"style": "poisson", "activity": ACTIVITY, "away": REACH, "most": 1, "latency": 1, "holding": 10**6}


def market(**changes) -> Market:
    """A market in the limit."""
    config = {"crowd": [TAKER], "anchored": True, "worth": {"volatility": 1.0, "reversion": 0.0}, "steps": STEPS}
    return Market(MarketConfig(**(config | changes)), COPIES)


def play(game: Market, bid: int, ask: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rewards (STEPS, COPIES) of constant quotes, and what the log keeps of the last step."""
    game.reset(5, np.arange(COPIES, dtype=np.uint32))
    action = [{"": np.tile([bid, ask, 0], (COPIES, 1))}]
    steps = [game.step(action) for _ in range(STEPS)]
    return np.stack([step.rewards[:, 0] for step in steps]), steps[-1].info


def close(values: np.ndarray, expected: float) -> bool:
    """Whether a mean is within four standard errors."""
    return abs(values.mean() - expected) < 4.0 * values.std(ddof=1) / math.sqrt(len(values))


def test_a_quote_trades_with_the_chance_that_its_distance_has():
    for choice in (0, 4, 6):
        distance = 1.0 + OFFSETS[choice]
        chance = 0.5 * ACTIVITY * math.exp(-distance / REACH)
        rewards, info = play(market(), choice, NO_QUOTE)
        # Nothing trades in the first step: what was quoted in a step is met by takers of the same step, one step late.
        assert close(info["inventory"][:, 0], (STEPS - 1) * chance) and not rewards[0].any()
        assert close(rewards.sum(axis=0), (STEPS - 1) * chance * distance)


def test_both_quotes_earn_their_distances_and_the_middle_is_the_worth():
    rewards, info = play(market(), 4, 4)
    assert close(rewards.sum(axis=0), (STEPS - 1) * ACTIVITY * 6.0 * math.exp(-1.0))
    assert np.array_equal(info["mid"], np.floor(info["worth"] + 0.5)) and np.std(info["mid"]) > 3.0
