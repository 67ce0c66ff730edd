"""Equilibria against closed forms that are derived by hand, and against themselves from other starts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from env_server.environments.charging import Charging, ChargingConfig
from env_server.environments.charging.calibrate import Calibrate, calibrated_theta, main, mean_price
from env_server.environments.charging.config import CALIBRATED_THETA
from env_server.environments.charging.equilibrium import best_response, equilibrium, regrets


def prices_from(config: ChargingConfig, seed: int = 0) -> np.ndarray:
    game = Charging(config, 1)
    start = np.random.default_rng(seed).uniform(size=(game.num_stations, game.num_periods))
    return game.prices(equilibrium(game, start))


def symmetric(stations: int, theta: float, slope: float, cars: float, cost: float) -> ChargingConfig:
    return ChargingConfig(
        scenario="custom", demand=[[cars]], detour=[[0.0] * stations], theta=theta, session_energy=50.0,
        energy_cost=cost, price_min=0.5, price_max=2.0, congestion="linear", congestion_slope=slope,
        flow_tolerance=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stations", "theta", "slope", "cars", "cost", "price"),
    [
        (4, 0.1, 0.0, 1000.0, 0.6, 0.6 + 4 / (0.1 * 50 * 3)),
        (4, 0.1, 0.02, 1000.0, 0.6, 1.0),
        (2, 0.2, 0.05, 500.0, 0.3, 1.0),
        (4, 0.1, 0.1, 1000.0, 0.6, 0.6 + (4 + 0.1 * 0.1 * 1000) / (0.1 * 50 * 3)),
    ],
)
def test_symmetric_stations_with_linear_congestion(
    stations: int, theta: float, slope: float, cars: float, cost: float, price: float
) -> None:
    # p = c + (N + theta a Q) / (theta E (N - 1))
    found = prices_from(symmetric(stations, theta, slope, cars, cost))
    np.testing.assert_allclose(found, price, atol=1e-8)


def test_periods_decouple_and_markups_follow_shares() -> None:
    # Without congestion, leaving and shifting: p_i = c + 1 / (theta E (1 - s_i)) with s the logit shares.
    theta, energy, cost = 0.1, 50.0, np.array([0.6, 0.5, 0.7])
    quality = np.array([0.0, 0.5, -0.3, 1.0])
    config = ChargingConfig(
        scenario="custom", demand=[[300.0, 10.0, 200.0]], detour=[[0.0] * 4], theta=theta, session_energy=energy,
        energy_cost=tuple(cost), quality=tuple(quality), price_min=0.5, price_max=2.0, flow_tolerance=1e-12,
    )  # fmt: skip
    expected = np.ones((4, 3))
    for _ in range(500):
        attraction = np.exp(quality[:, None] - theta * energy * expected)
        share = attraction / attraction.sum(axis=0)
        expected = 0.5 * expected + 0.5 * (cost + 1 / (theta * energy * (1 - share)))
    np.testing.assert_allclose(prices_from(config), expected, atol=1e-8)


def hotelling(congestion: float, cars: float = 3.0, transport: float = 0.3, cost: float = 0.4) -> ChargingConfig:
    # Sharp choice (theta * transport = 40) among evenly spread zones is Hotelling's line to within 1e-9: the error of
    # this midpoint rule falls as exp(-2 pi^2 / h) with h = 2 * 40 / zones.
    zones = 120
    place = (np.arange(zones) + 0.5) / zones
    detour = transport * np.stack([place, 1 - place], axis=1)
    return ChargingConfig(
        scenario="custom", demand=np.full((zones, 1), cars / zones).tolist(), detour=detour.tolist(),
        theta=40 / transport, session_energy=1.0, energy_cost=cost, price_min=0.5, price_max=1.1,
        congestion="linear", congestion_slope=congestion, flow_tolerance=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("congestion", [0.0, 0.05])
def test_hotelling_line(congestion: float) -> None:
    # p = c + t + a Q, with transport cost t per unit of length and Q cars spread evenly. Stations start near their
    # equilibrium: on a line, a station can be undercut out of the market.
    game = Charging(hotelling(congestion), 1)
    expected = 0.4 + 0.3 + congestion * 3.0
    start = np.full((2, 1), (expected - 0.5) / 0.6 + 0.02)
    np.testing.assert_allclose(game.prices(equilibrium(game, start)), expected, atol=1e-8)


@pytest.mark.parametrize("scenario", ["melbourne", "brief"])
def test_default_scenarios_have_one_interior_equilibrium(scenario: str) -> None:
    game = Charging(ChargingConfig(scenario=scenario), 1)
    rng = np.random.default_rng(4)
    found = [equilibrium(game, rng.uniform(size=(4, 8))) for _ in range(4)]
    assert np.ptp([game.prices(actions) for actions in found], axis=0).max() <= 1e-6
    assert found[0].min() > 0.05
    assert found[0].max() < 0.95
    profit = game.payoff(found[0][None], False)[0][0]
    assert (regrets(game, found[0], rng.uniform(size=(2, 8))) <= 1e-9 * profit).all()


def test_a_best_response_is_one() -> None:
    game = Charging(ChargingConfig(scenario="brief"), 1)
    rng = np.random.default_rng(5)
    actions = rng.uniform(size=(4, 8))
    response, value = best_response(game, actions, 2, actions[2])
    trials = np.repeat(actions[None], 400, axis=0)
    trials[:200, 2] = rng.uniform(size=(200, 8))
    trials[200:, 2] = np.clip(response + 0.02 * rng.standard_normal((200, 8)), 0, 1)
    assert game.payoff(trials, False)[0][:, 2].max() <= value
    assert (regrets(game, actions, response[None]) >= 0).all()
    assert math.isclose(
        regrets(game, actions, rng.uniform(size=(1, 8)))[2], value - game.payoff(actions[None], False)[0][0, 2]
    )


def test_held_prices_stay_at_their_bound() -> None:
    # With a ceiling below the free equilibrium of 0.866667, every station charges the ceiling.
    config = symmetric(4, 0.1, 0.0, 1000.0, 0.6).model_copy(update={"price_max": 0.8})
    np.testing.assert_array_equal(prices_from(config), 0.8)


def test_theta_is_calibrated_to_the_posted_mean(capsys: pytest.CaptureFixture[str]) -> None:
    theta = main(Calibrate(low=0.4, high=0.5))
    assert theta == pytest.approx(CALIBRATED_THETA, abs=5e-5)
    assert "target 0.3167" in capsys.readouterr().out
    # Sites 30, 7 and 54 posted 0.45, 0.25 and 0.25 AUD/kWh; site 43 posted none.
    assert mean_price(ChargingConfig()) == pytest.approx((0.45 + 0.25 + 0.25) / 3, abs=1e-4)


def test_an_unreachable_target_is_refused() -> None:
    with pytest.raises(ValueError, match=r"target: expected between .* got 0\.9000"):
        calibrated_theta(ChargingConfig(), 0.9, 0.4, 0.5)
