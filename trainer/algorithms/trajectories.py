"""A segment as arrays of all agents together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agora.spaces import Leaf
from trainer.algorithms.game import Floats, Game, Leaves
from trainer.segments import ACTED, Segment

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Trajectories:
    """T steps of B copies and N agents, padded to the widest agent (see ``Game``).

    Attributes:
        observations: float32 (T + 1, B, N, O), before each step and after the last.
        state: float32 (T + 1, B, S), the global state.
        actions: float32 (T, B, N, A), as executed: a box's values in its own units, choices one-hot.
        legal: bool (T, B, N, A), choices that were legal; None where all always are.
        log_probs: float32 (T, B, N), of the actions by the policies that acted.
        rewards: float32 (T, B, N).
        terminated: bool (T, B, N), ended by the rules after this step.
        truncated: bool (T, B, N), cut off after this step; learners bootstrap through it.
        acted: bool (T, B, N), the agent itself acted; learn from those only.
        version: the oldest (epoch, step) that acted, of policies that have versions.
    """

    observations: Floats
    state: Floats
    actions: Floats
    legal: Bools | None
    log_probs: Floats
    rewards: Floats
    terminated: Bools
    truncated: Bools
    acted: Bools
    version: tuple[int, int] = (0, 0)

    @property
    def steps(self) -> int:
        """Joint decisions: T times B."""
        return int(self.rewards.shape[0] * self.rewards.shape[1])

    def check(self, game: Game) -> None:
        """Refuse what is not of this game.

        Raises:
            ValueError: a shape differs from the game's, or something is not finite.
        """
        t, b = self.rewards.shape[:2]
        expected = {
            "observations": (t + 1, b, game.size, game.observation_width),
            "state": (t + 1, b, game.state_width),
            "actions": (t, b, game.size, game.action_width),
            "rewards": (t, b, game.size),
        }
        for name, shape in expected.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise ValueError(f"experience.{name}: expected {list(shape)}, got {list(values.shape)}")
            if not np.isfinite(values).all():
                where = np.argwhere(~np.isfinite(values))[0]
                whose = f" for {game.agents[where[2]]}" if name != "state" else ""
                got = f"{values[tuple(where)]}{whose} in step {where[0]} of copy {where[1]}"
                raise ValueError(f"experience.{name}: expected finite numbers that float32 can hold, got {got}")

    @classmethod
    @np.errstate(over="ignore")  # ``check`` names what float32 cannot hold
    def of(cls, segment: Segment, game: Game) -> Trajectories:
        """Take a segment apart."""
        parts = segment.agents
        shape = parts[0].reward.shape
        observations = np.zeros((shape[0] + 1, shape[1], game.size, game.observation_width), np.float32)
        actions = np.zeros((*shape, game.size, game.action_width), np.float32)
        for i, part in enumerate(parts):
            _fill(observations[:, :, i], game.observation[i], part.observation)
            _act(actions[:, :, i], game.action[i], game.choices[i], part.action)
        state = np.zeros((shape[0] + 1, shape[1], game.state_width), np.float32)
        _fill(state, game.state, segment.state)
        return cls(
            observations=observations,
            state=state,
            actions=actions,
            legal=_legal(segment, game),
            log_probs=np.stack([part.log_prob for part in parts], axis=2),
            rewards=np.stack([part.reward for part in parts], axis=2).astype(np.float32),
            terminated=np.stack([part.terminated for part in parts], axis=2),
            truncated=np.stack([part.truncated for part in parts], axis=2),
            acted=np.stack([part.acted == ACTED for part in parts], axis=2),
            version=_oldest(np.concatenate([part.version.reshape(-1, 2) for part in parts])),
        )


def _fill(target: Floats, members: Sequence[Leaf], values: Leaves) -> None:
    start = 0
    for leaf in members:
        value = values[leaf.path]
        flat = value.reshape(*value.shape[:2], -1)
        target[..., start : start + flat.shape[-1]] = flat
        start += flat.shape[-1]


def _act(target: Floats, leaf: Leaf, choices: tuple[int, ...], values: Leaves) -> None:
    value = values[leaf.path]
    if not choices:
        _fill(target, (leaf,), values)
        return
    picked = (value - leaf.low).reshape(*value.shape[:2], len(choices)).astype(np.int64)
    start = np.cumsum([0, *choices[:-1]])
    np.put_along_axis(target, picked + start, np.float32(1.0), axis=-1)


def _legal(segment: Segment, game: Game) -> Bools | None:
    if not any(part.action_mask for part in segment.agents):
        return None
    shape = segment.agents[0].reward.shape
    legal = np.broadcast_to(game.real, (*shape, *game.real.shape)).copy()
    for i, part in enumerate(segment.agents):
        for mask in part.action_mask.values():
            legal[:, :, i, : game.action_widths[i]] = mask.reshape(*shape, -1) != 0
    return legal


def _oldest(versions: NDArray[np.uint64]) -> tuple[int, int]:
    """The least (epoch, step) of (K, 2); 0-0 stands for scripts, and for rows in which nobody was awaited."""
    pairs = versions[versions.any(axis=1)]
    if not len(pairs):
        return 0, 0
    epoch = pairs[:, 0].min()
    return int(epoch), int(pairs[pairs[:, 0] == epoch, 1].min())
