"""Any PettingZoo environment as a game: its agents, spaces and rules as they are, its copies stepped together."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import IllegalAction, Refused
from agora.spaces import Leaf, Space, leaves
from agora.v1 import policy_pb2
from env_server.environments.base import Array, EnvironmentConfig, EpisodeFailure, Step, Values, check_reset
from env_server.environments.pettingzoo.blueprint import Blueprint, draw, space_of
from env_server.environments.pettingzoo.chunk import Recipe
from env_server.environments.pettingzoo.config import PettingZooConfig
from env_server.environments.pettingzoo.failures import Failures
from env_server.environments.pettingzoo.fleet import Fleet
from env_server.environments.pettingzoo.processes import Table
from env_server.environments.pettingzoo.source import ALLOWED, Source
from env_server.environments.pettingzoo.table import choices_of, mask_key, seen_key, state_key


class PettingZoo:
    """B copies of a PettingZoo environment (https://pettingzoo.farama.org), parallel or turn-based.

    The agents are its ``possible_agents``; ``Step.alive`` says who is there. In a turn-based one (AEC) only
    ``agent_selection`` is awaited, and each agent earns in the step in which the environment rewards it. Agents that
    are not there observe zeros, clipped into their space. The global state is the environment's ``state()``, or else
    the observations of all agents. Action masks are those of ``observation["action_mask"]`` or ``info["action_mask"]``
    of agents with a Discrete or MultiDiscrete action.

    An environment that raises, or shows what its spaces rule out, ends that copy's episode: all its agents are
    truncated with a reward of 0, and ``Step.info["failed"]``, uint8 (B,), is 1 in that step.
    """

    Config: ClassVar[type[EnvironmentConfig]] = PettingZooConfig

    def __init__(self, config: PettingZooConfig, num_envs: int) -> None:
        """Find out about the environment; the processes that play it are started by the first reset.

        Raises:
            ValueError: num_envs is not positive.
            Refused: no environment can be made of ``config.source``, or not one that can be hosted.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        allowed = tuple(ALLOWED)
        self._blueprint = draw(config.source, allowed)
        self._spaces(self._blueprint)
        self.facts: Mapping[str, Any] = {}
        workers = config.workers or len(os.sched_getaffinity(0))
        rows = -(-num_envs // min(workers, num_envs))
        recipe = Recipe(Source.parse(config.source, allowed), allowed, self._blueprint, rows, num_envs)
        self._fleet = Fleet(recipe, config.patience)
        self._failures = Failures(config.source)
        self._now: Step | None = None
        self._one_at_a_time = threading.Lock()
        weakref.finalize(self, self._fleet.close, gently=False)

    def _spaces(self, blueprint: Blueprint) -> None:
        self.agents = blueprint.agents
        seen = map(space_of, blueprint.observation_spaces)
        self.observation_spaces: Mapping[str, Space] = dict(zip(self.agents, seen, strict=True))
        done = map(space_of, blueprint.action_spaces)
        self.action_spaces: Mapping[str, Space] = dict(zip(self.agents, done, strict=True))
        own = blueprint.state_space
        self.state_space: Space = spaces.Dict(list(self.observation_spaces.items())) if own is None else space_of(own)
        self._seen: list[tuple[Leaf, ...]] = [leaves(space) for space in self.observation_spaces.values()]
        self._done: list[tuple[Leaf, ...]] = [leaves(space) for space in self.action_spaces.values()]
        self._masked = sorted(choices_of(blueprint))

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that play the copies."""
        return self._fleet.pids

    def close(self) -> None:
        """End the processes; another reset starts new ones."""
        self._now = None
        self._fleet.close()

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start new episodes (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
            Refused: a process that plays copies is gone or hangs (UNREACHABLE, retryable: the next reset starts
                another), or no copy at all can be reset (INTERNAL; with the first cause).
        """
        step = self.restart(seed, copies, np.arange(self.num_envs))
        if step.info["failed"].all():
            expected, got = "an environment that can be reset", f"all copies failed; {step.failures[0]}"
            raise Refused(policy_pb2.REASON_INTERNAL, "environment", expected, got)
        return step

    def restart(self, seed: int, copies: NDArray[np.uint32], rows: NDArray[np.intp]) -> Step:
        """Start new episodes in some copies (see ``RestartingEnvironment``); raises as ``reset`` does."""
        check_reset(seed, copies, self.num_envs)
        with self._one_at_a_time:
            self._now = None
            self._now = step = self._show(self._fleet.reset(seed, copies, rows))
        return step

    def step(self, actions: Sequence[Values]) -> Step:
        """Act (see ``Environment.step``).

        Raises:
            IllegalAction: an awaited action has a wrong shape or dtype, or lies outside its space.
            RuntimeError: the episodes are over, or never began.
            Refused: as for ``reset``; the episodes are lost.
        """
        now = self._now
        if now is None or not now.awaited.any():
            raise RuntimeError("step: expected a reset after the episodes have ended, got another step")
        said = {}
        for i, values in enumerate(actions):
            rows = np.flatnonzero(now.awaited[:, i])
            for leaf in self._done[i]:
                said[f"{i}.{leaf.path}"] = self._checked(i, leaf, values.get(leaf.path), rows)
        with self._one_at_a_time:
            self._now = None  # what follows may fail, and then there is nothing to go on from
            self._now = step = self._show(self._fleet.step(said))
        return step

    def _checked(self, agent: int, leaf: Leaf, values: Array | None, rows: NDArray[np.intp]) -> Array:
        """One leaf of an agent's action over all copies; what is not awaited does not matter."""
        shape = (self.num_envs, *leaf.shape)
        if values is None or values.shape != shape:
            if not len(rows):
                return np.zeros(shape, leaf.dtype)
            got = "none" if values is None else values.shape
            raise IllegalAction(f"{self.agents[agent]}.{leaf.path}", f"shape {shape}", str(got))
        try:
            leaf.check(values[rows], len(rows), f"{self.agents[agent]}.{leaf.path}")
        except Refused as refused:
            raise IllegalAction(refused.field, refused.expected, refused.got) from refused
        return values.astype(leaf.dtype, copy=False)

    def _show(self, table: Table) -> Step:
        failures = self._fleet.failures()
        self._failures.note(failures)
        seen = [{leaf.path: table[seen_key(i, leaf.path)] for leaf in self._seen[i]} for i in range(len(self.agents))]
        return Step(
            observations=seen,
            state=self._state(table, seen),
            rewards=table["reward"],
            terminated=table["terminated"].view(np.bool_),
            truncated=table["truncated"].view(np.bool_),
            awaited=table["awaited"].view(np.bool_),
            action_masks={i: {"": table[mask_key(i)]} for i in self._masked},
            info={"failed": table["failed"]},
            alive=table["alive"].view(np.bool_),
            failures=[EpisodeFailure(f.copy, f.agent, f.step, f.text.strip().splitlines()[-1]) for f in failures],
        )

    def _state(self, table: Table, seen: Sequence[Values]) -> Values:
        if self._blueprint.state_space is not None:
            return {leaf.path: table[state_key(leaf.path)] for leaf in leaves(self.state_space)}
        named = zip(self.agents, seen, strict=True)
        return {f"{agent}.{path}" if path else agent: values for agent, own in named for path, values in own.items()}
