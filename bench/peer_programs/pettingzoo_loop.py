"""The peer game as PettingZoo's users step it: a ParallelEnv for every copy, a loop over copies and agents.

Needs pettingzoo. ``python -m bench.peer_programs.pettingzoo_loop COPIES``; see ``bench.peer_rules.measure_on_request``.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from bench.peer_rules import ACTIONS, AGENTS, WIDTH, Floats, decide, dynamics, measure_on_request, rewards, weights

NAMES = [f"agent_{i}" for i in range(AGENTS)]


class PeerParallelEnv(ParallelEnv[str, Floats, Floats]):
    """One copy."""

    metadata = {"name": "peer_game_v0"}  # noqa: RUF012  # PettingZoo's own declaration

    def __init__(self) -> None:
        self.possible_agents = self.agents = list(NAMES)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent sees."""
        return spaces.Box(-np.inf, np.inf, (WIDTH,), np.float32)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What it does."""
        return spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        """Start."""
        drawn = np.random.default_rng(seed).normal(size=(AGENTS, WIDTH)).astype(np.float32)
        self._seen = dict(zip(NAMES, drawn, strict=True))
        return self._seen, {name: {} for name in NAMES}

    def step(self, actions: dict[str, Floats]) -> Any:
        """All agents act."""
        self._seen = {name: dynamics(self._seen[name], actions[name]) for name in NAMES}
        earned = {name: float(rewards(actions[name])) for name in NAMES}
        no = dict.fromkeys(NAMES, False)
        return self._seen, earned, no, dict(no), {name: {} for name in NAMES}


def main() -> None:
    """Step all copies in turn."""
    copies = int(sys.argv[1])
    games = [PeerParallelEnv() for _ in range(copies)]
    seen = [game.reset(seed=i)[0] for i, game in enumerate(games)]
    own = {name: weights(i) for i, name in enumerate(NAMES)}

    def step() -> None:
        for i, game in enumerate(games):
            actions = {name: decide(observation, own[name]) for name, observation in seen[i].items()}
            seen[i] = game.step(actions)[0]

    measure_on_request(step, copies)


if __name__ == "__main__":
    main()
