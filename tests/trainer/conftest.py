"""Small games with known equilibria, and blocks of experience made by hand."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.optimize import brentq

from trainer.segments import AgentSegment, Segment
from trainer.spec import GameSpec

torch.set_num_threads(1)  # as the trainer does: on nets this small more threads only wait for each other

STATIONS, PERIODS = 3, 2


@dataclass(frozen=True)
class LogitBertrand:
    """Price competition with logit demand (Calvano et al. 2020), one price per agent; actions are prices in [0, 3]."""

    firms: int
    quality: float = 2.0
    cost: float = 1.0
    mu: float = 0.25
    high: float = 3.0

    def payoff(self, actions, gradient):
        price = actions[..., 0]
        pull = np.exp((self.quality - price) / self.mu)
        share = pull / (pull.sum(axis=1, keepdims=True) + 1.0)
        slope = share - (price - self.cost) * share * (1 - share) / self.mu
        return (price - self.cost) * share, slope[..., None] if gradient else None

    def best_response(self, price, agent):
        """By the first-order condition p = c + mu / (1 - q), with a root finder."""
        others = 1.0 + sum(np.exp((self.quality - p) / self.mu) for j, p in enumerate(price) if j != agent)

        def condition(p):
            pull = np.exp((self.quality - p) / self.mu)
            return p - self.cost - self.mu * (others + pull) / others

        return brentq(condition, self.cost, self.high, xtol=1e-14)


@dataclass(frozen=True)
class LinearBertrand:
    """q_i = a - b p_i + d sum of others' prices, no cost; best response (a + d sum) / 2b, clipped to [0, high]."""

    a: float = 2.0
    b: float = 1.0
    d: float = 0.25
    high: float = 4.0

    def payoff(self, actions, gradient):
        price = actions[..., 0]
        quantity = self.a - self.b * price + self.d * (price.sum(axis=1, keepdims=True) - price)
        return price * quantity, (quantity - self.b * price)[..., None] if gradient else None


@pytest.fixture
def games():
    return SimpleNamespace(LogitBertrand=LogitBertrand, LinearBertrand=LinearBertrand)


@pytest.fixture
def spec():
    """A game of three stations with two prices each, observed as the charging game is."""
    prices = spaces.Box(0.0, 1.0, (STATIONS, PERIODS), np.float32)
    flow = spaces.Box(0.0, np.array([5.0, 6.0], np.float32), dtype=np.float32)
    flows = spaces.Box(0.0, 9.0, (STATIONS, PERIODS), np.float32)
    seen = spaces.Dict({"last_round_all_prices": prices, "own_charging_flow": flow})
    action = spaces.Box(0.0, 2.0, (PERIODS,), np.float32)
    agents = tuple(f"station_{i}" for i in range(STATIONS))
    state = spaces.Dict({"last_round_all_prices": prices, "charging_flows": flows})
    return GameSpec("test", "{}", agents, (seen,) * STATIONS, (action,) * STATIONS, state, True, {})


@pytest.fixture
def block():
    """A maker of random blocks: 4 steps of 6 copies; agent (copy modulo agents) explores; the last step terminates."""

    def make(seed=0, steps=4, copies=6, rewards=None):
        draws = np.random.default_rng(seed)
        prices = draws.random((steps + 1, copies, STATIONS, PERIODS), dtype=np.float32)
        flows = draws.uniform(0, 5, (steps + 1, copies, STATIONS, PERIODS)).astype(np.float32)
        actions = draws.uniform(0, 2, (steps, copies, STATIONS, PERIODS)).astype(np.float32)
        earned = draws.normal(5.0, 2.0, (steps, copies, STATIONS)) if rewards is None else rewards(actions)
        last = np.zeros((steps, copies), bool)
        last[-1] = True
        agents = tuple(
            AgentSegment(
                observation={"last_round_all_prices": prices, "own_charging_flow": flows[:, :, i]},
                action={"": actions[:, :, i]},
                action_mask={},
                log_prob=np.broadcast_to((np.arange(copies) % STATIONS == i) * -1.5, (steps, copies)).astype(
                    np.float32
                ),
                reward=earned[:, :, i],
                terminated=last,
                truncated=np.zeros_like(last),
                acted=np.ones((steps, copies), np.uint8),
                policy_id=f"station_{i}",
                version=np.zeros((steps, copies, 2), np.uint64),
            )
            for i in range(STATIONS)
        )
        return Segment(0, 0, True, {"last_round_all_prices": prices, "charging_flows": flows}, agents)

    return make
