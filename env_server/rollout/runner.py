"""The rollout loop: an environment stepped against whoever decides for its agents."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agora.errors import AgoraError, Refused
from agora.randomness import generator
from agora.spaces import leaves
from agora.v1 import policy_pb2
from env_server.environments.base import Environment, Step
from env_server.rollout.decisions import Answer, middle
from env_server.rollout.trajectory import AgentDecisions, Recorder, Trajectory, join

QUICK_SECONDS = 0.003
"""An event loop may be held up so long; handing a step to a thread and back takes about a tenth of a millisecond."""


class Minds(Protocol):
    """Who decides for the agents of one group of copies in one block: agent services, or policies in this process."""

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
        abort: whether a failed decision ends the block; otherwise the last action is repeated.
        substituted: actions that the fallback supplied so far.
    """

    seed: int
    number: int
    abort: bool = True
    substituted: int = field(default=0)

    @property
    def environment_seed(self) -> int:
        """What the block's episodes start from."""
        return int(generator(self.seed, self.number).integers(2**63))


async def play_group(
    environment: Environment,
    copies: NDArray[np.uint32],
    minds: Minds,
    block: Block,
    workers: Executor,
    *,
    alone: bool,
) -> Trajectory:
    """Play one episode in each copy.

    Args:
        environment: holds len(copies) copies.
        copies: their numbers in the block.
        minds: who decides.
        block: which block; its ``substituted`` is counted up.
        workers: where the environment computes, so that frames of other groups move meanwhile.
        alone: there are no other groups, so a step that takes less than ``QUICK_SECONDS`` need not change threads.

    Raises:
        Refused, Unavailable: a decision failed and ``block.abort`` is set.
    """
    loop = asyncio.get_running_loop()
    recorder = Recorder(block.number, copies)
    step = await loop.run_in_executor(workers, environment.reset, block.environment_seed, copies)
    recorder.before.append(step)
    quick = False
    for number in itertools.count():
        if not step.awaited.any():
            break
        rows = _awaited_rows(step)
        answers = await minds.decide(number, step, rows)
        decisions = _executed(environment, block, recorder, answers, rows)
        actions = [decision.action for decision in decisions]
        started = time.perf_counter()
        step = environment.step(actions) if quick else await loop.run_in_executor(workers, environment.step, actions)
        quick = alone and time.perf_counter() - started < QUICK_SECONDS
        recorder.decisions.append(decisions)
        recorder.before.append(step)
    return recorder.finish()


async def play_block(
    groups: Sequence[Environment], seat: Callable[[NDArray[np.uint32]], Minds], block: Block, workers: Executor
) -> Trajectory:
    """Play one block whose copies are spread over ``groups``, which step independently of each other.

    Randomness is keyed by copy number, so the grouping does not change a byte; it lets one group's environment
    compute while another group's agents decide.

    Args:
        groups: environments; the first holds the lowest copies.
        seat: makes the minds of a group from its copies' numbers.
        block: which block.
        workers: where the environments compute.
    """
    first = np.cumsum([0] + [group.num_envs for group in groups])
    numbers = [np.arange(low, high, dtype=np.uint32) for low, high in pairwise(first)]
    tasks = [
        play_group(group, copies, seat(copies), block, workers, alone=len(groups) == 1)
        for group, copies in zip(groups, numbers, strict=True)
    ]
    if len(tasks) == 1:
        return await tasks[0]
    try:
        async with asyncio.TaskGroup() as running:
            parts = [running.create_task(task) for task in tasks]
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return join([part.result() for part in parts])


def _awaited_rows(step: Step) -> list[NDArray[np.intp]]:
    if step.awaited.all():
        everyone = np.arange(len(step.awaited))
        return [everyone] * step.awaited.shape[1]
    return [np.flatnonzero(column) for column in step.awaited.T]


def _executed(
    environment: Environment,
    block: Block,
    recorder: Recorder,
    answers: Sequence[Answer | AgoraError | None],
    rows: Sequence[NDArray[np.intp]],
) -> list[AgentDecisions]:
    copies = environment.num_envs
    decisions = []
    for index, answer in enumerate(answers):
        if isinstance(answer, Answer):
            decisions.append(AgentDecisions.of(answer, rows[index], copies))
            continue
        if isinstance(answer, AgoraError):
            if block.abort:
                raise _named(answer, environment.agents[index])
            block.substituted += len(rows[index])
        decisions.append(_fallback(environment, recorder, index, rows[index]))
    return decisions


def _named(error: AgoraError, agent: str) -> AgoraError:
    if isinstance(error, Refused):
        return error.under(agent)
    return Refused(policy_pb2.REASON_UNREACHABLE, agent, "an agent service that answers", str(error), retryable=True)


def _fallback(environment: Environment, recorder: Recorder, index: int, rows: NDArray[np.intp]) -> AgentDecisions:
    copies = environment.num_envs
    if recorder.decisions:
        action = recorder.decisions[-1][index].action
    else:
        space = environment.action_spaces[environment.agents[index]]
        action = {leaf.path: middle(leaf, copies) for leaf in leaves(space)}
    return AgentDecisions.substituted(action, rows, copies)
