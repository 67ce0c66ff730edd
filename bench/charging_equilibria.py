"""The charging game's equilibria against closed forms derived by hand, and from many starts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.report import Row
from env_server.environments.charging import Charging, ChargingConfig
from env_server.environments.charging.equilibrium import equilibrium, regrets

TITLE = "the charging game has the equilibria that theory says, and one only"

Floats = NDArray[np.float64]
CLOSED_FORM = 1e-8
SPREAD = 1e-6
UNEXPLOITABLE = 1e-9

LINEAR_CASES = (
    (4, 0.1, 0.0, 1000.0, 0.6),
    (4, 0.1, 0.02, 1000.0, 0.6),
    (2, 0.2, 0.05, 500.0, 0.3),
    (4, 0.1, 0.1, 1000.0, 0.6),
)
"""Stations, theta, slope of the linear wait, cars, cost of energy."""


def run(quick: bool) -> list[Row]:
    """Measure every closed form from a few starts, and both default scenarios from many."""
    starts = 2 if quick else 5
    rows = [_linear(*case, starts=starts) for case in LINEAR_CASES]
    rows += [_asymmetric(starts), _hotelling(0.0, starts), _hotelling(0.05, starts)]
    for scenario in ("melbourne", "brief"):
        rows += _unique(scenario, starts=6 if quick else 20)
    return rows


def _errors(
    config: ChargingConfig, expected: Floats | float, draw: Callable[[np.random.Generator], Floats], starts: int
) -> list[float]:
    """Largest error of an equilibrium's prices, from each start."""
    game = Charging(config, 1)
    rng = np.random.default_rng(0)
    return [float(np.abs(game.prices(equilibrium(game, draw(rng))) - expected).max()) for _ in range(starts)]


def _closed_form(name: str, errors: list[float]) -> Row:
    return Row(name, errors, "money/kWh off", f"<= {CLOSED_FORM:g}", max(errors) <= CLOSED_FORM)


def _linear(stations: int, theta: float, slope: float, cars: float, cost: float, starts: int) -> Row:
    """Equal stations, wait a*q: p = c + (N + theta a Q) / (theta E (N - 1))."""
    energy = 50.0
    config = ChargingConfig(
        scenario="custom", demand=((cars,),), detour=((0.0,) * stations,), theta=theta, session_energy=energy,
        energy_cost=cost, price_min=0.5, price_max=2.0, congestion="linear", congestion_slope=slope,
        flow_tolerance=1e-12,
    )  # fmt: skip
    expected = cost + (stations + theta * slope * cars) / (theta * energy * (stations - 1))
    errors = _errors(config, expected, lambda rng: rng.uniform(size=(stations, 1)), starts)
    return _closed_form(f"{stations} equal stations, wait {slope:g} per car: {expected:.6f}", errors)


def _asymmetric(starts: int) -> Row:
    """No wait, nobody leaves or shifts: p_i = c + 1 / (theta E (1 - s_i)) with logit shares s, by a fixed point."""
    theta, energy, cost, quality = 0.1, 50.0, 0.6, np.array([0.0, 0.5, -0.3, 1.0])
    expected = np.ones((4, 1))
    for _ in range(500):
        attraction = np.exp(quality[:, None] - theta * energy * expected)
        share = attraction / attraction.sum()
        expected = 0.5 * expected + 0.5 * (cost + 1 / (theta * energy * (1 - share)))
    config = ChargingConfig(
        scenario="custom", demand=((500.0,),), detour=((0.0,) * 4,), theta=theta, session_energy=energy,
        energy_cost=cost, quality=tuple(quality.tolist()), price_min=0.5, price_max=2.0, flow_tolerance=1e-12,
    )  # fmt: skip
    errors = _errors(config, expected, lambda rng: rng.uniform(size=(4, 1)), starts)
    return _closed_form("4 unequal stations: cost + 1 / (theta E (1 - share))", errors)


def _hotelling(slope: float, starts: int) -> Row:
    """Two stations at the ends of a line, sharp choice: p = c + t + a Q."""
    cars, transport, cost, zones = 3.0, 0.3, 0.4, 120
    place = (np.arange(zones) + 0.5) / zones
    config = ChargingConfig(
        scenario="custom", demand=tuple((cars / zones,) for _ in place),
        detour=tuple((transport * x, transport * (1 - x)) for x in place.tolist()), theta=40 / transport,
        session_energy=1.0, energy_cost=cost, price_min=0.5, price_max=1.1, congestion="linear",
        congestion_slope=slope, flow_tolerance=1e-12,
    )  # fmt: skip
    expected = cost + transport + slope * cars
    # From far apart a station is undercut out of the market, where its best response is not unique.
    near = (expected - config.price_min) / (config.price_max - config.price_min)
    errors = _errors(config, expected, lambda rng: near + rng.uniform(-0.1, 0.1, (2, 1)), starts)
    return _closed_form(f"Hotelling's line, wait {slope:g} per car: {expected:.2f}", errors)


def _unique(scenario: str, starts: int) -> list[Row]:
    """A default scenario from random starts: do best responses meet, inside the bounds, where nobody gains?"""
    game = Charging(ChargingConfig.model_validate({"scenario": scenario}), 1)
    rng = np.random.default_rng(1)
    found = np.array(
        [equilibrium(game, rng.uniform(size=(game.num_stations, game.num_periods))) for _ in range(starts)]
    )
    prices = game.prices(found)
    apart = [float(value) for value in np.abs(prices - prices[0]).max(axis=(1, 2))]
    gain = regrets(game, found[0], rng.uniform(size=(3, game.num_periods)))
    share = [float(value) for value in gain / game.payoff(found[:1], False)[0][0]]
    bounds = [float(prices.min()), float(prices.max())]
    inside = game.config.price_min < bounds[0] and bounds[1] < game.config.price_max
    limits = f"inside {game.config.price_min:g} to {game.config.price_max:g}"
    return [
        Row(f"{scenario}: {starts} starts meet", apart, "money/kWh apart", f"<= {SPREAD:g}", max(apart) <= SPREAD),
        Row(f"{scenario}: equilibrium prices", bounds, "money/kWh", limits, inside),
        Row(
            f"{scenario}: gain from deviating", share, "of profit", f"<= {UNEXPLOITABLE:g}", max(share) <= UNEXPLOITABLE
        ),
    ]
