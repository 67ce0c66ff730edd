"""What the training programs of peers share: their command line, their clock, and the greedy evaluation on mpe2.

Needs numpy and mpe2 alone. Each program trains one learner on ``simple_spread_v3`` (three agents, 25 cycles) until it
has used ``--cpu-seconds`` and prints one JSON line at every report:
``{"steps", "cpu_seconds", "wall_seconds", "return", "se"}``: environment steps, seconds of training (evaluation and
imports are not counted; child processes are), and the mean over episodes of the return per agent with its standard
error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpe2 import simple_spread_v3
from numpy.typing import NDArray

AGENTS, CYCLES, WIDTH, ACTIONS = 3, 25, 18, 5
GAME = {"N": AGENTS, "max_cycles": CYCLES, "local_ratio": 0.5}
BATCH, HIDDEN, DISCOUNT, TAU = 1024, 64, 0.95, 0.01
STEPS_PER_UPDATE = 100
FIRST_EVALUATION_SEED = 1_000_000
TICK = 1.0 / os.sysconf("SC_CLK_TCK")
Floats = NDArray[np.float32]
Act = Callable[[Floats], Floats]
"""Greedy actions float32 (agents, episodes, 5) in [0, 1] for observations float32 (agents, episodes, 18)."""


def restore_pettingzoo_mpe() -> None:
    """Let ``pettingzoo.mpe.NAME`` be ``mpe2.NAME``: pettingzoo 1.27 has dropped the games that peers import there."""
    package = importlib.import_module("mpe2")
    package.mpe_environments = importlib.import_module("mpe2.all_modules").mpe_environments
    sys.modules["pettingzoo.mpe"] = package
    sys.modules["pettingzoo.mpe.all_modules"] = importlib.import_module("mpe2.all_modules")
    for name in ("simple_spread_v3", "simple_adversary_v3"):
        sys.modules[f"pettingzoo.mpe.{name}"] = importlib.import_module(f"mpe2.{name}")


def options() -> argparse.Namespace:
    """The command line that all programs understand."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--algorithm", default="maddpg")
    parser.add_argument("--cpu-seconds", type=float, default=40.0)
    parser.add_argument("--reports", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


class Meter:
    """Counts the seconds of training and reports, with an evaluation, whenever another share of them is used.

    Args:
        given: the command line.
        act: the greedy policy as it is now.
    """

    def __init__(self, given: argparse.Namespace, act: Act) -> None:
        self._act = act
        self._budget, self._interval = given.cpu_seconds, given.cpu_seconds / given.reports
        self._due = self._interval
        self._games = [simple_spread_v3.parallel_env(**GAME, continuous_actions=True) for _ in range(given.episodes)]
        self._cpu = self._wall = 0.0
        self._start()

    def goes_on(self, steps: int, **more: float) -> bool:
        """Report if it is time; whether training time is left.

        Args:
            steps: environment steps so far.
            more: further figures for the report.
        """
        cpu, wall = self._cpu + cpu_seconds() - self._began[0], self._wall + time.perf_counter() - self._began[1]
        if cpu < self._due:
            return True
        self._cpu, self._wall = cpu, wall
        earned = self._evaluate()
        line = {"steps": steps, "cpu_seconds": cpu, "wall_seconds": wall, "return": float(earned.mean())}
        line["se"] = float(earned.std(ddof=1) / len(earned) ** 0.5)
        print(json.dumps(line | more), flush=True)
        self._due += self._interval * (1 + (cpu - self._due) // self._interval)
        self._start()
        return cpu < self._budget

    def _start(self) -> None:
        self._began = cpu_seconds(), time.perf_counter()

    def _evaluate(self) -> NDArray[np.float64]:
        """Returns per agent (episodes) of the same episodes whenever it is asked, with all policies greedy."""
        names = self._games[0].possible_agents
        seen = [game.reset(seed=FIRST_EVALUATION_SEED + i)[0] for i, game in enumerate(self._games)]
        earned = np.zeros(len(self._games))
        for _ in range(CYCLES):
            rows = np.array([[one[name] for one in seen] for name in names], np.float32)
            actions = np.clip(self._act(rows), 0.0, 1.0).astype(np.float32)
            for i, game in enumerate(self._games):
                seen[i], rewards, *_ = game.step({name: actions[k, i] for k, name in enumerate(names)})
                earned[i] += sum(rewards.values()) / AGENTS
        return earned


def cpu_seconds() -> float:
    """User and system time of this process, its ended children, and those that multiprocessing keeps."""
    ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    alive = (Path(f"/proc/{child.pid}/stat").read_text() for child in multiprocessing.active_children())
    ticks = sum(int(ticked) for stat in alive for ticked in stat.rpartition(")")[2].split()[11:13])
    return sum(used.ru_utime + used.ru_stime for used in ended) + ticks * TICK
