"""One copy of a parallel environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from env_server.environments.pettingzoo.moment import Moment, mask_in, numbers_of

if TYPE_CHECKING:
    from pettingzoo.utils.env import ParallelEnv


class ParallelCopy:
    """All living agents act at once."""

    def __init__(self, environment: ParallelEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.concerned = ""
        self._numbers = numbers_of(environment)
        self._alive: list[int] = []
        self._ended: set[int] = set()

    def reset(self, seed: int) -> Moment:
        """See ``Copy.reset``."""
        self._ended.clear()
        self._alive = []
        seen, infos = self.environment.reset(seed=seed)
        return self._show(Moment(), seen, infos)

    def step(self, actions: Mapping[int, Any]) -> Moment:
        """See ``Copy.step``."""
        numbered = ((agent, self._numbers[agent]) for agent in self.environment.agents)
        said = {agent: actions[number] for agent, number in numbered if number in actions}
        seen, rewards, terminated, truncated, infos = self.environment.step(said)
        moment = Moment(
            rewards={self._numbers[agent]: reward for agent, reward in rewards.items()},
            terminated=self._those(terminated),
            truncated=self._those(truncated),
        )
        return self._show(moment, seen, infos)

    def _those(self, flags: Mapping[Any, Any]) -> set[int]:
        return {self._numbers[agent] for agent, flag in flags.items() if flag} - self._ended

    def _show(self, moment: Moment, seen: Mapping[Any, Any], infos: Mapping[Any, Any]) -> Moment:
        present = [self._numbers[agent] for agent in self.environment.agents]
        over = self._ended | moment.terminated | moment.truncated
        # Whoever leaves without a word earns nothing any more: for a learner that is an end by the rules.
        moment.terminated |= set(self._alive) - set(present) - over
        moment.alive = moment.awaited = [number for number in present if number not in over]
        for agent, observation in seen.items():
            number = self._numbers[agent]
            if number not in self._ended:
                moment.observations[number] = observation
                mask = mask_in(observation, infos.get(agent) or {})
                if mask is not None:
                    moment.masks[number] = mask
        self._alive = moment.alive
        self._ended = over | moment.terminated
        return moment
