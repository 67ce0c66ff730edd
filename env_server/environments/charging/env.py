"""The charging game as an environment: one step is one round of prices by all stations at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.special import ndtr

from agora.errors import IllegalAction
from agora.randomness import normal_rows, uniform_rows
from env_server.environments.base import EnvironmentConfig, Step, Values, check_reset
from env_server.environments.charging import flows as kernel
from env_server.environments.charging.config import ChargingConfig
from env_server.environments.charging.facts import facts
from env_server.environments.charging.scenario import Floats, build

INITIAL, NOISE = 0, 1
"""Purposes that key the draws, beside seed and round."""
CLIP: Final = 4.0
"""Noise stays within this many standard deviations, so that flows have a true bound."""


class Charging:
    """B copies of the charging game between N stations over T periods.

    Actions are prices scaled to [0, 1] between the configuration's bounds. An observed flow is in units of
    ``flow_scale`` cars per period, the mean demand per station and period; its upper bound is all cars of the period
    and its neighbours. Rewards are profits in money per day. All agents are awaited in every round; after
    ``episode_rounds`` rounds all are truncated.
    """

    Config: ClassVar[type[EnvironmentConfig]] = ChargingConfig

    def __init__(self, config: ChargingConfig, num_envs: int) -> None:
        """Prepare the game.

        Raises:
            ValueError: num_envs is not positive, the configuration's arrays do not fit together, or its congestion is
                too strong for flows to be found.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        self.scenario = build(config)
        try:
            self.game = kernel.prepare(config, self.scenario)
        except ArithmeticError as error:
            raise ValueError(f"at the middle price: {error}") from error
        self.facts: Mapping[str, Any] = facts(config, self.scenario)
        self.num_stations, self.num_periods = self.scenario.detour.shape[1], self.scenario.demand.shape[1]
        self.flow_scale = self.scenario.flow_scale
        self.agents = tuple(f"station_{i}" for i in range(self.num_stations))
        self._spaces()
        self._round = config.episode_rounds
        self._seed = 0
        self._copies = np.arange(num_envs, dtype=np.uint32)

    def _spaces(self) -> None:
        """Build the spaces; the spaces of all agents are alike."""
        n, t = self.num_stations, self.num_periods
        bound = self._flow_bound()
        prices = spaces.Box(0.0, 1.0, (n, t), np.float32)
        own = spaces.Dict({"last_round_all_prices": prices, "own_charging_flow": _box(bound)})
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {
            a: spaces.Box(0.0, 1.0, (t,), np.float32) for a in self.agents
        }
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = {a: own for a in self.agents}
        self.state_space: spaces.Space[Any] = spaces.Dict(
            {"last_round_all_prices": prices, "charging_flows": _box(np.tile(bound, (n, 1)))}
        )

    def _flow_bound(self) -> NDArray[np.float32]:
        """Most cars that can ever charge in a period, over flow_scale: float32 (T,), rounded up."""
        peak = self.scenario.demand * (_noise(self.scenario.demand_cv, CLIP) if self.config.demand_noise else 1.0)
        cars = np.pad(peak.sum(axis=0), 1)
        near = cars[1:-1] + (cars[:-2] + cars[2:] if self.game.shift > 0.0 else 0.0)
        return np.nextafter((near * (1 + 1e-6) / self.flow_scale).astype(np.float32), np.float32(np.inf))

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start new episodes from initial prices and the flows of the mean demand at them (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
        """
        check_reset(seed, copies, self.num_envs)
        self._seed, self._copies, self._round = seed, copies.copy(), 0
        shape = (self.num_envs, self.num_stations, self.num_periods)
        if self.config.initial_prices == "middle":
            actions = np.full(shape, 0.5, np.float32)
        else:
            actions = uniform_rows(copies, shape[1] * shape[2], seed, 0, INITIAL).reshape(shape)
        return self._show(actions, self.game.demand, first=True)

    def step(self, actions: Sequence[Values]) -> Step:
        """Play one round of prices (see ``Environment.step``).

        Raises:
            IllegalAction: an action is malformed or out of bounds.
            RuntimeError: the episodes are over, or never began.
        """
        if self._round >= self.config.episode_rounds:
            raise RuntimeError(f"step: expected a reset after {self.config.episode_rounds} rounds, got another step")
        played = self._validated(actions)
        self._round += 1
        return self._show(played, self._demand_of_day(), first=False)

    def payoff(self, actions: Floats, gradient: bool) -> tuple[Floats, Floats | None]:
        """Profits in money per day at joint actions, and their own-action gradients (see ``PayoffEnvironment``)."""
        shape = (self.num_stations, self.num_periods)
        if actions.ndim != 3 or actions.shape[1:] != shape or actions.dtype != np.float64:
            got = f"{actions.dtype} {actions.shape}"
            raise IllegalAction("actions", f"float64 (M, {shape[0]}, {shape[1]})", got)
        if not ((actions >= 0.0) & (actions <= 1.0)).all():
            raise _out_of_bounds(self.agents, actions)
        _, profits, slopes = kernel.solve(self.game, self.prices(actions), self.game.demand, gradient)
        width = self.config.price_max - self.config.price_min
        return profits, slopes * width if gradient else None

    def prices(self, actions: NDArray[Any]) -> Floats:
        """Prices in money/kWh, float64, of actions in [0, 1]."""
        low, high = self.config.price_min, self.config.price_max
        return np.ascontiguousarray(low + (high - low) * actions.astype(np.float64))

    def _validated(self, actions: Sequence[Values]) -> NDArray[np.float32]:
        """All actions as float32 (B, N, T), or an IllegalAction that names what is wrong."""
        if len(actions) != self.num_stations:
            raise IllegalAction("actions", f"one for each of {self.num_stations} agents", str(len(actions)))
        shape = (self.num_envs, self.num_periods)
        for agent, leaves in zip(self.agents, actions, strict=True):
            if set(leaves) != {""}:
                raise IllegalAction(f"{agent}: action", "the one leaf ''", str(sorted(leaves)))
            value = leaves[""]
            if value.shape != shape or value.dtype != np.float32:
                raise IllegalAction(f"{agent}: action", f"float32 {shape}", f"{value.dtype} {value.shape}")
        played = np.stack([leaves[""] for leaves in actions], axis=1)
        if not ((played >= 0.0) & (played <= 1.0)).all():
            raise _out_of_bounds(self.agents, played)
        return played

    def _demand_of_day(self) -> Floats:
        """Cars per period and zone of this round: (1, T, Z) where all copies are alike, else (B, T, Z)."""
        if not self.config.demand_noise:
            return self.game.demand
        zones, periods = self.scenario.demand.shape
        normal = normal_rows(self._copies, zones * periods, self._seed, self._round, NOISE).astype(np.float64)
        demand = self.scenario.demand * _noise(self.scenario.demand_cv, normal.reshape(-1, zones, periods))
        return np.ascontiguousarray(demand.transpose(0, 2, 1))

    def _show(self, actions: NDArray[np.float32], demand: Floats, first: bool) -> Step:
        """What follows from the actions (B, N, T) at a demand."""
        prices = self.prices(actions)
        flows, profits, _ = kernel.solve(self.game, prices, demand, False)
        scaled = (flows / self.flow_scale).astype(np.float32)
        over = np.full((self.num_envs, self.num_stations), self._round >= self.config.episode_rounds)
        total = demand.sum(axis=(1, 2))
        return Step(
            observations=[
                {"last_round_all_prices": actions, "own_charging_flow": np.ascontiguousarray(scaled[:, i])}
                for i in range(self.num_stations)
            ],
            state={"last_round_all_prices": actions, "charging_flows": scaled},
            rewards=np.zeros_like(profits) if first else profits,
            terminated=np.zeros_like(over),
            truncated=over,
            awaited=~over,
            info={"prices": prices, "flows": flows, "outside": 1.0 - flows.sum(axis=(1, 2)) / total},
        )


def _noise(cv: Floats, normal: Floats | float) -> Floats:
    """Factors of demand from standard normals: clipped, truncated at zero, and divided by the mean of that.

    Args:
        cv: (Z, T), coefficients of variation before truncation.
        normal: (..., Z, T) or one number.
    """

    def beyond(x: Floats | float) -> Floats:
        """Mean of a standard normal's excess over x."""
        return np.asarray(np.exp(-0.5 * np.square(x)) / np.sqrt(2 * np.pi) - x * ndtr(-np.asarray(x)))

    mean = 1.0 + cv * (beyond(np.minimum(1.0 / np.maximum(cv, 1e-12), CLIP)) - beyond(CLIP))
    return np.asarray(np.maximum(0.0, 1.0 + cv * np.clip(normal, -CLIP, CLIP)) / mean)


def _box(high: NDArray[np.float32]) -> spaces.Box:
    return spaces.Box(np.zeros_like(high), high, dtype=np.float32)


def _out_of_bounds(agents: Sequence[str], actions: NDArray[Any]) -> IllegalAction:
    """The error for the first entry of (B, N, T) that is not within [0, 1]."""
    copy, agent, period = np.argwhere(~((actions >= 0.0) & (actions <= 1.0)))[0]
    value = actions[copy, agent, period]
    return IllegalAction(f"{agents[agent]}: action[{period}] of copy {copy}", "within [0, 1]", str(value))
