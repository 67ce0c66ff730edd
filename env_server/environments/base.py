"""What an environment is: the rules of one game, stepped for B independent copies at once.

An environment is plain arrays with a leading axis B (copies) and, where agents are alike, an axis N (agents, in
the order of ``agents``). It knows nothing of gRPC, policies or learning.

One ``step`` carries every copy to its next decision, whoever's it is. In a price game all agents of all copies are
awaited at once; in a turn-based game one agent per copy; in a negotiation whose engine calls back from inside its
own loop, a copy stops where some agent must answer and a slow copy is simply not awaited yet. So simultaneous,
turn-based and event-driven games are one interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import Refused
from agora.settings import Settings
from agora.v1 import policy_pb2

Array = NDArray[Any]
Values = Mapping[str, Array]
"""A flattened (possibly nested) space's leaves by dotted path, each array with the leading axis B.

A space that is not a ``Dict`` has the single path ``""``.
"""


class EnvironmentConfig(Settings):
    """Base of every game's configuration."""


@dataclass(frozen=True)
class EpisodeFailure:
    """A copy's episode that ended because the environment failed in it.

    Attributes:
        copy: the copy's number.
        agent: with which the environment was busy; empty: with all, or nobody in particular.
        step: since the episode's start, from 0; -1 in a reset.
        cause: what went wrong, in a line.
    """

    copy: int
    agent: str
    step: int
    cause: str

    def __str__(self) -> str:
        when = "in its reset" if self.step < 0 else f"in step {self.step}"
        return f"copy {self.copy} {when}{f', {self.agent}' if self.agent else ''}: {self.cause}"


@dataclass(frozen=True)
class Step:
    """What all B copies show after ``reset`` or ``step``.

    Attributes:
        observations: per agent (in the order of ``Environment.agents``), the leaves of its observation, (B, ...).
        state: leaves of the global state, (B, ...); only critics and the log may see it.
        rewards: float64 (B, N), in the game's own unit; zeros after ``reset``.
        terminated: bool (B, N), the agent's part in the copy's episode ended by the rules, in this step.
        truncated: bool (B, N), it was cut off (a horizon) in this step; learners bootstrap through it.
        awaited: bool (B, N), whose action the next ``step`` needs; False for agents of ended episodes.
        action_masks: per agent index, leaves of the legal-action mask, uint8 (B, ...), for agents that have one.
        info: named arrays (B, ...) for the log and reports, never for agents.
        alive: bool (B, N), who takes part in the copy's episode now; None: everyone until its part has ended.
        failures: episodes that the environment ended in this step because it failed itself.
    """

    observations: Sequence[Values]
    state: Values
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    awaited: NDArray[np.bool_]
    action_masks: Mapping[int, Values] = field(default_factory=dict)
    info: Values = field(default_factory=dict)
    alive: NDArray[np.bool_] | None = None
    failures: Sequence[EpisodeFailure] = ()


class Environment(Protocol):
    """B copies of one game. Built as ``EnvironmentClass(config, num_envs)``.

    Arrays in a returned ``Step`` are the caller's to keep: the environment does not write to them again.
    """

    Config: ClassVar[type[EnvironmentConfig]]
    config: EnvironmentConfig
    num_envs: int
    agents: tuple[str, ...]
    observation_spaces: Mapping[str, spaces.Space[Any]]
    action_spaces: Mapping[str, spaces.Space[Any]]
    state_space: spaces.Space[Any]
    facts: Mapping[str, Any]
    """What the configured game knows of itself, for reports; JSON values. ``facts["panels"]`` is a list of
    ``{"title", "info", "unit", "labels", "reference", "reference_title"}``: draw the info array ``info``
    (B, N, len(labels)) per agent, beside ``reference`` (per agent: a number, a list of len(labels) numbers, or null).
    ``facts["arena"]`` says how an episode can be drawn: ``{"positions", "goal", "half_width", "entities"}``, with the
    names of the info arrays of positions (B, E, 2) and of the goal's number (B,) or null, and per entity
    ``{"name", "size", "role"}``, a role being agent, adversary or landmark.
    ``facts["market"]`` asks for a market's section; the info arrays are then those that ``analysis.market`` reads.
    ``facts["action"]`` is ``{"title", "unit", "low", "high"}``, what the ends of an action's bounds stand for."""

    def __init__(self, config: Any, num_envs: int) -> None: ...

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start a new episode in every copy.

        Args:
            seed: the episode block's seed, 0 <= seed < 2**63.
            copies: uint32 (B,), the numbers of the copies; a copy's randomness is keyed by (seed, its number, step),
                so that splitting copies over processes changes nothing.
        """
        ...

    def step(self, actions: Sequence[Values]) -> Step:
        """Advance every copy to its next decision.

        Args:
            actions: per agent, the leaves of its action, (B, ...); rows that were not awaited are ignored.

        Raises:
            IllegalAction: an awaited action has a wrong shape or dtype, is not finite, lies outside its space or is
                against the rules; nothing has changed. Whatever else is raised is a fault of the environment.
        """
        ...


@contextmanager
def not_exiting() -> Iterator[None]:
    """Code of a game runs under it: an exit that it asks for is its own fault, not the end of the server.

    Raises:
        RuntimeError: it raised ``SystemExit``.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"it asked the server to exit, with {error.code!r}") from error


