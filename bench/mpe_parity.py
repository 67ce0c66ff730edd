"""Whether the batched particle environments are mpe2's games, and how fast they are.

Both are put into the same random states and given the same random actions, episode after episode.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from bench.report import Row
from env_server.environments.base import Step, Values
from env_server.environments.mpe import Mpe, MpeConfig
from env_server.environments.mpe.config import OWN, Source

TITLE = "the batched particle environments equal mpe2 and are fast"

TASKS: Final[tuple[Source, ...]] = get_args(Source)
VERSIONS: Final = {"simple_speaker_listener": "v4"}
TOLERANCE: Final = 1e-6
COPIES: Final = 256
TARGETS: Final = {"simple_adversary": 1_500_000.0, "simple_spread": 400_000.0}
INFORMATION: Final = "for information"


@dataclass(frozen=True)
class Start:
    """States that episodes start from, as ``Mpe.place`` takes them."""

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    goals: NDArray[np.int64] | None
    words: NDArray[np.float64] | None


@dataclass(frozen=True)
class Gap:
    """Largest absolute differences from mpe2, and what mpe2 took.

    Attributes:
        observations, rewards: over all steps, agents and numbers.
        steps: how many were compared.
        seconds: CPU time of mpe2's steps.
    """

    observations: float
    rewards: float
    steps: int
    seconds: float


def peer_of(config: MpeConfig) -> Any:
    """mpe2's own environment of a configuration."""
    module = importlib.import_module(f"mpe2.{config.source}_{VERSIONS.get(config.source, 'v3')}")
    own = {"N" if field == "num_agents" else field: getattr(config, field) for field in OWN[config.source]}
    return module.parallel_env(continuous_actions=config.continuous_actions, max_cycles=config.max_cycles, **own)


def random_start(game: Mpe, rng: np.random.Generator) -> Start:
    """Places, speeds, goals and words that may occur."""
    b, scenario = game.num_envs, game.scenario
    return Start(
        positions=rng.uniform(-1.0, 1.0, (b, len(scenario.entities), 2)),
        velocities=rng.uniform(-0.5, 0.5, (b, scenario.num_agents, 2)),
        goals=rng.integers(scenario.num_landmarks, size=b) if scenario.has_goal else None,
        words=rng.uniform(0.0, 1.0, (b, 3)) if scenario.speaks else None,
    )


def random_actions(game: Mpe, rng: np.random.Generator) -> list[Values]:
    """One action of every agent in every copy."""
    if game.config.continuous_actions:
        shapes = [(game.num_envs, *(space.shape or ())) for space in game.action_spaces.values()]
        return [{"": rng.random(shape, dtype=np.float32)} for shape in shapes]
    return [{"": rng.integers(space.n, size=game.num_envs)} for space in game.action_spaces.values()]  # type: ignore[attr-defined]


def compare(game: Mpe, start: Start, actions: Sequence[Sequence[Values]]) -> Gap:
    """Play an episode of these actions in every copy here, and one after the other in mpe2."""
    shown = [game.place(start.positions, start.velocities, start.goals, start.words)]
    shown += [game.step(joint) for joint in actions]
    peer = peer_of(game.config)
    gaps = [_follow(peer, game, start, actions, shown, copy) for copy in range(game.num_envs)]
    peer.close()
    seen, earned, seconds = np.array(gaps).T
    return Gap(float(seen.max()), float(earned.max()), len(gaps) * len(actions), float(seconds.sum()))


def _follow(
    peer: Any, game: Mpe, start: Start, actions: Sequence[Sequence[Values]], shown: Sequence[Step], copy: int
) -> tuple[float, float, float]:
    """One copy's largest differences in observations and rewards, and mpe2's seconds."""
    peer.reset()
    _put(peer.unwrapped.world, start, copy)
    seen = {agent: peer.unwrapped.observe(agent) for agent in game.agents}
    worst, earned, seconds = _distance(game, seen, shown[0], copy), 0.0, 0.0
    for joint, step in zip(actions, shown[1:], strict=True):
        said = {agent: _native(leaves[""][copy]) for agent, leaves in zip(game.agents, joint, strict=True)}
        began = time.process_time()
        seen, rewards, _, truncations, _ = peer.step(said)
        seconds += time.process_time() - began
        assert list(truncations.values()) == step.truncated[copy].tolist()
        worst = max(worst, _distance(game, seen, step, copy))
        earned = max(earned, *(abs(rewards[a] - step.rewards[copy, i]) for i, a in enumerate(game.agents)))
    return worst, earned, seconds


