"""How many joint actions of the charging game are evaluated per CPU-second, on one thread."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from bench.report import Row
from env_server.environments.charging import Charging, ChargingConfig
from env_server.environments.charging.flows import solve

TITLE = "the charging game is fast: joint actions per CPU-second, 24 zones, 4 stations, 8 periods"

TARGET = 25_000.0
TOLERANCE = 1e-6
"""Largest |F(q) - q| over the mean demand per station and period."""


def run(quick: bool) -> list[Row]:
    """Time the payoff of random joint actions, the batch sizes in turn."""
    repeats, slice_s = (5, 0.2) if quick else (9, 1.0)
    game = Charging(ChargingConfig(scenario="brief", flow_tolerance=TOLERANCE), 1)
    exact = Charging(ChargingConfig(scenario="brief", flow_tolerance=1e-12), 1)
    actions = np.random.default_rng(0).uniform(size=(256, game.num_stations, game.num_periods))
    rates: dict[str, list[float]] = {}
    for _ in range(repeats):
        for batch in (64, 256):
            rates.setdefault(f"batch {batch}", []).append(_rate(game, actions[:batch], False, slice_s))
        rates.setdefault("batch 64, with gradients", []).append(_rate(game, actions[:64], True, slice_s))
        rates.setdefault("batch 64, tolerance 1e-12", []).append(_rate(exact, actions[:64], False, slice_s))
    rows = [
        Row(name, values, "evaluations/CPU-s", f">= {TARGET:,.0f}", float(np.median(values)) >= TARGET)
        for name, values in rates.items()
    ]
    return [*rows, _error(game, exact, actions)]


def _rate(game: Charging, actions: NDArray[np.float64], gradient: bool, seconds: float) -> float:
    """Joint actions per CPU-second, over at least so many seconds; the first evaluation is not counted."""
    game.payoff(actions, gradient)
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        game.payoff(actions, gradient)
        done += len(actions)
    return done / spent


def _error(game: Charging, exact: Charging, actions: NDArray[np.float64]) -> Row:
    """How far flows at the tolerance are from flows at the tightest one."""
    loose, tight = (solve(g.game, g.prices(actions), g.game.demand, False)[0] for g in (game, exact))
    worst = np.abs(loose - tight).max(axis=(1, 2)) / game.flow_scale
    values = [float(np.median(worst)), float(worst.max())]
    return Row("flow error at that tolerance", values, "of mean flow", f"<= {TOLERANCE:g}", max(values) <= TOLERANCE)
