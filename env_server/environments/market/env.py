"""An order-book market as an environment: in one step every agent and every scripted trader acts once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import IllegalAction
from agora.market.choices import MAKER_CHOICES, TRADER_CHOICES
from agora.randomness import generator
from env_server.environments.base import EnvironmentConfig, Step, Values, check_reset
from env_server.environments.market import views
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.kernels import compiled
from env_server.environments.market.shown import Shown, blank, info, masks, observations, state
from env_server.environments.market.state import agents_of, opened

Integers = NDArray[np.int64]
WHOLE: Final = np.dtype(np.int64)


class Market:
    """B copies of an order-book market with N seats among scripted traders.

    Makers are called ``maker_0``, ..., traders ``trader_0``, .... A maker chooses its bid, its ask and their size,
    ``seats.MAKER_CHOICES``; a trader what to do, on which side, at which price and size, ``seats.TRADER_CHOICES``; see
    ``seats`` for what choices mean and ``views`` for what is seen. Rewards are changes of cash and shares at the middle
    price, in ticks times lots, less ``inventory_penalty``. All agents are awaited in every step; after ``steps`` all
    are truncated. What an agent asks for and the market rejects changes nothing but its ``own`` observation.
    """

    Config: ClassVar[type[EnvironmentConfig]] = MarketConfig

    def __init__(self, config: MarketConfig, num_envs: int) -> None:
        """Prepare the market.

        Raises:
            ValueError: num_envs is not positive.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        makers = [f"maker_{i}" for i in range(config.makers)]
        self.agents = (*makers, *(f"trader_{i}" for i in range(config.traders)))
        self._choices = [MAKER_CHOICES] * config.makers + [TRADER_CHOICES] * config.traders
        self._fresh = opened(config, 1)
        self._spaces()
        self.facts: Mapping[str, Any] = {"market": {"tick": 0.01, "opening": config.worth.mean, "steps": config.steps}}
        self._markets = np.repeat(self._fresh, num_envs)
        self._actions: Integers = np.zeros((num_envs, config.seats, max(map(len, self._choices))), np.int64)
        self._asked = np.zeros((num_envs, config.seats, 1), np.int64) if config.flat else self._actions
        self._places = [
            self._asked[:, seat, 0 if config.flat else slice(len(choices))]
            for seat, choices in enumerate(self._choices)
        ]
        self._limits = np.ones(self._asked.shape[1:], np.uint64)
        for limits, choices in zip(self._limits, self._choices, strict=True):
            limits[: 1 if config.flat else len(choices)] = math.prod(choices) if config.flat else choices
        self._all = {whether: np.full((num_envs, config.seats), whether) for whether in (False, True)}
        for flags in self._all.values():
            flags.setflags(write=False)  # Every step has the same.
        self._step = config.steps

    def _spaces(self) -> None:
        """Build the spaces."""
        seen = views.space_of(views.observed(self.config))
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {
            agent: spaces.Discrete(math.prod(choices)) if self.config.flat else spaces.MultiDiscrete(list(choices))
            for agent, choices in zip(self.agents, self._choices, strict=True)
        }
        self.state_space: spaces.Space[Any] = views.space_of(views.known(agents_of(self.config)))

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Open the markets anew (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
        """
        check_reset(seed, copies, self.num_envs)
        self._markets[:] = self._fresh
        self._markets["key"] = [generator(seed, int(copy)).integers(2**64, dtype=np.uint64) for copy in copies]
        self._step, shown = 0, blank(self.config, self.num_envs)
        compiled().show(self._markets, shown)
        return self._show(np.zeros((self.num_envs, len(self.agents))), shown)

    def step(self, actions: Sequence[Values]) -> Step:
        """Let everybody act (see ``Environment.step``).

        Raises:
            IllegalAction: an action is malformed or no choice of its agent.
            RuntimeError: the episodes are over, or never began.
        """
        if self._step >= self.config.steps:
            raise RuntimeError(f"step: expected a reset after {self.config.steps} steps, got another step")
        self._take_in(actions)
        rewards, shown = np.empty((self.num_envs, len(self.agents))), blank(self.config, self.num_envs)
        compiled().play(self._markets, self._actions, rewards, shown)
        self._step += 1
        return self._show(rewards, shown)

    def _take_in(self, actions: Sequence[Values]) -> None:
        """Take actions in, or raise what ``step`` says."""
        if len(actions) != len(self.agents):
            raise IllegalAction("actions", f"one for each of {len(self.agents)} agents", str(len(actions)))
        for index, (place, values) in enumerate(zip(self._places, actions, strict=True)):
            value = values.get("")
            if value is None or value.shape != place.shape or value.dtype != WHOLE:
                got = sorted(values) if value is None else f"{value.dtype} {value.shape}"
                raise IllegalAction(f"{self.agents[index]}: action", f"int64 {place.shape}", str(got))
            place[:] = value
        outside = self._asked.view(np.uint64) >= self._limits  # Seen so, what is below 0 is large.
        if outside.any():
            self._refuse(outside)
        if self.config.flat:
            for index, choices in enumerate(self._choices):
                self._actions[:, index, : len(choices)] = np.stack(np.unravel_index(self._places[index], choices), 1)

    def _refuse(self, outside: NDArray[np.bool_]) -> None:
        """Name the first number that is outside its limits, bool (B, N, numbers)."""
        index, copy, place = np.argwhere(outside.transpose(1, 0, 2))[0].tolist()
        field = "action" if self.config.flat else f"action[{place}]"
        expected, got = f"0 to {self._limits[index, place] - 1}", self._asked[copy, index, place]
        raise IllegalAction(f"{self.agents[index]}: {field} of copy {copy}", expected, str(got))

    def _show(self, rewards: NDArray[np.float64], shown: Shown) -> Step:
        """What all copies show now."""
        over = self._step >= self.config.steps
        return Step(
            observations=observations(shown),
            state=state(shown),
            rewards=rewards,
            terminated=self._all[False],
            truncated=self._all[over],
            awaited=self._all[not over],
            action_masks=masks(shown, self.config.flat),
            info=info(shown),
        )
