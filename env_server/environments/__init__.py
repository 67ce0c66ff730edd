"""The table of games. A new game is one new folder and one line here; it is imported when it is first asked for."""

from __future__ import annotations

import importlib
import json
from typing import cast

from pydantic import ValidationError

from agora.errors import Refused
from agora.v1 import environment_pb2, policy_pb2
from env_server.environments.base import Environment

ENVIRONMENTS = {
    "charging": "env_server.environments.charging:Charging",
    "scml": "env_server.environments.scml:Scml",
}
MAX_ENVS = 65536


def load(name: str) -> type[Environment]:
    """The class of the game called ``name``.

    Raises:
        Refused: there is no such game.
    """
    if name not in ENVIRONMENTS:
        known = "one of " + ", ".join(sorted(ENVIRONMENTS))
        raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, "environment.name", known, repr(name))
    module, _, attribute = ENVIRONMENTS[name].partition(":")
    return cast(type[Environment], getattr(importlib.import_module(module), attribute))


def make(spec: environment_pb2.EnvironmentSpec, num_envs: int | None = None) -> Environment:
    """Build a game from its spec, with ``num_envs`` copies instead of the spec's if given.

    Raises:
        Refused: unknown game, malformed configuration, or a number of copies out of range.
    """
    game = load(spec.name)
    copies = spec.num_envs if num_envs is None else num_envs
    if not 1 <= copies <= MAX_ENVS:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "environment.num_envs", f"1 to {MAX_ENVS}", str(copies))
    try:
        config = game.Config.model_validate(json.loads(spec.config_json or "{}"))
    except json.JSONDecodeError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "environment.config_json", "a JSON object", str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("environment.config", *(str(part) for part in first["loc"])))
        raise Refused(policy_pb2.REASON_CONFIG, field, first["msg"], repr(first["input"])) from error
    try:
        return game(config, copies)
    except ValueError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "environment.config", "a playable game", str(error)) from error