def _put(world: Any, start: Start, copy: int) -> None:
    """Put mpe2's world into a state."""
    for entity, position in zip(world.entities, start.positions[copy], strict=True):
        entity.state.p_pos = position.copy()
    for agent, velocity in zip(world.agents, start.velocities[copy], strict=True):
        agent.state.p_vel = velocity.copy()
    if start.words is not None:
        world.agents[0].state.c = start.words[copy].copy()
        world.agents[0].goal_b = world.landmarks[_goal(start, copy)]
    elif start.goals is not None:
        for agent in world.agents:
            agent.goal_a = world.landmarks[_goal(start, copy)]


def _goal(start: Start, copy: int) -> int:
    assert start.goals is not None
    return int(start.goals[copy])


def _native(action: Any) -> Any:
    return int(action) if action.dtype == np.int64 else action


def _distance(game: Mpe, seen: dict[str, NDArray[np.float32]], step: Step, copy: int) -> float:
    """Of what all agents see, and of the global state, which is the same in a row; a NaN is no match."""
    ours = np.concatenate([values[""][copy] for values in step.observations])
    theirs = np.concatenate([seen[agent] for agent in game.agents])
    assert np.array_equal(ours, step.state[""][copy])
    gap = float(np.abs(ours.astype(np.float64) - theirs).max())
    return gap if np.isfinite(gap) else np.inf


def run(quick: bool) -> list[Row]:
    """Compare and time all tasks."""
    rows = []
    for task in TASKS:
        found, theirs = _parity(task, quick)
        ours = _speed(task, quick)
        ratio = [rate / theirs for rate in ours.values]
        rows += [*found, ours]
        rows.append(Row(f"{task}: mpe2", [theirs], ours.unit, INFORMATION, True))
        rows.append(Row(f"{task}: times mpe2", ratio, "times", INFORMATION, True))
    return rows


def _parity(task: Source, quick: bool) -> tuple[list[Row], float]:
    """The errors, and mpe2's steps per CPU-second with continuous actions."""
    rows, rates = [], []
    for kind, steps in (("continuous", 5_000 if quick else 100_000), ("discrete", 1_000 if quick else 10_000)):
        gap = _compared(MpeConfig(source=task, continuous_actions=kind == "continuous"), steps)
        for what, value in (("observations", gap.observations), ("rewards", gap.rewards)):
            name = f"{task}: error of {what}, {gap.steps:,} {kind} steps"
            rows.append(Row(name, [value], "", f"<= {TOLERANCE:g}", value <= TOLERANCE))
        rates.append(gap.steps / gap.seconds)
    return rows, rates[0]


def _compared(config: MpeConfig, steps: int) -> Gap:
    rng = np.random.default_rng(0)
    game = Mpe(config, steps // config.max_cycles)
    return compare(game, random_start(game, rng), [random_actions(game, rng) for _ in range(config.max_cycles)])


def _speed(task: Source, quick: bool) -> Row:
    """Steps per CPU-second on one thread, resets included, with actions that lie ready."""
    rng = np.random.default_rng(1)
    game = Mpe(MpeConfig(source=task), COPIES)
    actions = [random_actions(game, rng) for _ in range(game.config.max_cycles)]
    rates = [_rate(game, actions, 0.2 if quick else 1.0) for _ in range(3 if quick else 9)]
    target = TARGETS.get(task, 0.0)
    words = f">= {target:,.0f}" if target else INFORMATION
    name = f"{task}: steps of a copy, {COPIES} copies"
    return Row(name, rates, "steps/CPU-s", words, float(np.median(rates)) >= target)


def _rate(game: Mpe, actions: Sequence[Sequence[Values]], seconds: float) -> float:
    """Copies' steps per CPU-second over at least so many seconds; the first episode is not counted."""
    done, copies = 0, np.arange(game.num_envs, dtype=np.uint32)
    _episode(game, actions, copies)
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        _episode(game, actions, copies)
        done += game.num_envs * len(actions)
    return done / spent


def _episode(game: Mpe, actions: Sequence[Sequence[Values]], copies: NDArray[np.uint32]) -> None:
    game.reset(0, copies)
    for joint in actions:
        game.step(joint)
