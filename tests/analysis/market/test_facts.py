"""Facts of series that are known to have them, or not."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.market.facts import Tape, facts

COUNT = 20_000


def tape(returns: np.ndarray) -> Tape:
    """A market whose volume and flow follow its returns."""
    moves = np.concatenate([[0.0], returns])
    return Tape(10_000.0 * np.exp(np.cumsum(moves)), 1e6 * np.abs(moves), 1e4 * moves)


def held(market: Tape) -> dict[str, bool]:
    return {fact.name: fact.holds for fact in facts(market)}


def stochastic_volatility(seed: int) -> np.ndarray:
    """Normal returns whose logarithmic volatility remembers at three scales."""
    draws = np.random.default_rng(seed)
    level = np.zeros(COUNT)
    for keeps in (0.9, 0.99, 0.999):
        noise, state = draws.standard_normal(COUNT) * np.sqrt(1.0 - keeps**2), np.zeros(COUNT)
        for step in range(1, COUNT):
            state[step] = keeps * state[step - 1] + noise[step]
        level += 0.4 * state
    return 1e-4 * np.exp(level) * draws.standard_normal(COUNT)


def test_there_are_twelve() -> None:
    assert len(held(tape(1e-4 * np.random.default_rng(0).standard_normal(COUNT)))) == 12


def test_a_normal_random_walk_has_no_tails_and_no_clusters() -> None:
    found = held(tape(1e-4 * np.random.default_rng(0).standard_normal(COUNT)))
    assert found["no linear memory"] and found["no linear memory, coarsely"]
    assert not found["heavy tails"] and not found["volatility clustering"] and not found["long memory"]


def test_volatility_that_remembers_has_both() -> None:
    found = held(tape(stochastic_volatility(0)))
    assert found["heavy tails"] and found["volatility clustering"] and found["conditional heteroscedasticity"]
    assert found["no linear memory"] and found["volatility clustering"] and found["aggregational normality"]


def test_returns_that_follow_one_another_are_seen() -> None:
    noise = np.random.default_rng(0).standard_normal(COUNT + 10)
    assert not held(tape(1e-5 * np.convolve(noise, np.ones(10), "valid")[:COUNT]))["no linear memory"]


@pytest.mark.parametrize(("delta", "concave"), [(0.5, True), (1.0, False)])
def test_impact_is_that_of_one_side_s_orders(delta: float, concave: bool) -> None:
    draws = np.random.default_rng(0)
    size, side, mixed = draws.integers(1, 50, COUNT), draws.choice([-1.0, 1.0], COUNT), draws.random(COUNT) < 0.5
    moves = side * np.where(mixed, size**1.5, size**delta) + draws.standard_normal(COUNT)
    market = Tape(1e6 + np.cumsum(moves), np.where(mixed, 2.0, 1.0) * size, side * size)
    assert held(market)["concave impact"] is concave


@pytest.mark.parametrize(
    ("mid", "words"),
    [(np.ones(100), "mid: expected at least 3000 steps, got 100"), (np.zeros(5000), "mid: expected positive prices")],
)
def test_tapes_that_say_nothing_are_refused(mid: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        facts(Tape(mid, mid, mid))
