"""A session of many copies as a ``gymnasium.vector.VectorEnv`` for one agent."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agora.clients.driver import Driver, Shown
from agora.clients.values import join, mask
from agora.clients.view import View
from agora.errors import Refused
from agora.v1 import policy_pb2

Told = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class AgoraVectorEnv(VectorEnv[Any, Any, Any]):
    """One agent in all copies of a game; copies whose episode has ended start again within the same step.

    Copy i of an episode is what (seed, i) makes it: copy 0 goes as a ``gym_env`` that was reset with the same seed.
    Copies that end together start again with one seed drawn from ``np_random``. ``infos["final_obs"]`` and
    ``infos["final_info"]`` hold the ends, as in Gymnasium's own vectors of mode SAME_STEP.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver, self._view = driver, View(driver, driver.agents[0])
        self.num_envs = driver.num_envs
        self.metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = self._view.observation_space
        self.single_action_space = self._view.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every copy, with a seed or with one drawn from ``np_random``.

        Raises:
            Refused: it is a game of turns, in which a running copy may not await the agent.
        """
        super().reset(seed=seed)
        shown = self._driver.reset(self._draw() if seed is None else seed)
        self._check(shown)
        return self._view.observations(shown), self._info(shown)

    def step(self, actions: Any) -> Told:
        """Act in every copy.

        Raises:
            Refused: an action is wrong, or a service failed; nothing has changed then.
        """
        shown = self._driver.step({self._view.agent: self._view.pack(actions, self.num_envs)})
        rewards, terminated = shown.rewards[:, 0].copy(), shown.terminated[:, 0].copy()
        truncated = shown.truncated[:, 0].copy()
        ended = np.flatnonzero(terminated | truncated)
        infos: dict[str, Any] = {}
        if len(ended):
            infos = self._ends(shown, ended)
            some = len(ended) < self.num_envs
            shown = self._driver.reset(self._draw(), ended if some else None)
        self._check(shown)
        return self._view.observations(shown), rewards, terminated, truncated, infos | self._info(shown)

    def _draw(self) -> int:
        return int(self.np_random.integers(2**63))

    def _check(self, shown: Shown) -> None:
        if not shown.awaited.all():
            expected = f"a game that awaits {self._view.agent} in all copies at every step: others have gym_env"
            got = f"copies {np.flatnonzero(~shown.awaited[:, 0])[:8].tolist()} do not"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "environment", expected, got)

    def _info(self, shown: Shown) -> dict[str, Any]:
        """Legal-action masks of all copies, as Gymnasium gathers infos."""
        masks = shown.masks[self._view.column]
        if not masks:
            return {}
        every = np.ones(self.num_envs, np.bool_)
        return {"action_mask": mask(self.single_action_space, iter(masks), whole=True), "_action_mask": every}

    def _ends(self, shown: Shown, ended: NDArray[np.intp]) -> dict[str, Any]:
        """What ended copies showed last."""
        last = np.full(self.num_envs, None, object)
        for copy in ended:
            arrays = (np.array(array[copy]) for array in shown.observations[self._view.column])
            last[copy] = join(self.single_observation_space, arrays)
        which = np.zeros(self.num_envs, np.bool_)
        which[ended] = True
        return {
            "final_obs": last,
            "_final_obs": which,
            "final_info": {key: value for key, value in self._info(shown).items() if key != "_action_mask"}
            | ({"_action_mask": which} if shown.masks[self._view.column] else {}),
            "_final_info": which.copy(),
        }

    def close_extras(self, **kwargs: Any) -> None:
        """End the session."""
        self._driver.close()
