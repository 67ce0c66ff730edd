"""Who charges where and when at given prices: the logit equilibrium with congestion, for a batch of joint prices.

A car of zone z that wants to charge in period t takes station i in period t' with utility

    u = quality_i - theta * (E * p_it' + detour_zi + wait_i(q_it') + s * |t' - t|),

|t' - t| <= 1, or leaves. Flows q must equal the demand F(q) that they cause. The wait grows with the flow, so the
equilibrium is the minimiser of a strictly convex program and unique (Fisk 1980, "Some developments in equilibrium
traffic assignment"). exp(u) factorises into zone by station and station by period, so F costs Z*T*N multiplications.

F(q) = q is solved by Newton's method on log F(q) = log q. With H = -dF/dcost (symmetric, positive semidefinite, only
periods at most two apart are coupled) and a' = dwait/dq, a step solves (F/q + H a') dq = F log(F/q), made symmetric by
sqrt(a') on both sides and factored as a band. It starts from the flows at the middle price and their derivatives there,
so that a result depends on its own prices and demand only, to the bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from env_server.environments.charging.blocks import Game
from env_server.environments.charging.config import ChargingConfig
from env_server.environments.charging.kernels import solve_all
from env_server.environments.charging.scenario import Scenario

Floats = NDArray[np.float64]


def prepare(config: ChargingConfig, scenario: Scenario) -> Game:
    """The compiled code's arrays, with the flows at the middle of the price bounds as the start.

    Raises:
        ArithmeticError: the equilibrium at the middle could not be found.
    """
    stations, periods = scenario.detour.shape[1], scenario.demand.shape[1]
    logs = scenario.quality[None, :] - config.theta * scenario.detour
    top = np.maximum(logs.max(axis=1), scenario.outside)
    pull = np.ascontiguousarray(np.exp(logs - top[:, None]).T)
    rows, columns = np.tril_indices(stations)
    slope, exponent = _wait(config, scenario)
    least = 1e-3 * config.flow_tolerance * scenario.flow_scale
    game = Game(
        pull=pull,
        pairs=np.ascontiguousarray(pull[rows] * pull[columns]),
        leave=np.exp(scenario.outside - top),
        demand=np.array(scenario.demand.T, order="C")[None],
        energy_cost=scenario.energy_cost.copy(),
        slope=slope,
        exponent=exponent,
        theta=config.theta,
        energy=config.session_energy,
        shift=0.0 if config.shift_cost is None else math.exp(-config.theta * config.shift_cost),
        tolerance=config.flow_tolerance * scenario.flow_scale,
        least=least,
        middle=(config.price_min + config.price_max) / 2,
        start=np.repeat(np.maximum(_reach(config, scenario) / stations, least), stations),
        trend=np.zeros((stations * periods, stations * periods)),
    )
    return _with_start(game, stations, periods)


def _reach(config: ChargingConfig, scenario: Scenario) -> Floats:
    """Cars that could charge in each period, (T,)."""
    cars = np.pad(scenario.demand.sum(axis=0), 1)
    return np.asarray(cars[1:-1] + (0.0 if config.shift_cost is None else cars[:-2] + cars[2:]))


def _wait(config: ChargingConfig, scenario: Scenario) -> tuple[Floats, float]:
    """Slope and exponent of the wait in money."""
    if config.congestion == "power":
        money = config.value_of_time * config.wait_seconds / 3600.0
        return money / scenario.capacity**config.wait_exponent, config.wait_exponent
    slope = config.congestion_slope if config.congestion == "linear" else 0.0
    return np.full(scenario.capacity.shape, slope), 1.0


def _with_start(game: Game, stations: int, periods: int) -> Game:
    """The game with flows at the middle price, and their relative derivatives by central differences."""
    size, step = stations * periods, 1e-3 / (game.theta * game.energy)
    probes = game.middle + step * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
    prices = np.ascontiguousarray(probes.reshape(-1, periods, stations).transpose(0, 2, 1))
    flows = solve(game, prices, game.demand, False)[0].transpose(0, 2, 1).reshape(-1, size)
    start = np.maximum(flows[0], game.least)
    rise = (flows[1 : size + 1] - flows[size + 1 :]) / (2 * step * start)
    return game._replace(start=start, trend=np.ascontiguousarray(rise.T))


def solve(game: Game, prices: Floats, demand: Floats, gradient: bool) -> tuple[Floats, Floats, Floats]:
    """Equilibrium flows and profits at given prices.

    Args:
        game: from ``prepare``.
        prices: float64 (B, N, T), money/kWh, C-contiguous.
        demand: float64 (B, T, Z), or (1, T, Z) for all alike; cars; C-contiguous.
        gradient: whether to also differentiate each station's profit in its own prices.

    Returns:
        flows (B, N, T) in cars per period, which differ from the equilibrium's by about the tolerance at most and add
        up to demand with those who leave; profits (B, N) in money per day; gradients (B, N, T) in kWh, or (0, N, T).

    Raises:
        ArithmeticError: some copy's residual stayed above the tolerance.
    """
    flows = np.empty_like(prices)
    profits = np.empty(prices.shape[:2])
    slopes = np.empty(prices.shape if gradient else (0, *prices.shape[1:]))
    worst = solve_all(game, prices, demand, flows, profits, slopes)
    if not worst <= game.tolerance:
        raise ArithmeticError(f"flows: expected a residual <= {game.tolerance:.3g} cars, got {worst:.3g}")
    return flows, profits, slopes
