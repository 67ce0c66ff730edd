"""One agent as a Gymnasium environment: Gymnasium's own check, and PPO of Stable-Baselines3 against three services."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RescaleAction
from numpy.typing import NDArray
from scipy import stats
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agora.clients import gym_env
from bench.processes import Service
from bench.report import Row

TITLE = "An unmodified library learns a station's prices against three agent services"
WITHOUT = ("market", "matrix", "mpe", "scml")
STEPS, QUICK_STEPS = 8_192, 2_048
EPISODES = 40
FIRST_SEED = 1_000_000
"""Of the episodes that are measured; training draws others."""


def run(quick: bool) -> list[Row]:
    """Check, train, and compare on the same seeds; quick: a quarter of the training."""
    steps = QUICK_STEPS if quick else STEPS
    with warnings.catch_warnings(), _station() as env:
        warnings.simplefilter("ignore")  # no spec to render with, no GPU
        check_env(env.unwrapped)
        # Rewards are thousands, and the policy starts in the middle of prices that are scaled to [-1, 1].
        training = VecNormalize(DummyVecEnv([lambda: env]), norm_obs=False, gamma=0.9)
        model = PPO(
            "MultiInputPolicy",
            training,
            n_steps=256,
            learning_rate=1e-3,
            gamma=0.9,
            seed=0,
            device="cpu",
            policy_kwargs={"log_std_init": -1.5},
        )
        uniform = _returns(env, lambda _: env.action_space.sample())
        before = _returns(env, lambda seen: model.predict(seen, deterministic=True)[0])
        began = time.monotonic()
        model.learn(steps)
        speed = steps / (time.monotonic() - began)
        after = _returns(env, lambda seen: model.predict(seen, deterministic=True)[0])
    return [
        Row("check_env", [1.0], "", "passes", True),
        Row("mean return of uniformly drawn prices", uniform.tolist(), "money", "(for comparison)", True),
        Row("mean return before training", before.tolist(), "money", "(for comparison)", True),
        Row("mean return after training", after.tolist(), "money", "(for comparison)", True),
        _gain("gain on drawn prices, 95 % interval", after - uniform),
        _gain("gain on the untrained policy, 95 % interval", after - before),
        Row("training", [speed], "steps/s", "(for information)", True),
    ]


@contextmanager
def _station() -> Iterator[gymnasium.Env[Any, Any]]:
    """station_0 with prices in [-1, 1], the others drawing their prices, each in a process of its own."""
    with ExitStack() as stack:
        server = stack.enter_context(Service("env_server"))
        services = [stack.enter_context(Service("agent_services", ["--policy", "scripted:random"])) for _ in range(3)]
        seats = {f"station_{i + 1}": service.address for i, service in enumerate(services)}
        env = gym_env(server.address, agent="station_0", seats=seats)
        stack.callback(env.close)
        yield RescaleAction(env, np.float32(-1), np.float32(1))


def _returns(env: gymnasium.Env[Any, Any], act: Callable[[Any], Any]) -> NDArray[np.float64]:
    """Return of each of the episodes measured, float64 (EPISODES,)."""
    env.action_space.seed(0)
    totals = np.zeros(EPISODES)
    for number in range(EPISODES):
        (seen, _), over = env.reset(seed=FIRST_SEED + number), False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(act(seen))
            totals[number] += reward
            over = terminated or truncated
    return totals


def _gain(name: str, gains: NDArray[np.float64]) -> Row:
    """The ends of the mean's interval, of differences on the same seeds."""
    mean, error = gains.mean(), stats.sem(gains)
    low, high = stats.t.interval(0.95, len(gains) - 1, mean, error)
    return Row(name, [float(low), float(mean), float(high)], "money", "> 0 at its lower end", bool(low > 0))
