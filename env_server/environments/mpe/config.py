"""Configuration of the particle environments."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from env_server.environments.base import EnvironmentConfig

Source = Literal["simple_spread", "simple_adversary", "simple_tag", "simple_speaker_listener"]
Count = Annotated[int, Field(ge=1, le=64)]

OWN: Final[dict[str, dict[str, Any]]] = {
    "simple_spread": {"num_agents": 3, "local_ratio": 0.5},
    "simple_adversary": {"num_agents": 2},
    "simple_tag": {"num_good": 1, "num_adversaries": 3, "num_obstacles": 2},
    "simple_speaker_listener": {},
}
"""The fields that only some tasks have, and mpe2's values of them; elsewhere they are None."""


class MpeConfig(EnvironmentConfig):
    """Configuration of one of four tasks of mpe2 (https://mpe2.farama.org)."""

    source: Source = Field("simple_spread", description="the task, as in the name behind 'mpe:'")
    continuous_actions: bool = Field(True, description="Box(0, 1) actions; false: Discrete")
    max_cycles: int = Field(25, ge=1, le=100_000, description="steps before an episode is truncated")
    num_agents: Count | None = Field(
        None,
        validate_default=True,
        description="mpe2's N; simple_spread: agents and landmarks, default 3; simple_adversary: good agents and "
        "landmarks, default 2",
    )
    local_ratio: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        validate_default=True,
        description="simple_spread: weight of an agent's own collisions in its reward, the rest is the team's; "
        "default 0.5",
    )
    num_good: Count | None = Field(None, validate_default=True, description="simple_tag: prey, default 1")
    num_adversaries: Count | None = Field(None, validate_default=True, description="simple_tag: predators, default 3")
    num_obstacles: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, validate_default=True, description="simple_tag: landmarks in the way, default 2"
    )

    @field_validator("num_agents", "local_ratio", "num_good", "num_adversaries", "num_obstacles")
    @classmethod
    def _fits_the_task(cls, value: Any, info: ValidationInfo) -> Any:
        """Fill in what was not given; refuse what the task does not have."""
        own = OWN.get(info.data.get("source", ""), {})
        if value is None:
            return own.get(str(info.field_name))
        if "source" in info.data and info.field_name not in own:
            tasks = ", ".join(task for task, fields in OWN.items() if info.field_name in fields)
            raise ValueError(f"expected only with {tasks}, got {info.data['source']}")
        return value
