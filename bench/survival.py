"""kill -9 of any process, many times in a run: it ends by itself, with the same result, and every row logged once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench import survival_played
from bench.report import Row
from bench.survival_runs import LAUNCHER, Kill, Outcome, Series, play, rows

TITLE = "kill -9 of any process at random moments: the run ends by itself with the same result, every row logged once"
KILLS = 10
"""Of each kind of process, in each of the first two series."""
RUNS = 2
"""Runs among which they are shared: no process may die six times in a row within ten seconds of its start."""
CHARGING_LEARNER = {"actor_delay": 64, "warmup": 64, "updates_per_step": 0.1, "check_refits": 1, "refit_updates": 5}
SMALL = {"max_cycles": 5}
REPLAY = {"warmup": 80, "batch_size": 32}


def _charging(blocks: int, copies: int, victim: str, together: bool) -> Series:
    training = {
        "num_envs": copies,
        "blocks_per_round": blocks,
        "max_environment_steps": 1_000,
        "check_every": 3,
        "check_starts": 1,
        "epsilon": 1e-12,
        "learner": CHARGING_LEARNER,
    }
    game = {"name": "charging", "config": {"scenario": "melbourne", "episode_rounds": 100 // (blocks * copies) or 1}}
    experiment = {"seed": 3, "environment": game, "training": training, "agents": {"together": together}}
    victims = ("trainer", "env_server-0", victim, "registry", LAUNCHER)
    return Series(f"charging, {blocks} block{'s' * (blocks > 1)} a round", experiment, victims)


def _returns(game: str, config: dict[str, Any], algorithm: str, steps: int, learner: dict[str, Any]) -> Series:
    """Two environment servers, ten blocks a round, twelve rounds."""
    training = {
        "algorithm": algorithm,
        "goal": "return",
        "learner": learner,
        "num_envs": 2,
        "blocks_per_round": 10,
        "max_environment_steps": 12 * 20 * steps,
        "evaluate_every": 0,
        "evaluation": {"episodes": 4, "num_envs": 4},
        "checkpoint_seconds": 0,
    }
    environment = {"name": game, "config": config}
    experiment: dict[str, Any] = {"seed": 3, "environment": environment, "training": training}
    experiment |= {"agents": {"together": True}, "env_servers": 2}
    return Series(game.partition("?")[0], experiment, ("trainer", "env_server-1", "agents", "registry", LAUNCHER))


SERIES = (
    _charging(1, 25, "agent-station_2", together=False),
    _charging(100, 1, "agents", together=True),
    _returns("matrix", {}, "ippo", 1, {}),
    _returns("mpe:simple_spread", SMALL, "maddpg", 5, REPLAY),
    _returns("market", {"makers": 0, "traders": 1, "informed": True, "steps": 20}, "ippo", 20, {}),
    _returns("pettingzoo:mpe2.simple_spread_v3?continuous_actions=true&max_cycles=5", {}, "maddpg", 5, REPLAY),
)


def kills_of(series: Series, times: int, draws: np.random.Generator) -> list[Kill]:
    """Every victim ``times`` times: first all of them before the first round, then in shuffled order at any moment."""
    kills = [Kill(victim, 0, draws.uniform(0, 0.5)) for victim in draws.permutation(series.victims).tolist()]
    later = draws.permutation(list(series.victims) * (times - 1)).tolist()
    steps = sorted(draws.integers(1, max(2, 7 * series.budget // 10), len(later)).tolist())
    return kills + [Kill(victim, at, draws.uniform(0, 0.1)) for victim, at in zip(later, steps, strict=True)]


def run(quick: bool) -> list[Row]:
    """Kill every kind of process in every kind of game and compare with the undisturbed runs."""
    draws = np.random.default_rng(0)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for number, series in enumerate(SERIES[1:2] if quick else SERIES):
            folder = Path(name) / str(number)
            folder.mkdir()
            runs = RUNS if "block" in series.name and not quick else 1
            times = KILLS // RUNS if runs > 1 else 1 if quick else 2
            calm = play(folder, "calm", series)
            plans = [kills_of(series, times, draws) for _ in range(runs)]
            outcomes = [play(folder, f"kills-{n}", series, plan) for n, plan in enumerate(plans)]
            found += _rows(series, calm, outcomes, sum(map(len, plans)))
        found += [] if quick else survival_played.measure(Path(name))
    return found


def _rows(series: Series, calm: Outcome, outcomes: list[Outcome], kills: int) -> list[Row]:
    name, count = series.name, kills // len(series.victims)
    once = [float(len({*outcome.read, *calm.read}) == 1) for outcome in outcomes]
    undisturbed = rows(calm.folder)
    equal = [float(rows(outcome.folder).equals(undisturbed)) for outcome in outcomes]
    whole = [float(outcome.rounds == calm.rounds) for outcome in outcomes]
    same = [float(outcome.figures == calm.figures) for outcome in outcomes]
    early = sum(outcome.early for outcome in outcomes)
    return [
        Row(f"{name}: runs that ended by themselves after {kills} kills", [float(len(outcomes))], "",
            f"{len(outcomes)} ({count} kills each of {', '.join(series.victims)})", True),
        Row(f"{name}: kills before the first round", [float(early)], "", "> 0", early > 0),
        Row(f"{name}: every row logged once", once, "share", "1", all(once)),
        Row(f"{name}: log as the undisturbed run's, column by column", equal, "share", "1", all(equal)),
        Row(f"{name}: all rounds done", whole, "share", "1", all(whole)),
        Row(f"{name}: final figures as undisturbed", same, "share", "1", all(same)),
    ]  # fmt: skip
