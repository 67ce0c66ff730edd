"""Training without services: an environment and a learner in this process, for tests and measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.v1 import environment_pb2
from env_server.environments import make
from env_server.environments.base import Environment, Step
from trainer.algorithms import make_learner
from trainer.algorithms.base import Learner
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.trajectories import Trajectories
from trainer.spec import GameSpec

EVALUATION_SEED = 2**62


@dataclass(frozen=True)
class Evaluation:
    """Greedy returns at one moment of training.

    Attributes:
        steps: environment steps learned from.
        cpu_seconds: processor time of this process spent on training, without evaluations.
        wall_seconds: the same by the clock.
        returns: (episodes, N).
    """

    steps: int
    cpu_seconds: float
    wall_seconds: float
    returns: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean return over episodes and agents."""
        return float(self.returns.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean, over episodes."""
        return float(self.returns.mean(axis=1).std(ddof=1) / np.sqrt(len(self.returns)))


def spec_of(environment: Environment, name: str) -> GameSpec:
    """The game as learners are told it."""
    agents = environment.agents
    return GameSpec(
        name=name,
        config_json="",
        agents=agents,
        observation_spaces=tuple(environment.observation_spaces[agent] for agent in agents),
        action_spaces=tuple(environment.action_spaces[agent] for agent in agents),
        state_space=environment.state_space,
        has_payoff=False,
        facts={},
    )


def environment_of(name: str, config_json: str, num_envs: int) -> Environment:
    """An environment of the server's table."""
    return make(environment_pb2.EnvironmentSpec(name=name, config_json=config_json, num_envs=num_envs))


def play(environment: Environment, learner: Learner, draws: np.random.Generator | None, seed: int) -> Trajectories:
    """One episode in every copy, exploring with ``draws`` or greedy without; all copies end together."""
    game = Game.of(spec_of(environment, ""))
    step = environment.reset(seed, np.arange(environment.num_envs, dtype=np.uint32))
    seen, states, acted, log_probs, steps = [_observed(step, game)], [_state(step, game)], [], [], [step]
    while step.awaited.any():
        actions, log_prob = learner.act(seen[-1], draws)
        step = environment.step(_leaves(actions, game))
        acted.append(actions)
        log_probs.append(log_prob)
        seen.append(_observed(step, game))
        states.append(_state(step, game))
        steps.append(step)
    return Trajectories(
        observations=np.stack(seen),
        state=np.stack(states),
        actions=np.stack(acted),
        legal=None,
        log_probs=np.stack(log_probs),
        rewards=np.stack([after.rewards for after in steps[1:]]).astype(np.float32),
        terminated=np.stack([after.terminated for after in steps[1:]]),
        truncated=np.stack([after.truncated for after in steps[1:]]),
        acted=np.stack([before.awaited for before in steps[:-1]]),
        version=(0, learner.updates),
    )


def returns_of(environment: Environment, learner: Learner, episodes: int) -> NDArray[np.float64]:
    """Greedy returns (episodes, N) of fixed episodes."""
    rounds = -(-episodes // environment.num_envs)
    found = [play(environment, learner, None, EVALUATION_SEED + n).rewards.sum(axis=0) for n in range(rounds)]
    return np.concatenate(found)[:episodes].astype(np.float64)


def train(
    algorithm: str,
    environment: Environment,
    steps: int,
    *,
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
    evaluate_every: int = 0,
    episodes: int = 512,
    report: Callable[[Evaluation], bool] = lambda _: False,
) -> tuple[Learner, list[Evaluation]]:
    """Train, and evaluate now and then and at the end.

    Args:
        algorithm: a key of ``ALGORITHMS``.
        environment: what is played.
        steps: environment steps to learn from.
        seed: of everything.
        overrides: of the learner's configuration.
        evaluate_every: environment steps between evaluations; 0: only at the end.
        episodes: greedy episodes per evaluation.
        report: called with every evaluation; True ends training.
    """
    learner = make_learner(algorithm, overrides or {}, spec_of(environment, algorithm), seed)
    draws = np.random.default_rng(seed)
    evaluations: list[Evaluation] = []
    done, block, due = 0, 0, evaluate_every or steps
    cpu = wall = 0.0
    while done < steps:
        began = time.process_time(), time.perf_counter()
        experience = play(environment, learner, draws, block)
        learner.add(experience)
        learner.update()
        cpu, wall = cpu + time.process_time() - began[0], wall + time.perf_counter() - began[1]
        done, block = done + experience.steps, block + 1
        if done >= min(due, steps):
            due += evaluate_every or steps
            evaluations.append(Evaluation(done, cpu, wall, returns_of(environment, learner, episodes)))
            if report(evaluations[-1]):
                break
    return learner, evaluations


def _observed(step: Step, game: Game) -> Floats:
    seen = np.zeros((len(step.rewards), game.size, game.observation_width), np.float32)
    for i, values in enumerate(step.observations):
        _beside(seen[:, i], [values[leaf.path] for leaf in game.observation[i]])
    return seen


def _state(step: Step, game: Game) -> Floats:
    state = np.zeros((len(step.rewards), game.state_width), np.float32)
    _beside(state, [step.state[leaf.path] for leaf in game.state])
    return state


def _beside(target: Floats, values: Sequence[NDArray[Any]]) -> None:
    start = 0
    for value in values:
        flat = value.reshape(len(value), -1)
        target[:, start : start + flat.shape[1]] = flat
        start += flat.shape[1]


def _leaves(actions: Floats, game: Game) -> list[dict[str, NDArray[Any]]]:
    """Actions (B, N, A) as the environment takes them."""
    found = []
    for i, (leaf, choices) in enumerate(zip(game.action, game.choices, strict=True)):
        own = actions[:, i, : game.action_widths[i]]
        if choices:
            ends = np.cumsum(choices)
            picked = [own[:, end - n : end].argmax(axis=1) for end, n in zip(ends, choices, strict=True)]
            own = np.stack(picked, axis=1) + leaf.low
        found.append({leaf.path: np.ascontiguousarray(own.reshape(len(own), *leaf.shape), leaf.dtype)})
    return found
