"""Training as rounds: publish, collect, learn; now and then check the equilibrium without noise; stop when verified."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.checkpoint import load_newest
from trainer.exploration import Explore
from trainer.run import Progress, Run
from trainer.segments import Segment, mean_rewards
from trainer.stage.base import Learner
from trainer.stage.equilibrium import Verification
from trainer.stage.payoff import RemotePayoff
from trainer.stage.verify import check_equilibrium

log = logging.getLogger(__name__)

CHECK_ENVS = 4
"""Copies of the noise-free block that a check looks at; the first one is verified, all are logged."""


@dataclass
class StageProgress(Progress):
    """Where a run stands. Environment steps count proposals of checks too.

    Attributes:
        noise_experience: joint actions since the noise was last reset.
        checked_round: the last check's round.
        checked_actions: joint action at the last check, nested lists (N, A), or None.
        converged: whether the last check said so.
    """

    noise_experience: int = 0
    checked_round: int = 0
    checked_actions: list[list[float]] | None = None
    converged: bool = False


@dataclass(kw_only=True)
class Training(Run):
    """A run that looks for an equilibrium."""

    learner: Learner
    payoff: RemotePayoff
    progress: StageProgress = field(default_factory=StageProgress)

    def resume(self) -> bool:
        """Go on from the newest checkpoint; False if there is none."""
        state = load_newest(self.checkpoints)
        if state is None:
            return False
        self.learner.load_state_dict(state["learner"])
        self.progress = StageProgress(**state["progress"])
        return True

    async def run(self) -> str:
        """Train until converged or out of budget; returns which: "converged" or "budget"."""
        resumed = await asyncio.to_thread(self.resume)
        self.track("start", {"epoch": self.epoch, "resumed": resumed})
        started = time.monotonic() - self.progress.seconds
        progress = self.progress
        while not progress.converged:
            await self.publish()
            progress.seconds = time.monotonic() - started
            spent = progress.environment_steps >= self.settings.max_environment_steps
            unchecked = progress.round - progress.checked_round
            if unchecked >= self.settings.check_every or (spent and unchecked):
                await self._check()
            elif spent:
                return self._end("budget")
            else:
                await self._round()
        return self._end("converged")

    async def _round(self) -> None:
        start = time.perf_counter()
        config = self.learner.config
        noise = config.noise_scale(self.progress.round, self.progress.noise_experience)
        explore = Explore(noise, unilateral=config.unilateral_exploration)
        segments = await self._collect(self.settings.blocks_per_round, self.settings.num_envs, explore)
        steps = sum(segment.steps for segment in segments)
        losses = await self.learned(self._learn, segments, steps)
        progress = self.progress
        progress.round += 1
        progress.environment_steps += steps
        self.count(segments)
        progress.noise_experience += steps
        acted = self.acted(segments, self.spec.agents)
        row = {
            "round": progress.round,
            "environment_steps": progress.environment_steps,
            "steps_per_second": steps / (time.perf_counter() - start),
            "rewards": self.named(mean_rewards(segments)),
            "versions": {agent: list(version) for agent, version in acted.items()},
            "noise": noise,
            "losses": losses,
            **self.failures,
        }
        self.track("round", row)

    async def _collect(self, blocks: int, num_envs: int, explore: Explore | None) -> list[Segment]:
        first = self.progress.block
        self.progress.block += blocks
        numbers = range(first, first + blocks)
        return await self.collector.collect(self.spec, numbers, num_envs, self.publisher.versions, explore)

    def _learn(self, segments: list[Segment], steps: int) -> dict[str, float]:
        for segment in segments:
            self.learner.add(segment)
        return self.learner.update(steps)

    async def _check(self) -> None:
        """Look at the equilibrium without noise: converged when verified NashConv is small enough."""
        segment = (await self._collect(1, CHECK_ENVS, None))[-1]
        found, learned = await asyncio.to_thread(
            check_equilibrium, self.learner, segment, self.payoff, self.settings.check_starts
        )
        self.progress.environment_steps += learned
        self.track("check", self._check_row(found))
        self.progress.converged = found.relative <= self.settings.epsilon
        self._unstall(found)
        self.progress.checked_round = self.progress.round
        await asyncio.to_thread(self.save, {})

    def _check_row(self, found: Verification) -> dict[str, Any]:
        return {
            "round": self.progress.round,
            "environment_steps": self.progress.environment_steps,
            "nash_conv": found.nash_conv,
            "nash_conv_estimated": found.estimated,
            "relative": found.relative,
            "relative_estimated": found.relative_estimated,
            "ani": found.ani,
            "payoffs": self.named(found.payoffs),
            "best_response_payoffs": self.named(found.best_response_payoffs),
            "actions": {a: found.actions[i].tolist() for i, a in enumerate(self.spec.agents)},
            "evaluations": found.evaluations,
            "seconds": self.progress.seconds,
        }

    def _unstall(self, found: Verification) -> None:
        """Reset the noise when policies stand still although someone could gain much by deviating."""
        actions = found.actions
        before = self.progress.checked_actions
        self.progress.checked_actions = actions.tolist()
        if before is None or found.relative <= self.settings.stall_nash_conv:
            return
        if float(np.abs(actions - np.asarray(before)).max()) < self.settings.stall_change:
            log.info("stalled at round %d: exploration noise is reset", self.progress.round)
            self.progress.noise_experience = 0

    def _end(self, reason: str) -> str:
        self.judge_failures()
        self.track("end", {"reason": reason, "round": self.progress.round, "seconds": self.progress.seconds})
        return reason
