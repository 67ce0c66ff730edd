"""Configuration of the supply-chain negotiation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from agora.settings import Seconds
from env_server.environments.base import EnvironmentConfig

SERVICE = "service"
Policy = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_+-]+|(scml|scml_agents|scml_engine)(\.[A-Za-z0-9_]+)+)$")
]
"""A policy's short name, or the dotted path of a class in the packages of the league."""
MAX_LEVELS, MAX_FACTORIES = 6, 16


class ScmlConfig(EnvironmentConfig):
    """Configuration of the supply-chain negotiation.

    Costs, balances and nature's contracts are drawn anew for every copy and block, as the league draws them.
    """

    days: int = Field(50, ge=1, le=500, description="days of an episode; more than there are levels")
    levels: int = Field(2, ge=2, le=MAX_LEVELS, description="levels of the chain (ignored where `seats` is given)")
    factories: int = Field(4, ge=1, le=MAX_FACTORIES, description="per level (ignored where `seats` is given)")
    seats: tuple[Annotated[tuple[Policy, ...], Field(min_length=1, max_length=MAX_FACTORIES)], ...] = Field(
        (),
        max_length=MAX_LEVELS,
        description="per level, who plays its factories: 'service' is an agent of this environment, anything else "
        "plays inside the engine (penguin, as0, ..., or scml_agents.PATH.CLASS); empty: all 'service'",
    )
    shield: Literal["none", "certain", "covered"] = Field(
        "certain",
        description="what is kept from every agent: certain: offers that surely cannot be kept; covered: sales without "
        "material for them, too; none: nothing",
    )
    physics: Literal["engine", "conserving"] = Field(
        "engine", description="engine: what lies in store is never used up, as in scml 0.8.4; conserving: it is"
    )
    streams: Literal["seat", "shared"] = Field(
        "seat", description="seat: each policy inside the engine draws from a stream of its own; shared: all from one"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="processes that play the copies, at most one a copy; none: as many as processors",
    )
    patience: Seconds = Field(120.0, description="seconds that a process may take to play its copies on")
    track: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$")] | None = Field(
        None,
        description="write every decision, contract and day to tables in the folder of this name, under the server's "
        "variable AGORA_RUNS or runs/",
    )

    @property
    def table(self) -> tuple[tuple[str, ...], ...]:
        """Per level, who plays its factories."""
        return self.seats or ((SERVICE,) * self.factories,) * self.levels

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse games that cannot be played."""
        table = self.table
        if len(table) < 2:
            raise ValueError(f"seats: expected at least two levels, got {len(table)}")
        if self.days <= len(table):
            raise ValueError(f"days: expected more than the {len(table)} levels, got {self.days}")
        if not any(policy == SERVICE for level in table for policy in level):
            raise ValueError(f"seats: expected at least one {SERVICE!r}, got none")
        return self
