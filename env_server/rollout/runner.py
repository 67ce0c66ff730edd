"""The rollout loop: an environment stepped against whoever decides for its agents."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agora.errors import AgoraError, Refused
from agora.randomness import generator
from agora.spaces import leaves
from agora.v1 import policy_pb2
from env_server.environments.base import (
    DefaultingEnvironment,
    Environment,
    OutsourcedEnvironment,
    Step,
    Values,
    check_rewards,
)
from env_server.rollout.decisions import Answer, middle
from env_server.rollout.trajectory import NOT_AWAITED, AgentDecisions, Recorder, Trajectory

QUICK_SECONDS = 0.003
"""An event loop may be held up so long; a shorter step is not worth the way to a thread and back."""


class Minds(Protocol):
    """Who decides for the agents of one block: agent services, or policies in this process."""

    async def decide(
        self, number: int, step: Step, rows: Sequence[NDArray[np.intp]]
    ) -> Sequence[Answer | AgoraError | None]:
        """Decide for every agent in the rows that await it; None for an agent that no row awaits.

        Args:
            number: of the step in the episode.
            step: what all copies show.
            rows: per agent, the copies' places (not numbers) that await it, rising.
        """
        ...


@dataclass
class Block:
    """What to play, and what went wrong on the way.

    Attributes:
        seed: of the run.
        number: of the block.
        abort: whether a failed decision ends the block; otherwise another action stands in.
        defaults: whether that is the environment's own (a ``DefaultingEnvironment``), and not the agent's last one.
        outcomes_only: whether what was seen is not kept.
        substituted: actions that the fallback supplied so far.
    """

    seed: int
    number: int
    abort: bool = True
    defaults: bool = False
    outcomes_only: bool = False
    substituted: int = field(default=0)

    @property
    def environment_seed(self) -> int:
        """What the block's episodes start from."""
        return int(generator(self.seed, self.number).integers(2**63))


async def play_block(
    environment: Environment, copies: NDArray[np.uint32], minds: Minds, block: Block, workers: Executor
) -> Trajectory:
    """Play one episode in each copy.

    Args:
        environment: holds len(copies) copies.
        copies: their numbers.
        minds: who decides.
        block: which block; its ``substituted`` is counted up.
        workers: where the environment computes, unless a step takes less than ``QUICK_SECONDS`` and waits for nobody.

    Raises:
        Refused: a decision failed and ``block.abort`` is set.
    """
    loop = asyncio.get_running_loop()
    recorder = Recorder(block.number, copies, block.outcomes_only)
    step = await loop.run_in_executor(workers, environment.reset, block.environment_seed, copies)
    check_rewards(step, environment.agents)
    recorder.see(step)
    quick, waits = False, isinstance(environment, OutsourcedEnvironment)
    for number in itertools.count():
        if not step.awaited.any():
            break
        rows = awaited_rows(step)
        answers = await minds.decide(number, step, rows)
        decisions = executed(environment, block, recorder, answers, rows)
        actions = [decision.action for decision in decisions]
        started = time.perf_counter()
        step = environment.step(actions) if quick else await loop.run_in_executor(workers, environment.step, actions)
        quick = not waits and time.perf_counter() - started < QUICK_SECONDS
        check_rewards(step, environment.agents)
        recorder.decisions.append(decisions)
        recorder.see(step)
    return recorder.finish()


def awaited_rows(step: Step) -> list[NDArray[np.intp]]:
    """Per agent, the places of the copies that await it."""
    if step.awaited.all():
        everyone = np.arange(len(step.awaited))
        return [everyone] * step.awaited.shape[1]
    return [np.flatnonzero(column) for column in step.awaited.T]


def executed(
    environment: Environment,
    block: Block,
    recorder: Recorder,
    answers: Sequence[Answer | AgoraError | None],
    rows: Sequence[NDArray[np.intp]],
) -> list[AgentDecisions]:
    """What is executed in a step: the answers, and the fallback's actions where there are none."""
    copies = environment.num_envs
    decisions = []
    for index, answer in enumerate(answers):
        if isinstance(answer, Answer):
            decisions.append(AgentDecisions.of(answer, rows[index], copies))
            continue
        action = None
        if isinstance(answer, AgoraError):
            if block.abort:
                raise named(answer, environment.agents[index])
            block.substituted += len(rows[index])
            if block.defaults:
                action = _default(environment, index, rows[index])
        if action is None:
            action = _last(environment, recorder, index, rows[index])
        decisions.append(AgentDecisions.substituted(action, rows[index], copies))
    return decisions


def named(error: AgoraError, agent: str) -> Refused:
    """A failed decision as a refusal that names the agent."""
    if isinstance(error, Refused):
        return error.under(agent)
    return Refused(policy_pb2.REASON_UNREACHABLE, agent, "an agent service that answers", str(error), retryable=True)


def _default(environment: Environment, index: int, rows: NDArray[np.intp]) -> Values | None:
    """What the environment does itself in ``rows``, over all copies; None if it knows of nothing."""
    if not isinstance(environment, DefaultingEnvironment):
        return None
    action = {}
    for path, values in environment.default_action(index, rows).items():
        action[path] = np.zeros((environment.num_envs, *values.shape[1:]), values.dtype)
        action[path][rows] = values
    return action


def _last(environment: Environment, recorder: Recorder, index: int, rows: NDArray[np.intp]) -> Values:
    """The agent's last action in each of ``rows``, over all copies; what stands in other rows is not executed."""
    past = recorder.decisions
    if past and not len(rows):
        return past[-1][index].action
    space = environment.action_spaces[environment.agents[index]]
    action = {leaf.path: middle(leaf, environment.num_envs) for leaf in leaves(space)}
    for decisions in reversed(past):
        acted = decisions[index].acted[rows] != NOT_AWAITED
        for path, values in decisions[index].action.items():
            action[path][rows[acted]] = values[rows[acted]]
        rows = rows[~acted]
        if not len(rows):
            break
    return action
