"""The same rollout without services: the same environments, policies and draws, called directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import Batch, Decide, Decision, Draws, Policy, Spaces
from agora.agents.sampling import Explore, Sampler
from agora.errors import AgoraError
from agora.spaces import leaves, ordered
from env_server.environments.base import Environment, Step
from env_server.rollout.decisions import Answer
from env_server.rollout.runner import Block


@dataclass
class LocalMind:
    """One agent's policy, seated."""

    agent: str
    index: int
    spaces: Spaces
    decide: Decide
    sampler: Sampler


class LocalMinds:
    """Decides with policies in this process; see ``env_server.rollout.runner.Minds``."""

    def __init__(
        self,
        environment: Environment,
        policies: Sequence[Policy],
        block: Block,
        copies: NDArray[np.uint32],
        noise_scale: float | None,
    ) -> None:
        self._block = block
        self._copies = copies
        self._noise_scale = noise_scale
        self._minds = []
        for i, (agent, policy) in enumerate(zip(environment.agents, policies, strict=True)):
            seen, done = environment.observation_spaces[agent], environment.action_spaces[agent]
            spaces = Spaces(leaves(seen), leaves(done), i)
            self._minds.append(LocalMind(agent, i, spaces, policy.bind(spaces), Sampler(spaces.action)))
        self._decided = np.zeros((len(self._minds), len(copies)), np.uint32)
        self._in_step = True

    async def decide(
        self, number: int, step: Step, rows: Sequence[NDArray[np.intp]]
    ) -> Sequence[Answer | AgoraError | None]:
        """Decide for all agents."""
        answers = [self._one(mind, number, step, rows[mind.index]) for mind in self._minds]
        self._decided += step.awaited.T
        return answers

    def _one(self, mind: LocalMind, number: int, step: Step, rows: NDArray[np.intp]) -> Answer | None:
        if not len(rows):
            return None
        copies, block = self._copies[rows], self._block
        i = mind.index
        self._in_step = self._in_step and bool(step.awaited.all())
        # Where copies run at their own pace, draws are keyed by their own decisions' count.
        steps = None if self._in_step else self._decided[i, rows]
        seen = [values[rows] for values in ordered(step.observations[i], mind.spaces.observation)]
        memory = np.zeros((len(copies), 0), np.uint8)
        legal = step.action_masks.get(i)
        masks = (
            [mask[rows] for mask in ordered(legal, mind.spaces.action)] if legal else [None] * len(mind.spaces.action)
        )
        batch = Batch(seen, masks, memory, Draws(block.seed, block.number, i, number, copies, steps))
        explore = None if self._noise_scale is None else Explore(self._noise_scale, 0.0)
        decision = mind.decide(batch)
        if not isinstance(decision, Decision):
            raise TypeError("a policy that decides here, got one that waits for others")
        action, log_prob = mind.sampler.act(decision, batch, explore)
        named = {leaf.path: values for leaf, values in zip(mind.spaces.action, action, strict=True)}
        return Answer(named, log_prob, memory, mind.agent, (1, 1))
