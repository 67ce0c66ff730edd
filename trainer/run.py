"""What every training run has, whatever its goal: a learner whose policies are published, rows, and checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agora.errors import Failed
from agora.failures import Failures
from trainer.actor import Actor
from trainer.checkpoint import save_checkpoint
from trainer.collector import Collector, Version
from trainer.finite import actor_faults, loss_faults, require, tensor_faults
from trainer.publisher import Publisher
from trainer.segments import Segment, count_episodes
from trainer.settings import TrainingSettings
from trainer.spec import GameSpec
from trainer.tracker import Tracker

EPISODES_TO_JUDGE: Final = 100
"""So many must have been played before failed ones among them may end a run early."""


class Learned(Protocol):
    """What a run asks of its learner; each goal asks for more."""

    updates: int

    def actors(self) -> list[Actor]:
        """Each agent's policy."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly."""
        ...


@dataclass
class Progress:
    """Where a run stands; everything here is in the checkpoint.

    Attributes:
        round: rounds finished.
        block: the next block's number.
        environment_steps: joint actions learned from.
        seconds: wall time spent by all processes that worked on the run.
        episodes: played to learn from.
        failed_episodes: of them, how many the environment failed in.
        first_failure: why, of the first.
    """

    round: int = 0
    block: int = 0
    environment_steps: int = 0
    seconds: float = 0.0
    episodes: int = 0
    failed_episodes: int = 0
    first_failure: str = ""


@dataclass(kw_only=True)
class Run:
    """One run, from its first round or from a checkpoint."""

    settings: TrainingSettings
    spec: GameSpec
    learner: Learned
    collector: Collector
    publisher: Publisher
    tracker: Tracker
    run_directory: Path
    epoch: int
    progress: Progress = field(default_factory=Progress)

    @property
    def checkpoints(self) -> Path:
        """Where they are."""
        return self.run_directory / "checkpoint"

    async def publish(self) -> None:
        """Publish what was learned, unless that was done.

        Raises:
            Failed: an exported policy does something that is not finite, or not what it does here.
        """
        version = (self.epoch, self.learner.updates)
        if version not in self.publisher.versions.values():
            try:
                await self.publisher.publish(self.learner.actors(), version, self.progress.environment_steps)
            except ValueError as error:
                raise Failed(f"after round {self.progress.round}: {error}") from error

    async def learned(self, learn: Callable[..., dict[str, float]], *given: Any) -> dict[str, float]:
        """Learn from a round, in a thread; returns losses by name.

        Raises:
            Failed: the round, a loss or a policy is not finite; the text names it, and the agents concerned.
        """
        number = self.progress.round + 1
        try:
            losses = await asyncio.to_thread(learn, *given)
        except ValueError as error:
            raise Failed(f"round {number}: {error}") from error
        require(number, loss_faults(losses) + actor_faults(self.spec.agents, self.learner.actors()))
        return losses

    def save(self, more: Mapping[str, Any]) -> None:
        """Write a checkpoint of the learner, the progress, and more.

        Raises:
            Failed: something that was learned is not finite; the checkpoint before stays the newest.
        """
        state = {"learner": self.learner.state_dict(), "progress": asdict(self.progress), **more}
        require(self.progress.round, tensor_faults(state["learner"]))
        save_checkpoint(self.checkpoints, self.progress.round, state, self.settings.keep_checkpoints)

    def count(self, segments: Sequence[Segment]) -> None:
        """Count a round's episodes.

        Raises:
            Failed: too many of the run's episodes failed.
        """
        progress = self.progress
        found = Failures(progress.episodes, progress.failed_episodes, progress.first_failure)
        count_episodes(segments, found)
        progress.episodes, progress.failed_episodes = found.episodes, found.failed
        progress.first_failure = found.first
        if found.episodes >= EPISODES_TO_JUDGE:
            self.judge_failures()

    def judge_failures(self) -> None:
        """End the run if too many of its episodes failed.

        Raises:
            Failed: they did.
        """
        progress, share = self.progress, self.settings.max_failed_share
        found = Failures(progress.episodes, progress.failed_episodes, progress.first_failure)
        if excess := found.excess(share):
            raise Failed(f"after round {progress.round}: {excess} (training.max_failed_share)")

    @property
    def failures(self) -> dict[str, Any]:
        """As part of a row: how many episodes failed since the run began, and why the first one did."""
        if not self.progress.failed_episodes:
            return {}
        found = {"failed_episodes": self.progress.failed_episodes, "played_episodes": self.progress.episodes}
        return {**found, "first_failure": self.progress.first_failure}

    def track(self, kind: str, row: Mapping[str, Any]) -> None:
        """Write a row of metrics."""
        self.tracker.add(kind, row, self.progress.environment_steps)

    def named(self, values: NDArray[np.float64]) -> dict[str, float]:
        """Values (N,) by agent."""
        return dict(zip(self.spec.agents, values.tolist(), strict=True))

    def acted(self, segments: Sequence[Segment], agents: Iterable[str]) -> dict[str, Version]:
        """The version of each of these agents that acted last."""
        last = dict(zip(self.spec.agents, segments[-1].agents, strict=True))
        return {agent: (int(last[agent].version[-1, -1, 0]), int(last[agent].version[-1, -1, 1])) for agent in agents}
