"""An order-book market as an environment: in one step every agent and every scripted trader acts once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.market.choices import MAKER_CHOICES, TRADER_CHOICES
from agora.randomness import generator
from env_server.environments.base import Array, EnvironmentConfig, Step, Values, check_reset
from env_server.environments.market import views
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.kernels import compiled
from env_server.environments.market.seats import flattened, legal
from env_server.environments.market.state import agents_of, opened

Integers = NDArray[np.int64]

LOGGED_LEVELS: Final = 10
LOGGED_TRADES: Final = 16
"""What the log has room for, of each step."""


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
        self._step = config.steps

    def _spaces(self) -> None:
        """Build the spaces."""
        self._seen, self._state = views.observed(self.config), views.known(agents_of(self.config))
        seen = views.space_of(self._seen)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {
            agent: spaces.Discrete(math.prod(choices)) if self.config.flat else spaces.MultiDiscrete(list(choices))
            for agent, choices in zip(self.agents, self._choices, strict=True)
        }
        self.state_space: spaces.Space[Any] = views.space_of(self._state)

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Open the markets anew (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
        """
        check_reset(seed, copies, self.num_envs)
        self._markets[:] = self._fresh
        self._markets["key"] = [generator(seed, int(copy)).integers(2**64, dtype=np.uint64) for copy in copies]
        self._step = 0
        return self._show(np.zeros((self.num_envs, len(self.agents))))

    def step(self, actions: Sequence[Values]) -> Step:
        """Let everybody act (see ``Environment.step``).

        Raises:
            ValueError: an action is malformed or no choice of its agent.
            RuntimeError: the episodes are over, or never began.
        """
        if self._step >= self.config.steps:
            raise RuntimeError(f"step: expected a reset after {self.config.steps} steps, got another step")
        self._validate(actions)
        rewards = np.zeros((self.num_envs, len(self.agents)))
        compiled().advance(self._markets, self._actions, rewards)
        self._step += 1
        return self._show(rewards)

    def _validate(self, actions: Sequence[Values]) -> None:
        """Take actions in, or raise what ``step`` says."""
        if len(actions) != len(self.agents):
            raise ValueError(f"actions: expected one for each of {len(self.agents)} agents, got {len(actions)}")
        for index, (agent, choices) in enumerate(zip(self.agents, self._choices, strict=True)):
            limits = (math.prod(choices),) if self.config.flat else choices
            value, shape = actions[index].get(""), (self.num_envs, *(() if self.config.flat else (len(choices),)))
            if value is None or value.shape != shape or value.dtype != np.int64:
                got = sorted(actions[index]) if value is None else f"{value.dtype} {value.shape}"
                raise ValueError(f"{agent}: action: expected int64 {shape}, got {got}")
            rows = value.reshape(self.num_envs, -1)
            outside = np.argwhere((rows < 0) | (rows >= limits))
            if len(outside):
                copy, place = outside[0].tolist()
                field = "action" if self.config.flat else f"action[{place}]"
                expected, got = f"0 to {limits[place] - 1}", rows[copy, place]
                raise ValueError(f"{agent}: {field} of copy {copy}: expected {expected}, got {got}")
            chosen = np.stack(np.unravel_index(value, choices), axis=1) if self.config.flat else value
            self._actions[:, index, : len(choices)] = chosen

    def _masks(self) -> dict[int, Values]:
        """Legal choices of every seat."""
        masks = {seat: legal(self._markets, seat, seat < self.config.makers) for seat in range(len(self.agents))}
        if self.config.flat:
            masks = {seat: flattened(mask, self._choices[seat]) for seat, mask in masks.items()}
        return {seat: {"": mask} for seat, mask in masks.items()}

    def _show(self, rewards: NDArray[np.float64]) -> Step:
        """What all copies show now."""
        count, seats, depth = self.num_envs, len(self.agents), self.config.depth
        seen = np.empty((seats, count, views.width(self._seen)), np.float32)
        state = np.empty((count, views.width(self._state)), np.float32)
        compiled().show(self._markets, depth, seen, state)
        over = np.full(rewards.shape, self._step >= self.config.steps)
        return Step(
            observations=[_leaves(rows, self._seen) for rows in seen],
            state=_leaves(state, self._state),
            rewards=rewards,
            terminated=np.zeros_like(over),
            truncated=over,
            awaited=~over,
            action_masks=self._masks(),
            info=self._info(),
        )

    def _info(self) -> Values:
        """What the log keeps for reports.

        ``mid`` and ``worth`` (B,) in ticks, ``volume`` (B,) lots that traded, ``flow`` (B,) lots that incoming orders
        bought less those they sold, ``inventory`` (B, N) lots, ``equity`` (B, N) ticks times lots, ``depth`` and
        ``trades`` as of ``views.write_tape``.
        """
        book, seats = self._markets["book"], len(self.agents)
        depth = np.empty((self.num_envs, 2, LOGGED_LEVELS, 2), np.int32)
        trades = np.empty((self.num_envs, LOGGED_TRADES, 3), np.int32)
        compiled().log(self._markets, depth, trades)
        return {
            "mid": self._markets["sight"]["mid"].copy(),
            "worth": self._markets["worth"].copy(),
            "volume": self._markets["volume"].copy(),
            "flow": self._markets["flow"].copy(),
            "inventory": book["accounts"]["shares"][:, :seats].copy(),
            "equity": self._markets["equity"][:, :seats].copy(),
            "depth": depth,
            "trades": trades,
        }


def _leaves(rows: Array, shapes: views.Shapes) -> dict[str, Array]:
    """Rows (B, width) as leaves (B, ...)."""
    places = views.places(shapes)
    return {name: rows[:, places[name]].reshape(len(rows), *shape) for name, shape in shapes.items()}
