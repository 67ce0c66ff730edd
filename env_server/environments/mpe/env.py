"""mpe2's particle environments as arrays: one step is one action of all agents of all copies at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import IllegalAction
from agora.randomness import uniform_rows
from env_server.environments.base import Array, EnvironmentConfig, Step, Values, check_reset
from env_server.environments.mpe import kernels
from env_server.environments.mpe.config import MpeConfig
from env_server.environments.mpe.facts import facts
from env_server.environments.mpe.scenario import COLOURS, WORDS, Floats, build

INITIAL: Final = 0
"""Purpose that keys the draws, beside the seed."""


class Mpe:
    """B copies of a task of mpe2, with its agents, spaces, physics and rewards.

    Observations, actions and rewards are mpe2's, number for number, so that a policy trained here plays there. The
    global state is the observations of all agents in a row. All agents are awaited in every step; after ``max_cycles``
    steps all are truncated. ``Step.info`` has ``positions``, float32 (B, entities, 2), agents before landmarks, and,
    where a task has one, ``goal``, int64 (B,), the number of the entity that is the goal.
    """

    Config: ClassVar[type[EnvironmentConfig]] = MpeConfig

    def __init__(self, config: MpeConfig, num_envs: int) -> None:
        """Prepare the task.

        Raises:
            ValueError: num_envs is not positive.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        self.scenario = build(config)
        self.facts: Mapping[str, Any] = facts(self.scenario)
        self._tables()
        self._spaces()
        self._copies: Floats = np.zeros((num_envs, self.scenario.columns.count))
        self._forces: Floats = np.zeros((num_envs, len(self.agents), 2))
        self._goals: NDArray[np.int64] | None = None
        self._cycle = config.max_cycles

    def _tables(self) -> None:
        """What the kernels are given."""
        agents = self.scenario.entities[: self.scenario.num_agents]
        self.agents = tuple(agent.name for agent in agents)
        self._strength = np.array([agent.sensitivity for agent in agents])
        self._top_speed = np.array([agent.top_speed for agent in agents])
        self._pairs, self._touching = self.scenario.contacts()
        self._choices = np.array([kernels.MOVES if agent.sensitivity else WORDS for agent in agents], np.int64)
        self._first = np.cumsum(self._choices) - self._choices
        self._views = np.array([pair for view in self.scenario.views for pair in view], np.int64)
        self._ends = np.cumsum([len(view) for view in self.scenario.views], dtype=np.int64)
        ends = (self.num_envs * self._ends).tolist()
        self._parts = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        self._start = np.repeat([entity.start for entity in self.scenario.entities], 2)

    def _spaces(self) -> None:
        """Build the spaces, which equal mpe2's."""
        choices = dict(zip(self.agents, self._choices.tolist(), strict=True))
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = {
            agent: _open_box(len(view)) for agent, view in zip(self.agents, self.scenario.views, strict=True)
        }
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {
            agent: spaces.Box(0.0, 1.0, (n,), np.float32) if self.config.continuous_actions else spaces.Discrete(n)
            for agent, n in choices.items()
        }
        self.state_space: spaces.Space[Any] = _open_box(len(self._views))

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start new episodes at random places with a random goal (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
        """
        check_reset(seed, copies, self.num_envs)
        drawn = uniform_rows(copies, len(self._start) + 1, seed, INITIAL).astype(np.float64)
        positions = (2.0 * drawn[:, :-1] - 1.0) * self._start
        goals = (drawn[:, -1] * self.scenario.num_landmarks).astype(np.int64) if self.scenario.has_goal else None
        return self.place(positions.reshape(self.num_envs, -1, 2), goals=goals)

    def place(
        self,
        positions: Floats,
        velocities: Floats | None = None,
        goals: NDArray[np.int64] | None = None,
        words: Floats | None = None,
    ) -> Step:
        """Start new episodes in given states, for tests and comparisons.

        Args:
            positions: (B, entities, 2), agents before landmarks.
            velocities: (B, N, 2); None: all are at rest.
            goals: int64 (B,), numbers of landmarks; for tasks with a goal, and only for them.
            words: (B, 3), what the speaker said last; None: nothing yet.

        Returns:
            What all copies show; rewards are zeros.

        Raises:
            ValueError: an array does not fit the task.
        """
        at, b = self.scenario.columns, self.num_envs
        row = np.zeros((b, at.count))
        row[:, : at.velocities.start] = _fitting("positions", positions, (b, len(self.scenario.entities), 2))
        if velocities is not None:
            row[:, _slice(at.velocities)] = _fitting("velocities", velocities, (b, len(self.agents), 2))
        if words is not None:
            row[:, _slice(at.words)] = _fitting("words", words, (b, WORDS if self.scenario.speaks else 0))
        self._goals = self._set_goals(row, goals)
        self._copies, self._cycle = row, 0
        return self._show(np.zeros((b, len(self.agents))))

    def _set_goals(self, row: Floats, goals: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """Write the goals' positions and colours; returns their numbers among the entities."""
        scenario = self.scenario
        if not scenario.has_goal or goals is None:
            if scenario.has_goal or goals is not None:
                wanted, got = ("some", "none") if scenario.has_goal else ("none", "some")
                raise ValueError(f"goals: expected {wanted} in {self.config.source}, got {got}")
            return None
        if goals.shape != (self.num_envs,) or not ((goals >= 0) & (goals < scenario.num_landmarks)).all():
            raise ValueError(f"goals: expected ({self.num_envs},) below {scenario.num_landmarks}, got {goals}")
        entities = goals + scenario.num_agents
        first = 2 * entities
        row[:, _slice(scenario.columns.goal)] = np.take_along_axis(row, np.stack([first, first + 1], axis=1), axis=1)
        if scenario.speaks:
            row[:, _slice(scenario.columns.colour)] = COLOURS[goals]
        return entities

    def step(self, actions: Sequence[Values]) -> Step:
        """Act (see ``Environment.step``).

        Raises:
            IllegalAction: an action is malformed or out of bounds.
            RuntimeError: the episodes are over, or never began.
        """
        if self._cycle >= self.config.max_cycles:
            raise RuntimeError(f"step: expected a reset after {self.config.max_cycles} steps, got another step")
        said = self._leaves(actions)
        if not self._push(said):
            raise self._out_of_bounds(said)
        copies, forces = self._copies, self._forces
        if len(self._pairs):
            kernels.collide(copies, self._pairs, self._touching, forces)
        kernels.move(copies, self.scenario.columns.velocities.start, forces, self._strength, self._top_speed)
        self._cycle += 1
        rewards = np.empty((self.num_envs, len(self.agents)))
        self.scenario.reward(copies, rewards)
        return self._show(rewards)

    def _push(self, said: Sequence[Array]) -> bool:
        """Turn actions into forces and words; False, and nothing is changed, if one lies outside its space."""
        words, to = self.scenario.columns.words.start, (self._copies, self._forces)
        if self.config.continuous_actions:
            return bool(kernels.push(np.concatenate(said, axis=1), self._first, self._strength, words, *to))
        return bool(kernels.choose(np.stack(said, axis=1), self._choices, self._strength, words, *to))

    def _leaves(self, actions: Sequence[Values]) -> list[Array]:
        """Each agent's action, or an IllegalAction that names whose has the wrong form."""
        if len(actions) != len(self.agents):
            raise IllegalAction("actions", f"one for each of {len(self.agents)} agents", str(len(actions)))
        said = []
        for agent, leaves in zip(self.agents, actions, strict=True):
            space = self.action_spaces[agent]
            if leaves.keys() != {""}:
                raise IllegalAction(f"{agent}: action", "the one leaf ''", str(sorted(leaves)))
            value, shape = leaves[""], (self.num_envs, *(space.shape or ()))
            if value.shape != shape or value.dtype != space.dtype:
                raise IllegalAction(f"{agent}: action", f"{space.dtype} {shape}", f"{value.dtype} {value.shape}")
            said.append(value)
        return said

    def _out_of_bounds(self, said: Sequence[Array]) -> IllegalAction:
        """The error for the first number that lies outside its space."""
        for agent, values, choices in zip(self.agents, said, self._choices.tolist(), strict=True):
            high = 1 if self.config.continuous_actions else choices - 1
            outside = np.argwhere(~((values >= 0) & (values <= high)))
            if len(outside):
                copy, *place = outside[0].tolist()
                value = values[tuple(outside[0])]
                return IllegalAction(f"{agent}: action{place or ''} of copy {copy}", f"0 to {high}", str(value))
        raise AssertionError("the kernels refuse nothing else")

    def _show(self, rewards: Floats) -> Step:
        """What all copies show now."""
        b, scenario = self.num_envs, self.scenario
        seen, state = np.empty(b * len(self._views), np.float32), np.empty((b, len(self._views)), np.float32)
        kernels.see(self._copies, self._views, self._ends, seen, state)
        places = self._copies[:, : scenario.columns.velocities.start].astype(np.float32)
        info: dict[str, Array] = {"positions": places.reshape(b, -1, 2)}
        if self._goals is not None:
            info["goal"] = self._goals.copy()
        over = np.full(rewards.shape, self._cycle >= self.config.max_cycles)
        return Step(
            observations=[{"": seen[part].reshape(b, -1)} for part in self._parts],
            state={"": state},
            rewards=rewards,
            terminated=np.zeros_like(over),
            truncated=over,
            awaited=~over,
            info=info,
        )


def _open_box(width: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (width,), np.float32)


def _slice(columns: range) -> slice:
    return slice(columns.start, columns.stop)


def _fitting(name: str, values: Floats, shape: tuple[int, ...]) -> Floats:
    """Values flat per copy, if they have the shape."""
    if values.shape != shape:
        raise ValueError(f"{name}: expected {shape}, got {values.shape}")
    return values.reshape(shape[0], -1)
