"""Plays fixed episodes with given policies, through the services: an environment server, and a service per policy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.processes import Service
from experiments.stored import ACTORS, RESULTS, Played, Training, summary
from trainer.collector import Collector
from trainer.evaluation import SEED, Evaluator

COPIES: Final = 100
"""Episodes side by side."""
DEADLINE_SECONDS: Final = 60.0


class Table:
    """Where policies meet. As a context, its processes end with it; each is started when it is first needed."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._services: dict[str, Service] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def play(
        self,
        environment: str,
        config: Mapping[str, Any],
        policies: Mapping[str, str],
        episodes: int,
        seed: int = SEED,
    ) -> Played:
        """Play episodes, the same ones at every call with a seed.

        Args:
            environment: the game's name.
            config: its configuration.
            policies: per agent "scripted:NAME" or "market:STYLE" with " KEY=VALUE" for every parameter, or the file
                name of a kept actor.
            episodes: how many.
            seed: of the episodes; by default those on which learners are evaluated while they learn.
        """
        returns = asyncio.run(self._returns(environment, config, policies, episodes, seed))
        players = {agent: "trained" if policy.endswith(".onnx") else policy for agent, policy in policies.items()}
        return Played(
            environment=environment,
            config=dict(config),
            episodes=episodes,
            players=players,
            **summary(list(policies), returns),
        )

    async def _returns(
        self, environment: str, config: Mapping[str, Any], policies: Mapping[str, str], episodes: int, seed: int
    ) -> NDArray[np.float64]:
        self._start(
            {"": ("env_server", ()), **{policy: ("agent_services", _flags(policy)) for policy in policies.values()}}
        )
        seats = {agent: [self._services[policy].address] for agent, policy in policies.items()}
        collector = Collector(
            [self._services[""].address],
            seats,
            run="match",
            seed=seed,
            deadline=DEADLINE_SECONDS,
            patience=DEADLINE_SECONDS,
            log=False,
            outcomes_only=True,
        )
        try:
            spec = await collector.describe(environment, json.dumps(config))
            returns, failures = await Evaluator(collector, spec, episodes, COPIES).returns({})
            if failures.failed:
                raise RuntimeError(str(failures))
            return returns
        finally:
            await collector.close()

    def _start(self, wanted: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        """Start what does not run yet, all at once."""
        missing = {key: how for key, how in wanted.items() if key not in self._services}
        for key, (module, flags) in missing.items():
            service = Service(module, flags)
            self._stack.callback(service.stop)
            self._services[key] = service.start(wait=False)
        for key in missing:
            self._services[key].wait()


def _flags(policy: str) -> tuple[str, ...]:
    if policy.endswith(".onnx"):
        return "--policy", "onnx", "--model", str(RESULTS / ACTORS / policy)
    name, *parameters = policy.split()
    return "--policy", name, *(word for parameter in parameters for word in ("--parameter", parameter))


def play_again(table: Table, training: Training, episodes: int | None = None, seed: int = SEED) -> Played:
    """Evaluate a stored run's last policies anew, in the game and (by default) the episodes of then."""
    final = training.final
    return table.play(final.environment, final.config, training.actors, episodes or final.episodes, seed)
