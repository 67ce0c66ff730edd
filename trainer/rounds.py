"""Collections of a run's rounds: the one that is learned from, and perhaps the next one under way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainer.collector import Collector, Version
from trainer.exploration import Explore
from trainer.segments import Segment
from trainer.settings import TrainingSettings
from trainer.spec import GameSpec


@dataclass(frozen=True)
class Order:
    """A round to be collected. Asked for again, it gives the same trajectories.

    Attributes:
        block: the first block's number.
        versions: who acts, per learning agent.
        explore: how.
    """

    block: int
    versions: Mapping[str, Version]
    explore: Explore

    def to_json(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"block": self.block, "versions": dict(self.versions), "explore": asdict(self.explore)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Order:
        """What ``to_json`` gave."""
        versions = {agent: (int(epoch), int(step)) for agent, (epoch, step) in values["versions"].items()}
        return cls(int(values["block"]), versions, Explore(**values["explore"]))


class Rounds:
    """Collects rounds; at most one is under way.

    Attributes:
        under_way: what was asked for and not taken yet.
    """

    def __init__(self, collector: Collector, spec: GameSpec, settings: TrainingSettings, newest: bool) -> None:
        """Nothing is asked for yet.

        Args:
            collector: plays blocks.
            spec: the game.
            settings: how many blocks and copies make a round.
            newest: whether the newest versions must act, not exactly those ordered.
        """
        self.under_way: Order | None = None
        self._collector = collector
        self._spec = spec
        self._settings = settings
        self._newest = newest
        self._task: asyncio.Task[list[Segment]] | None = None

    def ask(self, order: Order) -> None:
        """Begin a round."""
        blocks = range(order.block, order.block + self._settings.blocks_per_round)
        playing = self._collector.collect(
            self._spec, blocks, self._settings.num_envs, order.versions, order.explore, self._newest
        )
        self.under_way, self._task = order, asyncio.create_task(playing)

    async def take(self) -> tuple[Order, list[Segment]]:
        """Wait for the round that is under way.

        Raises:
            RuntimeError: none is.
            Refused, Unavailable: see ``Collector.collect``.
        """
        if self._task is None or self.under_way is None:
            raise RuntimeError("take: expected a round under way, got none")
        order, segments = self.under_way, await self._task
        self.under_way, self._task = None, None
        return order, segments

    async def close(self) -> None:
        """Give up what is under way, and hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._collector.close()
