"""A session as a ``pettingzoo.ParallelEnv``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingzoo import ParallelEnv

from agora.clients.driver import Driver, Shown
from agora.clients.values import join, one
from agora.clients.view import Seeds, View
from agora.errors import Refused
from agora.spaces import Space
from agora.v1 import policy_pb2

Told = tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class AgoraParallelEnv(ParallelEnv[str, Any, Any]):
    """All driven agents at once; in games of turns only the actions of those that are awaited count.

    ``infos[agent]["action_mask"]`` is what ``action_space(agent).sample`` takes, in games that have masks, and
    ``infos[agent]["awaited"]`` says whether the next step needs its action; that of others may be left out.
    """

    def __init__(self, driver: Driver) -> None:
        self.metadata: dict[str, Any] = {"name": driver.name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = list(driver.agents)
        self.agents: list[str] = []
        self.observation_spaces, self.action_spaces = driver.observation_spaces, driver.action_spaces
        self.state_space = driver.state_space
        self._driver, self._seeds = driver, Seeds()
        self._views = {agent: View(driver, agent) for agent in driver.agents}
        self._shown: Shown | None = None

    def observation_space(self, agent: str) -> Space:
        """What an agent sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        """What an agent may do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode; without a seed, one that follows from the last seed given."""
        self._shown = shown = self._driver.reset(self._seeds.next(seed))
        self.agents = self._alive(shown)
        return self._seen(self.agents, shown), self._infos(self.agents, shown)

    def step(self, actions: Mapping[str, Any]) -> Told:
        """Act; agents whose part has ended are told once more and then leave ``agents``.

        Raises:
            Refused: an action is missing or wrong, or nobody has that id; nothing has changed then.
        """
        shown = self._driver.step(self._packed(actions))
        here = self.agents + [agent for agent in self._alive(shown) if agent not in self.agents]
        told = (
            self._seen(here, shown),
            {agent: float(shown.rewards[0, self._views[agent].column]) for agent in here},
            {agent: bool(shown.terminated[0, self._views[agent].column]) for agent in here},
            {agent: bool(shown.truncated[0, self._views[agent].column]) for agent in here},
            self._infos(here, shown),
        )
        self._shown, self.agents = shown, [agent for agent in here if not (told[2][agent] or told[3][agent])]
        return told

    def _packed(self, actions: Mapping[str, Any]) -> dict[str, Any]:
        for agent in actions:
            if agent not in self._views:
                raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "actions", str(self.possible_agents), repr(agent))
        packed = {}
        for agent, view in self._views.items():
            if self._shown is not None and self._shown.awaited[0, view.column]:
                if agent not in actions:
                    raise Refused(policy_pb2.REASON_SHAPE, f"{agent}.action", "an action: it is awaited", "none")
                packed[agent] = view.pack(actions[agent])
        return packed

    def _alive(self, shown: Shown) -> list[str]:
        return [agent for agent, view in self._views.items() if shown.alive[0, view.column]]

    def _seen(self, agents: list[str], shown: Shown) -> dict[str, Any]:
        return {agent: self._views[agent].observation(shown) for agent in agents}

    def _infos(self, agents: list[str], shown: Shown) -> dict[str, dict[str, Any]]:
        return {
            agent: {**self._views[agent].info(shown), "awaited": bool(shown.awaited[0, self._views[agent].column])}
            for agent in agents
        }

    def state(self) -> Any:
        """The global state, in ``state_space``.

        Raises:
            Refused: nothing was reset yet.
        """
        return state_of(self.state_space, self._shown)

    def close(self) -> None:
        """End the session."""
        self._driver.close()


def state_of(space: Space, shown: Shown | None) -> Any:
    """The only copy's global state."""
    if shown is None:
        raise Refused(policy_pb2.REASON_NOT_READY, "state", "a reset first", "none")
    return join(space, iter([one(array) for array in shown.state]))
