"""What OpenEnv's messages hold, and how a refusal is told in its words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.gateways.openenv.values import shown

Json = dict[str, Any]
Code = Literal[
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "EXECUTION_ERROR",
    "CAPACITY_REACHED",
    "FACTORY_ERROR",
    "SESSION_ERROR",
]
_WRONG = {
    policy_pb2.REASON_SHAPE,
    policy_pb2.REASON_DATA_TYPE,
    policy_pb2.REASON_NOT_FINITE,
    policy_pb2.REASON_OUT_OF_BOUNDS,
    policy_pb2.REASON_SPEC_MISMATCH,
    policy_pb2.REASON_CONFIG,
}
_EXPECTED = {"missing": "a value", "extra_forbidden": "no such member"}
M = TypeVar("M", bound=BaseModel)


class Reset(BaseModel):
    """What a new episode is asked for with; parameters that no game here has are passed over, as OpenEnv does."""

    model_config = ConfigDict(extra="ignore")

    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True, description="drawn if there is none")] | None = None
    episode_id: Annotated[str, Field(max_length=255, description="made up if there is none")] | None = None


class Action(BaseModel):
    """An action, in the shape of ``/schema``."""

    model_config = ConfigDict(extra="forbid")

    action: Any
    metadata: Json = Field(default_factory=dict, description="passed over")


class StepRequest(BaseModel):
    """The body of ``POST /step``."""

    model_config = ConfigDict(extra="ignore")

    action: Action
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True, description="of the episode")] | None = None


class Message(BaseModel):
    """What comes over ``/ws``."""

    model_config = ConfigDict(extra="forbid")

    type: str
    data: Json = Field(default_factory=dict)


def parse(text: str | bytes) -> Any:
    """JSON that holds neither NaN nor infinity.

    Raises:
        ValueError: it is no such JSON.
    """

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def validated(model: type[M], value: Any) -> M:
    """A message checked.

    Raises:
        Refused: a member is missing, unknown or wrong.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise wrong(first["loc"], first) from None


def wrong(path: Sequence[int | str], error: Any) -> Refused:
    """What pydantic found wrong at ``path``."""
    field = ".".join(map(str, path)) or "message"
    expected = _EXPECTED.get(error["type"], error["msg"].removeprefix("Input should be "))
    got = "nothing" if error["type"] == "missing" else shown(error["input"])
    return Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, got)


def code_of(refused: Refused) -> Code:
    """OpenEnv's code for a refusal of a reset or a step."""
    return "VALIDATION_ERROR" if refused.reason in _WRONG else "EXECUTION_ERROR"


def fault(refused: Refused) -> Json:
    """Where it is, what was expected and what came."""
    return {"field": refused.field, "expected": refused.expected, "got": refused.got}
