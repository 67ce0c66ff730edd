"""Which game is played, and how often."""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import TypeAliasType

from env_server.environments.base import EnvironmentConfig
from env_server.environments.matrix.games import GAMES, Name

Nested = TypeAliasType("Nested", "float | tuple[Nested, ...]")
"""Numbers in tables of any depth."""

MAX_PROFILES = 1_000_000


class MatrixConfig(EnvironmentConfig):
    """Configuration of a normal-form game."""

    game: Name | Literal["custom"] = Field("prisoners_dilemma", description="a game by name; custom: from `payoffs`")
    payoffs: tuple[Nested, ...] = Field(
        (), description="custom: what each agent is paid, as payoffs[agent][choice of the first]...[of the last]"
    )
    rounds: int = Field(1, ge=1, le=1_000_000, description="rounds before an episode ends by the rules")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse combinations that mean nothing."""
        if (self.game == "custom") != bool(self.payoffs):
            wanted = "some for" if self.game == "custom" else "none but for"
            raise ValueError(f"payoffs: expected {wanted} game custom, got {len(self.payoffs)} agents in {self.game}")
        self.table()
        return self

    def table(self) -> NDArray[np.float64]:
        """Payoffs float64 (N, C_1, ..., C_N) of agents whose choices are C_1 to C_N.

        Raises:
            ValueError: they are ragged, too many, or not of as many dimensions as agents.
        """
        return GAMES[self.game].payoffs if self.game != "custom" else _table(self.payoffs)

    def labels(self) -> tuple[str, ...]:
        """What choices are called, as many as the agent with the most has."""
        if self.game != "custom":
            return GAMES[self.game].choices
        return tuple(str(choice) for choice in range(max(self.table().shape[1:])))


def _table(payoffs: tuple[Nested, ...]) -> NDArray[np.float64]:
    try:
        table = np.array(payoffs, np.float64)
    except ValueError as error:
        raise ValueError(f"payoffs: expected equally long rows, got {error}") from error
    n = len(table)
    if table.ndim != n + 1 or table.size == 0:
        raise ValueError(f"payoffs: expected {n} agents' tables of {n} dimensions, got shape {table.shape}")
    if math.prod(table.shape[1:]) > MAX_PROFILES:
        raise ValueError(f"payoffs: expected <= {MAX_PROFILES} joint actions, got {math.prod(table.shape[1:])}")
    return table
