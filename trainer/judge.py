"""Asks what greedy policies do in the end, and whether anybody would gain by choosing otherwise alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from trainer.collector import Collector, Version
from trainer.pure import Verdict, pure_verdict
from trainer.spec import GameSpec
from trainer.stage.payoff import RemotePayoff


def can_judge(spec: GameSpec) -> bool:
    """Whether a game can evaluate joint actions and all of them are single choices."""
    return spec.has_payoff and all(isinstance(space, spaces.Discrete) for space in spec.action_spaces)


@dataclass(frozen=True)
class Judge:
    """Judges greedy policies of a game that ``can_judge`` has nothing against."""

    collector: Collector
    payoff: RemotePayoff
    spec: GameSpec

    async def verdict(self, versions: Mapping[str, Version]) -> Verdict:
        """On what the policies of these versions do greedily in the last step of an episode."""
        segment = (await self.collector.collect(self.spec, [0], 1, versions, None))[-1]
        actions = np.array([part.action[""][-1, 0] for part in segment.agents], np.int64)
        return await asyncio.to_thread(pure_verdict, self.payoff, self.spec, actions)

    async def close(self) -> None:
        """Hang up."""
        self.payoff.close()
        await self.collector.close()
