"""Training for return as rounds: publish, collect, learn; now and then evaluate greedily; stop when out of budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from agora.errors import Failed, Refused
from agora.v1 import policy_pb2
from trainer.algorithms.base import Learner
from trainer.algorithms.game import Game
from trainer.algorithms.trajectories import Trajectories
from trainer.checkpoint import load_newest
from trainer.collector import Collector
from trainer.evaluation import Evaluator, summarised, write_returns
from trainer.judge import Judge
from trainer.rounds import Order, Rounds
from trainer.run import Progress, Run
from trainer.segments import Segment, episode_returns, mean_returns

RECORDED_COPIES: Final = 1
"""Episodes that are logged at the end for the report, whatever else is logged."""


@dataclass
class PracticeProgress(Progress):
    """Where a run stands.

    Attributes:
        evaluations: rows of all evaluations.
        cpu_seconds: processor time spent by the trainers that worked on the run.
    """

    evaluations: list[dict[str, Any]] = field(default_factory=list)
    cpu_seconds: float = 0.0


@dataclass(kw_only=True)
class Practice(Run):
    """A run that maximises return.

    Learners that tolerate older policies collect one round ahead: while they learn from a round, the next one is
    played by the policies of before. Who plays what is fixed by the order of rounds, never by timing.

    Attributes:
        evaluator: plays the episodes that returns are reported on.
        recorder: logs an episode that the report can draw; None of games that it cannot draw.
        judge: judges greedy joint actions; None of games that cannot.
    """

    learner: Learner
    evaluator: Evaluator
    recorder: Collector | None
    judge: Judge | None
    progress: PracticeProgress = field(default_factory=PracticeProgress)

    def __post_init__(self) -> None:
        self._game = Game.of(self.spec)
        self._rounds = Rounds(self.collector, self.spec, self.settings, newest=self.learner.on_policy)
        self._saved = self._wall = self._since = time.monotonic()
        self._cpu = time.process_time()
        self._ahead: Order | None = None

    def resume(self) -> bool:
        """Go on from the newest checkpoint; False if there is none."""
        state = load_newest(self.checkpoints)
        if state is None:
            return False
        self.learner.load_state_dict(state["learner"])
        self.progress = PracticeProgress(**state["progress"])
        self._ahead = Order.from_json(state["ahead"]) if state["ahead"] else None
        self._wall -= self.progress.seconds
        self._cpu -= self.progress.cpu_seconds
        return True

    async def run(self) -> str:
        """Train until out of budget, hang up, and return why it ended: "budget"."""
        try:
            resumed = await asyncio.to_thread(self.resume)
            self.track("start", {"goal": "return", "epoch": self.epoch, "resumed": resumed})
            await self._train()
            self.judge_failures()
            self.track("end", {"reason": "budget", **await self._judged(), **self._place(), **self.failures})
            await asyncio.to_thread(self._save)
        finally:
            await self._close()
        return "budget"

    async def _close(self) -> None:
        self.tracker.close()
        for open_ in (self._rounds, self.evaluator.collector, self.recorder, self.judge, self.publisher):
            if open_ is not None:
                await open_.close()

    async def _train(self) -> None:
        if self._ahead is not None:
            self._rounds.ask(self._ahead)
        while True:
            await self.publish()
            if self._due():
                await self._evaluate()
            if self._spent(self.progress.environment_steps):
                return await self._record()
            await self._round()
            if time.monotonic() - self._saved >= self.settings.checkpoint_seconds:
                await asyncio.to_thread(self._save)

    async def _round(self) -> None:
        before = self.learner.updates
        order, segments = await self._next()
        losses = await self.learned(self._learn, segments)
        steps = sum(segment.steps for segment in segments)
        self.progress.round += 1
        self.progress.environment_steps += steps
        self.count(segments)
        acted = self.acted(segments, self.publisher.versions)
        row = {
            **self._place(),
            "steps_per_second": steps / (time.monotonic() - self._since),
            "returns": self.named(mean_returns(episode_returns(segments))),
            "versions": {agent: list(version) for agent, version in acted.items()},
            "updates": self.learner.updates,
            "staleness": before - min((step for _, step in acted.values()), default=before),
            "stale": self.learner.stale,
            "noise": order.explore.noise_scale,
            "epsilon": order.explore.epsilon,
            "losses": losses,
            **self.failures,
        }
        self.track("round", row)
        self._since = time.monotonic()

    async def _next(self) -> tuple[Order, list[Segment]]:
        """The round to learn from. Where older policies are tolerated, the one after it is begun."""
        if self._rounds.under_way is None:
            self._ask()
        order, segments = await self._rounds.take()
        after = self.progress.environment_steps + sum(segment.steps for segment in segments)
        if not self.learner.on_policy and not self._spent(after):
            self._ask()
        return order, segments

    def _ask(self) -> None:
        self._rounds.ask(Order(self.progress.block, dict(self.publisher.versions), self.learner.exploration()))
        self.progress.block += self.settings.blocks_per_round

    def _learn(self, segments: Sequence[Segment]) -> dict[str, float]:
        learning = np.array([agent in self.publisher.versions for agent in self.spec.agents])
        for segment in segments:
            experience = Trajectories.of(segment, self._game)
            # What a script does is no experience of the actor that nobody publishes for its seat.
            self.learner.add(replace(experience, acted=experience.acted & learning))
        return self.learner.update()

    def _due(self) -> bool:
        """Whether it is time for an evaluation; before the first round, and at the end, it is."""
        done, every = self.progress.environment_steps, self.settings.evaluate_every
        before = self.progress.evaluations[-1]["environment_steps"] if self.progress.evaluations else -1
        last = self._spent(done) and before < done
        return last or (every > 0 and done // every > before // every)

    async def _evaluate(self) -> None:
        returns, failures = await self.evaluator.returns(self.publisher.versions)
        if excess := failures.excess(self.settings.max_failed_share):
            raise Failed(f"evaluation after round {self.progress.round}: {excess} (training.max_failed_share)")
        row = {
            **self._place(),
            **summarised(self.spec.agents, returns),
            "failed_episodes": failures.failed,
            "first_failure": failures.first,
            "versions": {agent: list(version) for agent, version in self.publisher.versions.items()},
        }
        self.progress.evaluations.append(row)
        self.track("evaluation", row)
        write_returns(self.run_directory / "returns.csv", self.spec.agents, self.progress.evaluations)
        self._since = time.monotonic()

    async def _record(self) -> None:
        """Log a greedy episode for the report, where the servers have a log."""
        if self.recorder is None:
            return
        block, versions = self.progress.block, self.publisher.versions
        try:
            await self.recorder.collect(self.spec, [block], RECORDED_COPIES, versions, None)
        except Refused as refusal:
            if refusal.reason != policy_pb2.REASON_UNSUPPORTED:
                raise

    async def _judged(self) -> dict[str, Any]:
        """Whether greedy policies ended at a pure equilibrium, as part of a row, in games that can tell."""
        if self.judge is None:
            return {}
        verdict = await self.judge.verdict(self.publisher.versions)
        return {"verdict": str(verdict), "regrets": self.named(verdict.regrets)}

    def _place(self) -> dict[str, Any]:
        """Where the run is now, as part of a row."""
        progress = self.progress
        progress.seconds = time.monotonic() - self._wall
        progress.cpu_seconds = time.process_time() - self._cpu
        return {
            "round": progress.round,
            "environment_steps": progress.environment_steps,
            "seconds": progress.seconds,
            "learner_cpu_seconds": progress.cpu_seconds,
        }

    def _save(self) -> None:
        ahead = self._rounds.under_way
        self.save({"ahead": ahead.to_json() if ahead else None})
        self._saved = time.monotonic()

    def _spent(self, steps: int) -> bool:
        return steps >= self.settings.max_environment_steps
