"""Is a joint choice a Nash equilibrium, and has the game one in pure strategies at all? Both by the game's own payoff.

A pure Nash equilibrium is a joint action in which nobody gains by choosing otherwise alone (Nash 1951, "Non-cooperative
games"). Games such as matching pennies have none, so a learner of greedy policies must end somewhere that is none
either, and has to say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from trainer.spec import GameSpec
from trainer.stage.best_response import Payoff

Floats = NDArray[np.float64]
Choices = NDArray[np.int64]

MAX_PROFILES: Final = 1_000_000
ROWS_PER_CALL: Final = 65_536
ROUNDING: Final = 1e-9
"""Share of a payoff that is rounding and no gain."""
NOT_FOUND: Final = "no pure equilibrium found"


@dataclass(frozen=True)
class Verdict:
    """A joint action judged. N agents.

    Attributes:
        agents: ids.
        actions: int64 (N,), what was judged.
        payoffs: float64 (N,), in reward units.
        best_actions: int64 (N,), each agent's best response.
        best_payoffs: float64 (N,), what it would be paid for it.
        equilibria: int64 (E, N), all pure equilibria; None of games with more than ``MAX_PROFILES`` joint actions.
    """

    agents: tuple[str, ...]
    actions: Choices
    payoffs: Floats
    best_actions: Choices
    best_payoffs: Floats
    equilibria: Choices | None

    @property
    def regrets(self) -> Floats:
        """What each agent would gain by its best response, (N,), >= 0."""
        return self.best_payoffs - self.payoffs

    @property
    def is_equilibrium(self) -> bool:
        """Whether nobody gains by choosing otherwise alone."""
        return bool(_gains_nothing(self.payoffs, self.best_payoffs).all())

    def __str__(self) -> str:
        """What was found, in words."""
        if self.is_equilibrium:
            return "a pure equilibrium" + ("" if self.equilibria is None else f", one of {len(self.equilibria)}")
        i = int(self.regrets.argmax())
        who = f"{self.agents[i]} would gain {self.regrets[i]:.6g}"
        how = f"by choosing {self.best_actions[i]} instead of {self.actions[i]}"
        return f"{NOT_FOUND}: {who} {how}; {self._existence()}"

    def _existence(self) -> str:
        if self.equilibria is None:
            return f"whether the game has one is unknown, with more than {MAX_PROFILES} joint actions"
        return f"the game has {len(self.equilibria) or 'none'}"


def pure_verdict(payoff: Payoff, spec: GameSpec, actions: Sequence[int] | Choices) -> Verdict:
    """Judge greedy policies' joint action, and look for all pure equilibria where the game is small enough.

    Args:
        payoff: the game's own.
        spec: the game; all actions are Discrete.
        actions: one choice per agent, as executed.

    Raises:
        ValueError: an action space is not Discrete, or not one action per agent.
    """
    choices = _choices(spec)
    chosen = np.asarray(actions, np.int64)
    if chosen.shape != (len(choices),):
        raise ValueError(f"actions: expected one for each of {len(choices)} agents, got shape {chosen.shape}")
    current, best, best_payoffs = _deviations(payoff, chosen, choices)
    small = math.prod(map(len, choices)) <= MAX_PROFILES
    found = pure_equilibria(payoff, choices) if small else None
    return Verdict(spec.agents, chosen, current, best, best_payoffs, found)


def pure_equilibria(payoff: Payoff, choices: Sequence[Choices]) -> Choices:
    """All pure Nash equilibria, int64 (E, N), by looking at every joint action.

    Args:
        payoff: the game's own.
        choices: int64 (C_i,), per agent.
    """
    shape = tuple(map(len, choices))
    paid = _table(payoff, choices).reshape(*shape, len(choices))
    stable = np.ones(shape, np.bool_)
    for i in range(len(choices)):
        own = paid[..., i]
        stable &= _gains_nothing(own, own.max(axis=i, keepdims=True))
    return _joint(choices, np.flatnonzero(stable))


def _deviations(payoff: Payoff, chosen: Choices, choices: Sequence[Choices]) -> tuple[Floats, Choices, Floats]:
    """Payoffs (N,), best responses (N,) and their payoffs (N,); who gains nothing stays where it is."""
    agent = np.repeat(np.arange(len(choices)), list(map(len, choices)))
    joint = np.repeat(chosen[None], len(agent) + 1, axis=0)
    joint[np.arange(len(agent)), agent] = np.concatenate(choices)
    paid = _evaluate(payoff, joint)
    current, own = paid[-1], paid[np.arange(len(agent)), agent]
    best, best_payoffs = chosen.copy(), current.copy()
    for i, options in enumerate(choices):
        values = own[agent == i]
        if values.max() > current[i]:
            best[i], best_payoffs[i] = options[values.argmax()], values.max()
    return current, best, best_payoffs


def _table(payoff: Payoff, choices: Sequence[Choices]) -> Floats:
    """Payoffs (all joint actions, N), the last agent's choice varying fastest."""
    count = math.prod(map(len, choices))
    starts = range(0, count, ROWS_PER_CALL)
    parts = [_joint(choices, np.arange(start, min(start + ROWS_PER_CALL, count))) for start in starts]
    return np.concatenate([_evaluate(payoff, part) for part in parts])


def _joint(choices: Sequence[Choices], numbers: NDArray[np.intp]) -> Choices:
    """Joint actions (M, N) by number."""
    places = np.unravel_index(numbers, tuple(map(len, choices)))
    return np.stack([options[place] for options, place in zip(choices, places, strict=True)], axis=1)


def _evaluate(payoff: Payoff, joint: Choices) -> Floats:
    return payoff(joint[:, :, None].astype(np.float64), False)[0]


def _choices(spec: GameSpec) -> list[Choices]:
    """What each agent can choose."""
    for agent, space in zip(spec.agents, spec.action_spaces, strict=True):
        if not isinstance(space, spaces.Discrete):
            raise ValueError(f"action space of {agent}: expected Discrete, got {space}")
    return [space.start + np.arange(space.n) for space in spec.action_spaces if isinstance(space, spaces.Discrete)]


def _gains_nothing(payoffs: Floats, best: Floats) -> NDArray[np.bool_]:
    """Where the best response pays no more, but for rounding."""
    return best - payoffs <= ROUNDING * np.maximum(np.abs(payoffs), np.abs(best))
