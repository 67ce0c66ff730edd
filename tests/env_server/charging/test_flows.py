"""Flows against an independent, slow solution, and the laws that they must obey."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from env_server.environments.charging import Charging, ChargingConfig
from env_server.environments.charging.flows import prepare, solve
from env_server.environments.charging.scenario import Scenario, build

BRIEF = {"scenario": "brief"}
UNCONGESTED = {"scenario": "brief", "congestion": "none"}
LINEAR = {"scenario": "brief", "congestion": "linear", "congestion_slope": 0.05}
SPIKY = {"scenario": "brief", "wait_exponent": 3.5, "capacity": (60.0, 90.0, 120.0, 150.0)}
CLOSED = {"scenario": "brief", "energy_cost": 0.0, "outside": "none", "shift_cost": None}
GAMES = [BRIEF, UNCONGESTED, LINEAR, SPIKY, CLOSED, {}, {"num_periods": 2, "num_stations": 6}]


def random_prices(config: ChargingConfig, scenario: Scenario, copies: int, seed: int = 0) -> np.ndarray:
    shape = (copies, scenario.detour.shape[1], scenario.demand.shape[1])
    return np.random.default_rng(seed).uniform(config.price_min, config.price_max, shape)


def waits(config: ChargingConfig, scenario: Scenario, flows: np.ndarray) -> np.ndarray:
    """Money, (N, T)."""
    if config.congestion == "none":
        return np.zeros_like(flows)
    if config.congestion == "linear":
        return config.congestion_slope * flows
    seconds = config.wait_seconds * (flows / scenario.capacity[:, None]) ** config.wait_exponent
    return config.value_of_time / 3600 * seconds


def demanded(config: ChargingConfig, scenario: Scenario, prices: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """F(q) written out zone by zone and option by option, as the definition has it."""
    stations, periods = prices.shape
    wait, result = waits(config, scenario, flows), np.zeros_like(prices)
    for t in range(periods):
        reach = range(max(0, t - 1), min(periods, t + 2)) if config.shift_cost is not None else [t]
        for z, cars in enumerate(scenario.demand[:, t]):
            utility = {
                (i, u): scenario.quality[i]
                - config.theta
                * (
                    config.session_energy * prices[i, u]
                    + scenario.detour[z, i]
                    + wait[i, u]
                    + (config.shift_cost or 0.0) * abs(u - t)
                )
                for i in range(stations)
                for u in reach
            }
            top = max([*utility.values(), scenario.outside])
            total = sum(np.exp(value - top) for value in utility.values()) + np.exp(scenario.outside - top)
            for (i, u), value in utility.items():
                result[i, u] += cars * np.exp(value - top) / total
    return result


@pytest.mark.parametrize("settings", GAMES)
def test_flows_are_the_demand_that_they_cause(settings: dict) -> None:
    config = ChargingConfig(**settings)
    scenario = build(config)
    game = prepare(config, scenario)
    prices = random_prices(config, scenario, 2)
    flows = solve(game, prices, game.demand, False)[0]
    for price, flow in zip(prices, flows, strict=True):
        assert np.abs(demanded(config, scenario, price, flow) - flow).max() <= 2 * game.tolerance


def test_flows_agree_with_a_general_solver() -> None:
    demand, detour = [[90.0, 40.0, 10.0], [20.0, 70.0, 60.0]], [[0.5, 3.0], [4.0, 1.0]]
    config = ChargingConfig(
        scenario="custom", demand=demand, detour=detour, theta=0.3, congestion="power", capacity=30.0,
        shift_cost=1.0, outside="utility", outside_utility=-5.0, quality=(0.0, 0.4), flow_tolerance=1e-11,
    )  # fmt: skip
    scenario = build(config)
    game = prepare(config, scenario)
    prices = random_prices(config, scenario, 3)
    flows = solve(game, prices, game.demand, False)[0]
    for price, flow in zip(prices, flows, strict=True):
        found = least_squares(
            lambda q, p=price: (demanded(config, scenario, p, q.reshape(2, 3)) - q.reshape(2, 3)).ravel(),
            np.full(6, 20.0), bounds=(0.0, np.inf), xtol=1e-15, ftol=1e-15, gtol=1e-15,
        )  # fmt: skip
        assert found.cost < 1e-16
        np.testing.assert_allclose(flow.ravel(), found.x, rtol=1e-8)


def test_everyone_charges_where_nobody_can_leave() -> None:
    config = ChargingConfig(**CLOSED)
    scenario = build(config)
    game = prepare(config, scenario)
    flows = solve(game, random_prices(config, scenario, 9), game.demand, False)[0]
    # Nobody shifts either, so each period keeps its own cars.
    np.testing.assert_allclose(flows.sum(axis=1), np.tile(scenario.demand.sum(axis=0), (9, 1)), rtol=1e-12)


def test_flows_fall_in_the_own_price_and_never_exceed_demand() -> None:
    config = ChargingConfig(**BRIEF)
    scenario = build(config)
    game = prepare(config, scenario)
    prices = np.full((2, 4, 8), 1.0)
    prices[1, 2, 5] = 1.1
    flows = solve(game, prices, game.demand, False)[0]
    change = flows[1] - flows[0]
    assert change[2, 5] < 0
    assert (np.delete(change[:, 5], 2) > 0).all()
    assert (flows >= 0).all()
    assert (flows.sum(axis=(1, 2)) < scenario.demand.sum()).all()


@pytest.mark.parametrize("settings", GAMES)
def test_gradients_are_the_derivatives_of_profit(settings: dict) -> None:
    game = Charging(ChargingConfig(flow_tolerance=1e-12, **settings), 1)
    actions = np.random.default_rng(1).uniform(0.1, 0.9, (3, game.num_stations, game.num_periods))
    _, slopes = game.payoff(actions, True)
    step = 1e-4
    for agent in range(game.num_stations):
        for period in (0, game.num_periods - 1):
            nudge = np.zeros(actions.shape)
            nudge[:, agent, period] = step
            rise = game.payoff(actions + nudge, False)[0] - game.payoff(actions - nudge, False)[0]
            numeric = rise[:, agent] / (2 * step)
            np.testing.assert_allclose(slopes[:, agent, period], numeric, atol=1e-6 * np.abs(slopes).max())


def test_a_copy_depends_on_itself_only_to_the_bit() -> None:
    config = ChargingConfig(demand_noise=True)
    scenario = build(config)
    game = prepare(config, scenario)
    prices = random_prices(config, scenario, 19)
    rng = np.random.default_rng(2)
    demand = np.ascontiguousarray(game.demand * rng.uniform(0.0, 2.0, (19, *game.demand.shape[1:])))
    together = solve(game, prices, demand, True)
    for size in (1, 7, 8):
        for first in (0, 5, 11):
            part = slice(first, first + size)
            alone = solve(game, prices[part].copy(), demand[part].copy(), True)
            for one, all_ in zip(alone, together, strict=True):
                assert one.tobytes() == all_[part].tobytes()


def test_a_period_without_cars_is_left_empty() -> None:
    config = ChargingConfig(
        scenario="custom", demand=[[50.0, 0.0]], detour=[[1.0, 2.0]], congestion="power", capacity=20.0
    )
    scenario = build(config)
    game = prepare(config, scenario)
    flows = solve(game, random_prices(config, scenario, 4), game.demand, False)[0]
    assert (flows[:, :, 1] == 0).all()
    np.testing.assert_allclose(flows[:, :, 0].sum(axis=1), 50.0, rtol=1e-12)


def test_extreme_congestion_is_solved_too() -> None:
    # Waits of hundreds of utils at the first guess: full steps overshoot, the line search does not.
    rng = np.random.default_rng(3)
    for _ in range(25):
        stations, periods = rng.integers(1, 6), rng.integers(1, 9)
        config = ChargingConfig(
            scenario="custom", demand=rng.exponential(100.0, (5, periods)).tolist(), session_energy=50.0,
            detour=rng.exponential(5.0, (5, stations)).tolist(), theta=float(10 ** rng.uniform(-2, -0.5)),
            congestion="power", capacity=float(10 ** rng.uniform(1.2, 2.5)), wait_exponent=float(rng.choice([1, 2, 3])),
            shift_cost=None if rng.random() < 0.5 else 1.0, outside=rng.choice(["none", "utility"]),
            outside_utility=-12.0, price_min=0.0, price_max=3.0,
        )  # fmt: skip
        scenario = build(config)
        game = prepare(config, scenario)
        prices = random_prices(config, scenario, 8)
        flows = solve(game, prices, game.demand, False)[0]
        gap = demanded(config, scenario, prices[0], flows[0]) - flows[0]
        # Where a small change of flow moves demand a lot, F(F(q)) is farther from F(q) than F(q) is from q.
        assert np.abs(gap).max() <= 1e-5 * scenario.flow_scale


def test_unsolvable_congestion_is_refused_in_words() -> None:
    config = ChargingConfig(
        scenario="custom", demand=[[1e4], [3e3]], detour=[[0.0, 1.0], [3.0, 0.5]], theta=10.0,
        congestion="power", wait_exponent=16.0, capacity=0.01,
    )  # fmt: skip
    with pytest.raises(ValueError, match="at the middle price: flows: expected a residual <="):
        Charging(config, 1)
