"""What policies earn when they play greedily, on episodes that nobody learns from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.failures import Failures
from agora.files import replacing
from agora.v1 import policy_pb2
from trainer.collector import Collector, Version
from trainer.segments import count_episodes, episode_returns
from trainer.spec import GameSpec

SEED: Final = 2**63
"""An experiment's seed is smaller, so that no run learns from these episodes and all runs are judged by the same."""


@dataclass(frozen=True)
class Evaluator:
    """Greedy play of fixed episodes.

    Attributes:
        collector: keyed by ``SEED``; asks for outcomes only.
        spec: the game that returns are reported on.
        episodes: how many.
        num_envs: copies stepped together.
    """

    collector: Collector
    spec: GameSpec
    episodes: int
    num_envs: int

    async def returns(self, versions: Mapping[str, Version]) -> tuple[NDArray[np.float64], Failures]:
        """Undiscounted returns of every episode, float64 (episodes, N), NaN of those that failed; and which did.

        Args:
            versions: which policies play, per agent that has versions.

        Raises:
            Refused: an agent service refused to act.
            Unavailable: processes stayed down.
        """
        copies = min(self.num_envs, self.episodes)
        blocks = range(-(-self.episodes // copies))
        segments = await self.collector.collect(self.spec, blocks, copies, versions, None)
        failures = Failures()
        count_episodes(segments, failures)
        return episode_returns(segments)[: self.episodes], failures


def summarised(agents: Sequence[str], returns: NDArray[np.float64]) -> dict[str, Any]:
    """Means over episodes and their standard errors, as a row of metrics.

    Args:
        agents: ids.
        returns: float64 (episodes, N); rows of NaN are episodes that failed, and do not count.
    """
    returns = returns[np.isfinite(returns).all(axis=1)]
    both = returns.mean(axis=1)
    return {
        "episodes": len(returns),
        "returns": dict(zip(agents, returns.mean(axis=0).tolist(), strict=True)),
        "standard_errors": dict(zip(agents, standard_error(returns).tolist(), strict=True)),
        "mean": float(both.mean()),
        "standard_error": float(standard_error(both)),
    }


def standard_error(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean over the first axis; 0 where there is one value only."""
    count = len(values)
    spread = values.std(axis=0, ddof=1) if count > 1 else np.zeros(values.shape[1:])
    return np.asarray(spread / np.sqrt(count))


def check_same_spaces(learned: GameSpec, evaluated: GameSpec) -> None:
    """Refuse a game in which the learned policies cannot play.

    Raises:
        Refused: it has other agents, or one of them sees or does something else.
    """
    field = "training.evaluation.environment"
    if learned.agents != evaluated.agents:
        expected = f"the agents of {learned.name}: {', '.join(learned.agents)}"
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, ", ".join(evaluated.agents))
    for kind in ("observation", "action"):
        pairs = zip(getattr(learned, f"{kind}_spaces"), getattr(evaluated, f"{kind}_spaces"), strict=True)
        for agent, (mine, theirs) in zip(learned.agents, pairs, strict=True):
            if mine != theirs:
                expected = f"the {kind} space of {agent} in {learned.name}, {mine}"
                raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, str(theirs))


def write_returns(path: Path, agents: Sequence[str], evaluations: Sequence[Mapping[str, Any]]) -> None:
    """Write evaluations as CSV: steps, episodes, the mean over agents, each agent's mean, standard errors, seconds.

    Args:
        path: the file; replaced whole.
        agents: ids.
        evaluations: rows of metrics.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    own = [name for agent in agents for name in (agent, f"{agent} standard error")]
    names = ["environment_steps", "episodes", "mean", "standard error", *own, "seconds", "learner_cpu_seconds"]
    rows.writerow([*names, "failed episodes"])
    for row in evaluations:
        pairs = [value for agent in agents for value in (row["returns"][agent], row["standard_errors"][agent])]
        first = [row[name] for name in ("environment_steps", "episodes", "mean", "standard_error")]
        rows.writerow(
            [
                *first,
                *pairs,
                round(row["seconds"], 3),
                round(row["learner_cpu_seconds"], 3),
                row.get("failed_episodes", 0),
            ]
        )
    with replacing(path) as draft:
        draft.write_text(text.getvalue())