def check_reset(seed: int, copies: NDArray[np.uint32], num_envs: int) -> None:
    """Refuse what ``Environment.reset`` does not take.

    Raises:
        ValueError: a seed out of range, or not the numbers of ``num_envs`` copies.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed: expected 0 <= seed < 2**63, got {seed}")
    if copies.shape != (num_envs,) or copies.dtype != np.uint32:
        raise ValueError(f"copies: expected uint32 ({num_envs},), got {copies.dtype} {copies.shape}")


def check_rewards(step: Step, agents: Sequence[str]) -> None:
    """Refuse to go on in a game that pays what is no number.

    Raises:
        Refused: REASON_INTERNAL, since nobody who plays is to blame; names the agent and the copy's place.
    """
    if np.isfinite(step.rewards).all():
        return
    row, agent = (int(i) for i in np.argwhere(~np.isfinite(step.rewards))[0])
    got = f"{step.rewards[row, agent]} for {agents[agent]} in copy {row}"
    raise Refused(policy_pb2.REASON_INTERNAL, "environment.rewards", "finite numbers of the game", got)


@runtime_checkable
class PayoffEnvironment(Protocol):
    """A game whose payoff at a joint action can be evaluated without an episode (stage games)."""

    def payoff(self, actions: NDArray[np.float64], gradient: bool) -> tuple[NDArray[np.float64], Array | None]:
        """Expected payoff of each joint action, without noise.

        Args:
            actions: float64 (M, N, A), flattened actions of all agents, inside the action space.
            gradient: whether to also return each agent's gradient in its own action.

        Returns:
            payoffs float64 (M, N) in reward units, and own-action gradients float64 (M, N, A) or None.

        Raises:
            IllegalAction: wrong shape, not finite or out of bounds.
        """
        ...


@runtime_checkable
class OutsourcedEnvironment(Protocol):
    """A game that other processes compute: its steps wait for them, so they are never taken on an event loop."""

    @property
    def pids(self) -> list[int]:
        """Ids of those that run now."""
        ...

    def close(self) -> None:
        """End them."""
        ...


@runtime_checkable
class DefaultingEnvironment(Protocol):
    """A game that knows what to do for an agent whose mind does not answer."""

    def default_action(self, index: int, rows: NDArray[np.intp]) -> Values:
        """What the game does itself for an agent that it awaits.

        The next ``step`` must be given these actions; the game then counts them as not the agent's own.

        Args:
            index: the agent's number in ``agents``.
            rows: places of copies that await it now.

        Returns:
            Leaves of its action, (len(rows), ...).

        Raises:
            ValueError: a row does not await this agent.
        """
        ...


@runtime_checkable
class RestartingEnvironment(Protocol):
    """A game whose copies end at different times and can start again one by one."""

    def restart(self, seed: int, copies: NDArray[np.uint32], rows: NDArray[np.intp]) -> Step:
        """Start a new episode in some copies; the others stay as they are.

        Args:
            seed: as in ``Environment.reset``.
            copies: uint32 (B,), the numbers of all copies.
            rows: places of the copies that start, rising.

        Returns:
            What all copies show; rewards, terminated and truncated are zeros.
        """
        ...
