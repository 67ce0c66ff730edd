"""One copy of a PettingZoo environment, parallel or turn-based, behind one interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pettingzoo.utils.env import AECEnv, ParallelEnv

MASK = "action_mask"


class Unfit(ValueError):
    """An environment broke its own promises.

    Attributes:
        agent: whose observation, reward or mask it is.
    """

    def __init__(self, agent: str, message: str) -> None:
        super().__init__(message)
        self.agent = agent


@dataclass
class Moment:
    """What one copy shows after a reset or step; agents are numbers.

    Attributes:
        observations: of those for whom there is a new one.
        masks: of legal actions, as the environment gives them.
        rewards: earned in this step.
        terminated, truncated: whose part ended in this step.
        alive: who takes part now.
        awaited: whose action the next step needs.
    """

    observations: dict[int, Any] = field(default_factory=dict)
    masks: dict[int, Any] = field(default_factory=dict)
    rewards: dict[int, float] = field(default_factory=dict)
    terminated: set[int] = field(default_factory=set)
    truncated: set[int] = field(default_factory=set)
    alive: list[int] = field(default_factory=list)
    awaited: list[int] = field(default_factory=list)


class Copy(Protocol):
    """One copy.

    Attributes:
        environment: the PettingZoo environment.
        concerned: the agent with which the environment is busy, for messages.
    """

    environment: Any
    concerned: str

    def reset(self, seed: int) -> Moment:
        """Start an episode; whatever the environment raises comes through."""
        ...

    def step(self, actions: Mapping[int, Any]) -> Moment:
        """Act for all who are awaited; whatever the environment raises comes through."""
        ...


def copy_of(environment: Any) -> Copy:
    """The environment as a copy.

    Raises:
        TypeError: it is not a PettingZoo environment.
    """
    from pettingzoo.utils.env import AECEnv, ParallelEnv  # a server does without it until somebody asks for one

    match environment:
        case ParallelEnv():
            return ParallelCopy(environment)
        case AECEnv():
            return TurnsCopy(environment)
    raise TypeError(f"expected a ParallelEnv or an AECEnv, got {type(environment).__name__}")


def _numbers(environment: Any) -> dict[Any, int]:
    return {agent: number for number, agent in enumerate(environment.possible_agents)}


def _mask(observation: Any, info: Mapping[str, Any]) -> Any:
    if MASK in info:
        return info[MASK]
    return observation.get(MASK) if isinstance(observation, Mapping) else None


class ParallelCopy:
    """All living agents act at once."""

    def __init__(self, environment: ParallelEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.concerned = ""
        self._numbers = _numbers(environment)
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
                mask = _mask(observation, infos.get(agent) or {})
                if mask is not None:
                    moment.masks[number] = mask
        self._alive = moment.alive
        self._ended = over | moment.terminated
        return moment


class TurnsCopy:
    """One agent acts at a time; the agents that have ended are stepped out of the environment in between."""

    def __init__(self, environment: AECEnv[Any, Any, Any]) -> None:
        self.environment = environment
        self.concerned = ""
        self._numbers = _numbers(environment)
        self._ended: set[int] = set()

    def reset(self, seed: int) -> Moment:
        """See ``Copy.reset``."""
        self.concerned = ""
        self._ended.clear()
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
        if living:
            moment.awaited = [self._turn(living)]
        return moment

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
            mask = _mask(observation, self.environment.infos.get(agent) or {})
            if mask is not None:
                moment.masks[number] = mask
