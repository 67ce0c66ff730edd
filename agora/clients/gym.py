"""A session as a ``gymnasium.Env`` for one agent."""

from __future__ import annotations

from typing import Any

import gymnasium

from agora.clients.driver import Driver
from agora.clients.view import View


class AgoraEnv(gymnasium.Env[Any, Any]):
    """One agent among others that agent services play; a step lasts until it is awaited again.

    ``info["action_mask"]`` is what ``action_space.sample`` takes, in games that have masks. The episode ends with the
    agent's part in it.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012, Gymnasium's own declaration

    def __init__(self, driver: Driver) -> None:
        self._driver, self._view = driver, View(driver, driver.agents[0])
        self.observation_space, self.action_space = self._view.observation_space, self._view.action_space
        self.render_mode = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode with a seed, or with one drawn from ``np_random``."""
        super().reset(seed=seed)
        shown = self._driver.reset(int(self.np_random.integers(2**63)) if seed is None else seed)
        return self._view.observation(shown), self._view.info(shown)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act.

        Raises:
            Refused: the action is wrong, or a service failed; nothing has changed then.
        """
        shown = self._driver.step({self._view.agent: self._view.pack(action)})
        terminated, truncated = bool(shown.terminated[0, 0]), bool(shown.truncated[0, 0])
        return self._view.observation(shown), float(shown.rewards[0, 0]), terminated, truncated, self._view.info(shown)

    def close(self) -> None:
        """End the session."""
        self._driver.close()
