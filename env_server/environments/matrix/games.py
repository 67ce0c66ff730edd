"""Normal-form games that everyone knows, whose answers can be looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

Name = Literal[
    "chicken",
    "climbing",
    "coordination",
    "matching_pennies",
    "penalty",
    "prisoners_dilemma",
    "rock_paper_scissors",
    "stag_hunt",
]
Table = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Bimatrix:
    """A game of two agents with the same choices.

    Attributes:
        choices: what they are called.
        payoffs: float64 (2, C, C), of each agent when the first plays the row and the second the column.
    """

    choices: tuple[str, ...]
    payoffs: NDArray[np.float64]

    @classmethod
    def symmetric(cls, choices: tuple[str, ...], own: Table) -> Self:
        """Both are paid ``own[own choice][the other's]``."""
        table = np.array(own, np.float64)
        return cls(choices, np.stack([table, table.T]))

    @classmethod
    def common(cls, choices: tuple[str, ...], both: Table) -> Self:
        """Both are paid the same."""
        table = np.array(both, np.float64)
        return cls(choices, np.stack([table, table]))

    @classmethod
    def zero_sum(cls, choices: tuple[str, ...], first: Table) -> Self:
        """The second agent pays what the first is paid."""
        table = np.array(first, np.float64)
        return cls(choices, np.stack([table, -table]))


GAMES: Final[Mapping[Name, Bimatrix]] = {
    "chicken": Bimatrix.symmetric(("swerve", "dare"), [[6, 2], [7, 0]]),
    "climbing": Bimatrix.common(("a0", "a1", "a2"), [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]),
    "coordination": Bimatrix.common(("high", "low"), [[2, 0], [0, 1]]),
    "matching_pennies": Bimatrix.zero_sum(("heads", "tails"), [[1, -1], [-1, 1]]),
    "penalty": Bimatrix.common(("a0", "a1", "a2"), [[10, 0, -100], [0, 2, 0], [-100, 0, 10]]),
    "prisoners_dilemma": Bimatrix.symmetric(("cooperate", "defect"), [[3, 0], [5, 1]]),
    "rock_paper_scissors": Bimatrix.zero_sum(("rock", "paper", "scissors"), [[0, -1, 1], [1, 0, -1], [-1, 1, 0]]),
    "stag_hunt": Bimatrix.symmetric(("stag", "hare"), [[4, 0], [3, 3]]),
}
"""Chicken is Aumann's (1974, "Subjectivity and correlation in randomized strategies"); climbing and penalty (k = -100)
are Claus and Boutilier's (1998, "The dynamics of reinforcement learning in cooperative multiagent systems"); the
prisoners' dilemma has Axelrod's payoffs (1984, "The evolution of cooperation")."""
