"""The supply-chain negotiation as an environment: one step carries every copy to its next question to a factory."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.negotiation.default import default_answer
from agora.negotiation.layout import Answer
from agora.negotiation.ledger import Mode
from agora.negotiation.wire import NOBODY, slots_of
from agora.randomness import generator
from agora.spaces import Leaf, leaves
from env_server.environments.base import EnvironmentConfig, Step, Values, check_reset
from env_server.environments.scml.config import SERVICE, ScmlConfig
from env_server.environments.scml.fleet import Fleet
from env_server.environments.scml.records import Now, Records
from env_server.environments.scml.run import open_run
from env_server.environments.scml.spaces import action_space, observation_space, state_space

SEED_BITS = 31


class Scml:
    """B copies of the SCML Standard game of the 2024 to 2026 leagues, on the league's own engine.

    An agent is a factory whose policy is "service", named after its place in the chain, level by level. A step carries
    every copy to its next question, which is always to one factory: for the day's first offers, or for answers to the
    offers that lie on its table. Observations are views (``agora.negotiation.layout``), zeros where the agent is not
    awaited; action masks leave open what the shield lets through. The reward is the change of the factory's score,
    balance / initial balance, since the copy's previous question, for every agent: an episode's rewards sum to the
    final score - 1. An agent's part ends with the last day or its bankruptcy. Of nature's contracts nobody sees more
    than today's, the critics' state included.

    ``Step.info`` is about the answers just given: ``seat`` int32 (B,), the factory that gave them or -1; ``executed``
    int32 (B, K, 4), what they came to after they were made legal and shielded; ``edited`` bool (B, K), where the shield
    changed them; ``substituted`` bool (B,), whether they were default answers.
    """

    Config: ClassVar[type[EnvironmentConfig]] = ScmlConfig

    def __init__(self, config: ScmlConfig, num_envs: int) -> None:
        """Prepare the game; its processes are started by the first reset.

        Raises:
            ValueError: num_envs is not positive.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        table = config.table
        self.shape = tuple(len(level) for level in table)
        flat = [policy for level in table for policy in level]
        self.seats = [i for i, policy in enumerate(flat) if policy == SERVICE]
        self.agents = tuple(f"factory_{i}" for i in self.seats)
        self._spaces()
        names = [f"{level}.{place}" for level, size in enumerate(self.shape) for place in range(size)]
        self.facts: Mapping[str, Any] = {"factories": names, "policies": flat, "seats": self.seats}
        processes = config.workers or len(os.sched_getaffinity(0))
        self._fleet = Fleet(self.shape, num_envs, min(processes, num_envs), config.patience)
        weakref.finalize(self, self._fleet.close)
        self._records = Records(self.shape, self.seats, self.agents, num_envs)
        self._now: Now | None = None
        self._substituted = np.zeros(num_envs, np.bool_)

    def _spaces(self) -> None:
        """Build the spaces; the spaces of all agents are alike."""
        seen, done = observation_space(self.shape), action_space(self.shape)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, done)
        self.state_space: spaces.Space[Any] = state_space(self.shape)
        self._leaves: tuple[Leaf, ...] = leaves(done)

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that play the copies."""
        return self._fleet.pids

    def close(self) -> None:
        """End the processes; another reset starts new ones."""
        self._now = None
        self._fleet.close()

    # The episodes ---------------------------------------------------------------------------------------------------

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start new worlds (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
            Refused: the engine is not installed (UNSUPPORTED), a policy is not known to it (CONFIG), or a process that
                plays worlds is gone or hangs (UNREACHABLE, retryable: the next reset starts another).
        """
        check_reset(seed, copies, self.num_envs)
        self._now = None
        worlds = [self._world(place, seed, int(copy)) for place, copy in enumerate(copies)]
        self._now = now = Now.begin(self._fleet.start(worlds, open_run(self.config)))
        self._substituted = np.zeros(self.num_envs, np.bool_)
        nobody = np.full(self.num_envs, NOBODY, np.int32)
        none = np.zeros((self.num_envs, len(self.agents)), np.bool_)
        return self._records.show(now, nobody, self._substituted, np.zeros_like(now.score), none)

    def _world(self, place: int, seed: int, copy: int) -> dict[str, Any]:
        config = self.config
        seats = [
            [{"policy": policy, "shield": config.shield if policy == SERVICE else "none"} for policy in level]
            for level in config.table
        ]
        spec = {
            "seed": int(generator(seed, copy).integers(2**SEED_BITS)),
            "days": config.days,
            "seats": seats,
            "physics": config.physics,
            "streams": config.streams,
        }
        return {"copy": place, "name": f"{seed:016x}_{copy:05d}", "spec": spec}

    def step(self, actions: Sequence[Values]) -> Step:
        """Hand over the answers and play on to the next questions (see ``Environment.step``).

        Raises:
            IllegalAction: an awaited action has a wrong shape or dtype, or lies outside its space.
            RuntimeError: the episodes are over, or never began.
            Refused: as for ``reset``; the block is lost.
        """
        now = self._now
        if now is None or not (now.seat != NOBODY).any():
            raise RuntimeError("step: expected a reset after the episodes have ended, got another step")
        answered, substituted = now.seat.copy(), self._substituted
        answers = self._records.answers(now, actions, self._leaves, substituted)
        self._substituted, over = np.zeros_like(substituted), self._records.ended(now)
        self._now = None  # what follows may fail, and then there is nothing to go on from
        changes = now.advance(self._fleet.answer(answers))
        self._now = now
        return self._records.show(now, answered, substituted, changes, over)

    def default_action(self, index: int, rows: NDArray[np.intp]) -> Values:
        """Keep the factory's promises and take no risk (see ``DefaultingEnvironment``)."""
        now = self._now
        if now is None or (now.seat[rows] != self.seats[index]).any():
            raise ValueError(f"rows: expected copies that await {self.agents[index]}, got {rows.tolist()}")
        mode: Mode = "covered" if self.config.shield == "covered" else "certain"
        said = [default_answer(view, mode, self.config.physics) for view in now.views(rows)]
        self._substituted[rows] = True
        table = np.stack(said) if said else np.zeros((0, slots_of(self.shape), len(Answer)), np.int32)
        return {leaf.path: _column(table, leaf) for leaf in self._leaves}


def _column(answers: NDArray[np.int32], leaf: Leaf) -> NDArray[Any]:
    """One leaf of actions from answers (n, K, 4)."""
    values = np.clip(answers[..., Answer[leaf.path.upper()]], leaf.low, leaf.high)
    return values.astype(leaf.dtype)
