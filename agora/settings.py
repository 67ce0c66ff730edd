"""What all settings that people write down have in common, whether in a file or behind a flag."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, LiteralString

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from agora.ranges import DAY

Seconds = Annotated[float, Field(gt=0, le=DAY)]
Widths = tuple[Annotated[int, Field(ge=1, le=65_536)], ...]
"""Of a network's hidden layers."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values are immutable, and numbers are ones that all can carry.

    Numbers are finite, as JSON has no others, and whole ones have at most 64 bits, as messages, arrays and files have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _carried(cls, value: Any) -> Any:
        for path, expected in _uncarried(value, ()):
            raise PydanticCustomError("uncarried", expected + (f" for {'.'.join(path)}" if path else ""))
        return value


def _uncarried(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], LiteralString]]:
    """Where in what was written a number stands that cannot be carried, and what is expected there."""
    match value:
        case dict():
            for key, part in value.items():
                yield from _uncarried(part, (*path, str(key)))
        case list() | tuple():
            for number, part in enumerate(value):
                yield from _uncarried(part, (*path, str(number)))
        case int() if not -(2**63) <= value < 2**63:
            yield path, "a whole number from -2**63 to 2**63 - 1"
        case float() if not math.isfinite(value):
            yield path, "a finite number"
