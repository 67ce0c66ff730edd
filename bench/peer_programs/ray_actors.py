"""The peer game with agents as Ray actors. Needs ray.

``python -m bench.peer_programs.ray_actors COPIES ACTORS``: one actor that decides for all agents, or one for each; see
``bench.peer_rules.measure_on_request``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import ray

from bench.peer_rules import AGENTS, Floats, decide, dynamics, measure_on_request, rewards, start, weights


@ray.remote
class Mind:
    """Decides for some agents."""

    def __init__(self, agents: Sequence[int]) -> None:
        self._own = [weights(agent) for agent in agents]

    def act(self, observations: Floats) -> Floats:
        """Actions (agents, B, 8) for observations (agents, B, 32)."""
        return np.stack([decide(seen, own) for seen, own in zip(observations, self._own, strict=True)])


def main() -> None:
    """Step against actors."""
    copies, actors = int(sys.argv[1]), int(sys.argv[2])
    ray.init(num_cpus=actors, include_dashboard=False, log_to_driver=False, logging_level="error")
    groups = np.array_split(np.arange(AGENTS), actors)
    minds = [Mind.options(num_cpus=1).remote(group.tolist()) for group in groups]
    seen = start(copies)

    def step() -> None:
        nonlocal seen
        answers = ray.get([mind.act.remote(seen[group]) for mind, group in zip(minds, groups, strict=True)])
        actions = np.concatenate(answers)
        rewards(actions)
        seen = dynamics(seen, actions)

    measure_on_request(step, copies)


if __name__ == "__main__":
    main()
