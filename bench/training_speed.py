"""How fast learners learn: environment steps per CPU-second, in process and through the services, and time to a return.

Everything is simple_spread_v3 (three agents, 25 cycles) on the batched copy that ``python -m bench mpe_parity`` proves
equal to mpe2. MADDPG takes one update per 100 environment steps on 1,024 joint transitions, networks are 64 wide.
``python -m bench training_peers`` runs others' learners beside these.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from typing import Any, Final

import torch

from agora.memory import keep_memory
from bench.in_process_training import Evaluation, environment_of, train
from bench.processes import ROOT
from bench.report import Row
from env_server.environments.base import Environment

TITLE = "environment steps per CPU-second while learning simple_spread, and CPU-seconds to a return"
ALSO = ("examples/simple_spread.yaml",)
WITHOUT = ("charging", "market", "matrix", "scml")
GAME: Final = "mpe:simple_spread"
MADDPG: Final[dict[str, Any]] = {
    "batch_size": 1024,
    "steps_per_update": 100,
    "actor_hidden": (64, 64),
    "critic_hidden": (64, 64),
    "actor_rate": 1e-2,
    "critic_rate": 1e-2,
    "share": True,
    "warmup": 2000,
}
COPIES: Final = {"maddpg": 256, "mappo": 512}
BOTH_CORES: Final = 1024
"""Copies of MAPPO's game that give two threads enough to do at a time."""
TO_RETURN, STREAK, SECONDS = -13.5, 3, 30.0


def spread(algorithm: str, copies: int) -> Environment:
    """The game, with actions that the algorithm can learn."""
    continuous = "true" if algorithm == "maddpg" else "false"
    return environment_of(GAME, f'{{"continuous_actions": {continuous}}}', copies)


def curve(algorithm: str, steps: int, seed: int, every: int = 0, episodes: int = 2000) -> list[Evaluation]:
    """Train in this process on one core, with settings of MADDPG as above and the other learners' defaults."""
    torch.set_num_threads(1)
    keep_memory()
    overrides = MADDPG if algorithm == "maddpg" else {}
    copies = COPIES[algorithm]
    environment = spread(algorithm, copies)
    return train(
        algorithm, environment, steps, seed=seed, overrides=overrides, evaluate_every=every, episodes=episodes
    )[1]


def run(quick: bool) -> list[Row]:
    """Measure; --quick: one repeat of everything, and fewer steps."""
    repeats = 1 if quick else 3
    steps = 20_000 if quick else 100_000
    _warm_up()
    in_process = [_steps_per_cpu_second("maddpg", steps, seed) for seed in range(repeats)]
    services = [_through_services(4 * steps, seed) for seed in range(repeats)]
    on_policy = [_steps_per_second("mappo", 200_000 if quick else 2_000_000, seed) for seed in range(repeats)]
    reached = [_seconds_to_return(seed) for seed in range(1 if quick else 5)]
    return [
        Row("MADDPG in process", in_process, "steps/CPU-s", ">= 10,000", min(in_process) >= 10_000),
        Row("MADDPG, environment and agents as services", services, "steps/CPU-s", ">= 2,000", min(services) >= 2_000),
        Row(
            f"MAPPO in process, both cores, {BOTH_CORES} copies",
            on_policy,
            "steps/s",
            ">= 50,000",
            min(on_policy) >= 50_000,
        ),
        Row(f"MADDPG to {TO_RETURN} per agent, per seed", reached, "CPU-s", "<= 30 each", max(reached) <= SECONDS),
    ]


def _warm_up() -> None:
    """The first training in a process compiles the game and fills caches."""
    for algorithm in COPIES:
        curve(algorithm, 1, 0, episodes=1)


def _steps_per_cpu_second(algorithm: str, steps: int, seed: int) -> float:
    last = curve(algorithm, steps, seed, episodes=1)[-1]
    return last.steps / last.cpu_seconds


def _steps_per_second(algorithm: str, steps: int, seed: int) -> float:
    """By the clock, with a thread per core."""
    environment = spread(algorithm, BOTH_CORES)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        last = train(algorithm, environment, steps, seed=seed, episodes=1)[1][-1]
    finally:
        torch.set_num_threads(1)
    return last.steps / last.wall_seconds


def _seconds_to_return(seed: int) -> float:
    """CPU-seconds of training until the first of three evaluations in a row, of 2,000 episodes each, that reach it."""
    found: list[Evaluation] = []

    def reached(evaluation: Evaluation | None = None) -> bool:
        found.extend([evaluation] if evaluation else [])
        return len(found) >= STREAK and all(e.mean >= TO_RETURN for e in found[-STREAK:])

    environment = spread("maddpg", COPIES["maddpg"])
    often: dict[str, Any] = {"evaluate_every": 20_000, "episodes": 2000, "report": reached}
    train("maddpg", environment, 800_000, seed=seed, overrides=MADDPG, **often)
    return found[-STREAK].cpu_seconds if reached() else float("inf")


def _through_services(steps: int, seed: int) -> float:
    """Steps per CPU-second of all processes, start and end included, of a run that only trains."""
    before = _children()
    settings: dict[str, Any] = {
        "seed": seed,
        "training.max_environment_steps": steps,
        "training.num_envs": COPIES["maddpg"],
        "training.evaluate_every": 0,
        "training.evaluation": {"episodes": 1, "num_envs": 1},
        "training.learner": {name: list(x) if isinstance(x, tuple) else x for name, x in MADDPG.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "simple_spread.yaml")]
        command += ["--runs-dir", folder]
        for name, value in settings.items():
            command += ["--set", f"{name}={json.dumps(value)}"]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"agora run ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return steps / (_children() - before)


def _children() -> float:
    """Processor time of all processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
