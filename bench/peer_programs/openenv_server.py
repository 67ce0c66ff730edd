"""The peer game as an OpenEnv environment, all copies in one session as JSON lists. Needs openenv-core and numpy.

``python -m bench.peer_programs.openenv_server COPIES PORT``.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import uvicorn
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from bench.peer_rules import dynamics, rewards, start

COPIES, PORT = int(sys.argv[1]), int(sys.argv[2])
Lists = list[list[list[float]]]


class PeerAction(Action):
    """Actions (4, B, 8)."""

    actions: Lists


class PeerObservation(Observation):
    """What the agents see (4, B, 32), and earned (4, B)."""

    observations: Lists
    rewards: list[list[float]] = Field(default_factory=list)


class PeerEnvironment(Environment[PeerAction, PeerObservation, State]):
    """All copies of the game."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> PeerObservation:
        """Start."""
        self._seen = start(COPIES)
        return PeerObservation(observations=self._seen.tolist())

    def step(self, action: PeerAction, timeout_s: float | None = None, **more: Any) -> PeerObservation:
        """All agents act."""
        played = np.asarray(action.actions, np.float32)
        self._seen = dynamics(self._seen, played)
        return PeerObservation(observations=self._seen.tolist(), rewards=rewards(played).tolist())

    @property
    def state(self) -> State:
        """Nothing that matters here."""
        return State()


if __name__ == "__main__":
    app = create_fastapi_app(PeerEnvironment, PeerAction, PeerObservation, max_concurrent_envs=4)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error")
