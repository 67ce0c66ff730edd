"""A session as a ``pettingzoo.AECEnv``."""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv

from agora.clients.driver import Driver, Shown
from agora.clients.parallel import state_of
from agora.clients.values import Array
from agora.clients.view import Seeds, View
from agora.errors import Refused
from agora.spaces import Space
from agora.v1 import policy_pb2


class AgoraAECEnv(AECEnv[str, Any, Any]):
    """Driven agents one after the other: those that are awaited act in their order, then the game takes a step.

    ``infos[agent]["action_mask"]`` is what ``action_space(agent).sample`` takes, in games that have masks.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.metadata: dict[str, Any] = {"name": driver.name, "render_modes": [], "is_parallelizable": True}
        self.render_mode = None
        self.possible_agents = list(driver.agents)
        self.agent_selection = ""
        self.observation_spaces, self.action_spaces = driver.observation_spaces, driver.action_spaces
        self.state_space = driver.state_space
        self._driver, self._seeds = driver, Seeds()
        self._views = {agent: View(driver, agent) for agent in driver.agents}
        self._shown: Shown | None = None
        self._said: dict[str, list[Array]] = {}
        self._empty()

    def _empty(self) -> None:
        self.agents: list[str] = []
        self.rewards: dict[str, float] = {}
        self._cumulative_rewards: dict[str, float] = {}
        self.terminations: dict[str, bool] = {}
        self.truncations: dict[str, bool] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self._skip_agent_selection: str | None = None

    def observation_space(self, agent: str) -> Space:
        """What an agent sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        """What an agent may do."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start an episode; without a seed, one that follows from the last seed given."""
        self._shown = shown = self._driver.reset(self._seeds.next(seed))
        self._said = {}
        self._empty()
        self._welcome(shown)
        self._select(shown)

    def step(self, action: Any) -> None:
        """Act for ``agent_selection``; None for one whose part has ended.

        Raises:
            Refused: the action is wrong, or a service failed; the same agent may act again.
        """
        agent = self.agent_selection
        if agent not in self.terminations:
            raise Refused(policy_pb2.REASON_NOT_READY, "step", "a reset", "a step without agents")
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        said = {**self._said, agent: self._views[agent].pack(action)}
        if self._shown is None or not self._waiting(self._shown, said):
            self._play(said)
        else:
            self._cumulative_rewards[agent] = 0.0
            self._clear_rewards()
            self._said = said
            self._select(self._shown)

    def _play(self, said: dict[str, list[Array]]) -> None:
        shown = self._driver.step(said)
        self._cumulative_rewards[self.agent_selection] = 0.0
        self._shown, self._said = shown, {}
        self._welcome(shown)
        for agent in self.agents:
            view = self._views[agent]
            self.rewards[agent] = float(shown.rewards[0, view.column])
            self.terminations[agent] = bool(shown.terminated[0, view.column])
            self.truncations[agent] = bool(shown.truncated[0, view.column])
            self.infos[agent] = view.info(shown)
        self._accumulate_rewards()
        self._select(shown)
        self._deads_step_first()

    def _welcome(self, shown: Shown) -> None:
        """Let those in who take part now."""
        for agent, view in self._views.items():
            if shown.alive[0, view.column] and agent not in self.agents:
                self.agents.append(agent)
                self.rewards[agent] = self._cumulative_rewards[agent] = 0.0
                self.terminations[agent] = self.truncations[agent] = False
                self.infos[agent] = view.info(shown)

    def _waiting(self, shown: Shown, said: dict[str, list[Array]]) -> list[str]:
        """Who is awaited and has not acted."""
        awaited = [agent for agent, view in self._views.items() if shown.awaited[0, view.column]]
        return [agent for agent in awaited if agent not in said]

    def _select(self, shown: Shown) -> None:
        waiting = self._waiting(shown, self._said)
        self.agent_selection = waiting[0] if waiting else next(iter(self.agents), "")

    def observe(self, agent: str) -> Any:
        """What an agent sees now."""
        return None if self._shown is None else self._views[agent].observation(self._shown)

    def state(self) -> Any:
        """The global state, in ``state_space``.

        Raises:
            Refused: nothing was reset yet.
        """
        return state_of(self.state_space, self._shown)

    def close(self) -> None:
        """End the session."""
        self._driver.close()
