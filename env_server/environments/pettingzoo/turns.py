"""One copy of a turn-based environment (AEC)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from env_server.environments.pettingzoo.moment import Moment, Unfit, mask_in, numbers_of

if TYPE_CHECKING:
    from pettingzoo.utils.env import AECEnv


class TurnsCopy:
    """One agent acts at a time; the agents that have ended are stepped out of the environment in between."""

    def __init__(self, environment: AECEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.concerned = ""
        self._numbers = numbers_of(environment)
        self._alive: list[int] = []
        self._ended: set[int] = set()

    def reset(self, seed: int) -> Moment:
        """See ``Copy.reset``."""
        self.concerned = ""
        self._ended.clear()
        self._alive = []
        self.environment.reset(seed=seed)
        return self._settle(Moment())

    def step(self, actions: Mapping[int, Any]) -> Moment:
        """See ``Copy.step``."""
        moment, agent = Moment(), self.environment.agent_selection
        self.concerned = str(agent)
        self.environment.step(actions[self._numbers[agent]])
        self._earn(moment)
        return self._settle(moment)

    def _settle(self, moment: Moment) -> Moment:
        """Step out the ended agents whose turn it is, and show what the others see."""
        environment = self.environment
        self._end(moment)
        for _ in self._numbers:
            if not environment.agents or not self._has_ended(environment.agent_selection):
                break
            self.concerned = str(environment.agent_selection)
            environment.step(None)  # how PettingZoo removes an agent that has ended
            self._earn(moment)
            self._end(moment)
        living = [agent for agent in environment.agents if not self._has_ended(agent)]
        self._observe(moment, living)
        moment.alive = [self._numbers[agent] for agent in living]
        self._miss(moment)
        if living:
            moment.awaited = [self._turn(living)]
        return moment

    def _miss(self, moment: Moment) -> None:
        """Note who has left ``agents`` without having been seen to end."""
        flags = {self._numbers[agent]: flag for agent, flag in self.environment.truncations.items()}
        for number in set(self._alive) - set(moment.alive) - self._ended:
            # Whoever leaves without a word earns nothing any more: for a learner that is an end by the rules.
            (moment.truncated if flags.get(number) else moment.terminated).add(number)
            self._ended.add(number)
        self._alive = moment.alive

    def _turn(self, living: Sequence[Any]) -> int:
        agent = self.environment.agent_selection
        if agent not in living:
            raise Unfit(str(agent), f"agent_selection: expected one of {living}, got {agent!r}")
        return self._numbers[agent]

    def _has_ended(self, agent: Any) -> bool:
        return self._numbers[agent] in self._ended

    def _earn(self, moment: Moment) -> None:
        for agent, reward in self.environment.rewards.items():
            number = self._numbers[agent]
            moment.rewards[number] = moment.rewards.get(number, 0.0) + reward

    def _end(self, moment: Moment) -> None:
        """Note who has ended, and what they saw last: when they are stepped out that is gone."""
        environment = self.environment
        news = []
        for agent in environment.agents:
            terminated, truncated = environment.terminations.get(agent), environment.truncations.get(agent)
            if (terminated or truncated) and not self._has_ended(agent):
                (moment.terminated if terminated else moment.truncated).add(self._numbers[agent])
                if terminated and truncated:
                    moment.truncated.add(self._numbers[agent])
                news.append(agent)
        self._observe(moment, news)
        self._ended |= {self._numbers[agent] for agent in news}

    def _observe(self, moment: Moment, agents: Iterable[Any]) -> None:
        for agent in agents:
            self.concerned = str(agent)
            observation = self.environment.observe(agent)
            # Some environments show agents nothing while it is not their turn.
            if observation is None and agent != self.environment.agent_selection:
                continue
            number = self._numbers[agent]
            moment.observations[number] = observation
            mask = mask_in(observation, self.environment.infos.get(agent) or {})
            if mask is not None:
                moment.masks[number] = mask
