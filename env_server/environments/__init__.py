"""The table of games. A new game is one new folder and one line here; it is imported when it is first asked for."""

from __future__ import annotations

import importlib
import json
import logging
import re
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from agora.errors import Refused
from agora.names import check_agent_ids
from agora.spaces import check_carried, leaves
from agora.v1 import environment_pb2, policy_pb2
from env_server.environments.base import Environment, not_exiting

log = logging.getLogger(__name__)

ENVIRONMENTS = {
    "charging": "env_server.environments.charging:Charging",
    "market": "env_server.environments.market:Market",
    "matrix": "env_server.environments.matrix:Matrix",
    "mpe": "env_server.environments.mpe:Mpe",
    "pettingzoo": "env_server.environments.pettingzoo:PettingZoo",
    "scml": "env_server.environments.scml:Scml",
}
MAX_ENVS = 65536
SOURCE = "source"
"""The field of a game's configuration that takes what stands behind the colon of a name."""
_GAME = re.compile(r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)=([A-Za-z0-9_.]+:[A-Za-z_][A-Za-z0-9_]*)$")


def add(game: str) -> None:
    """Add somebody's own game to the table.

    Args:
        game: "NAME=MODULE:CLASS"; the class is an ``Environment``.

    Raises:
        Refused: it is malformed, the name is taken, or there is no such class.
    """
    match = _GAME.match(game)
    if match is None:
        raise Refused(policy_pb2.REASON_CONFIG, "game", "NAME=MODULE:CLASS", repr(game))
    name, place = match.groups()
    if ENVIRONMENTS.get(name, place) != place:
        raise Refused(policy_pb2.REASON_CONFIG, "game", "a name that no other game has", repr(name))
    try:
        found = _import(place)
    except Exception as error:  # it is somebody's own code
        got = f"{type(error).__name__}: {error}"
        raise Refused(policy_pb2.REASON_CONFIG, "game", "a class that can be imported", got) from error
    if not _is_game(found):
        expected = "an Environment class, with reset, step and a Config that is an EnvironmentConfig"
        raise Refused(policy_pb2.REASON_CONFIG, "game", expected, repr(place))
    ENVIRONMENTS[name] = place


def load(name: str) -> type[Environment]:
    """The class of the game called ``name``; what stands behind a colon does not matter.

    Raises:
        Refused: there is no such game.
    """
    short = name.partition(":")[0]
    if short not in ENVIRONMENTS:
        known = "one of " + ", ".join(sorted(ENVIRONMENTS))
        raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, "environment.name", known, repr(name))
    return _import(ENVIRONMENTS[short])


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
        config = game.Config.model_validate(_settings(spec, game))
    except json.JSONDecodeError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "environment.config_json", "a JSON object", str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("environment.config", *(str(part) for part in first["loc"])))
        raise Refused(policy_pb2.REASON_CONFIG, field, first["msg"], repr(first["input"])) from error
    try:
        with not_exiting():
            environment = game(config, copies)
    except ValueError as error:  # settings that it cannot play, or its own fault: only the traceback tells which
        log.warning("%s is not built", spec.name, exc_info=error)
        raise Refused(policy_pb2.REASON_CONFIG, "environment.config", "a playable game", str(error)) from error
    _check_described(environment)
    return environment


def _check_described(environment: Environment) -> None:
    """Refuse what the contract cannot carry of a game, whoever made it, before anybody plays it."""
    agents = environment.agents
    check_agent_ids(agents, "environment.agents")
    for kind in ("observation_space", "action_space"):
        members = getattr(environment, f"{kind}s")
        for agent in agents:
            if agent not in members:
                raise Refused(policy_pb2.REASON_CONFIG, f"environment.{kind}s", f"one for {agent}", "none")
            check_carried(members[agent], f"environment.{agent}.{kind}")
    try:
        leaves(environment.state_space)  # which may be empty
    except Refused as refused:
        raise refused.under("environment.state_space") from refused


def _import(place: str) -> type[Environment]:
    module, _, attribute = place.partition(":")
    with not_exiting():
        return cast(type[Environment], getattr(importlib.import_module(module), attribute))


def _is_game(game: object) -> bool:
    config = getattr(game, "Config", None)
    methods = (getattr(game, name, None) for name in ("reset", "step"))
    return isinstance(config, type) and issubclass(config, BaseModel) and all(map(callable, methods))


def _settings(spec: environment_pb2.EnvironmentSpec, game: type[Environment]) -> Any:
    """The configuration as it was sent, and in it what stands behind the name's colon."""
    settings = json.loads(spec.config_json or "{}")
    short, colon, source = spec.name.partition(":")
    if not colon or not isinstance(settings, dict):
        return settings
    if SOURCE not in game.Config.model_fields:
        expected = f"{short!r}: its name ends there"
        raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, "environment.name", expected, repr(spec.name))
    if settings.setdefault(SOURCE, source) != source:
        field, got = f"environment.config.{SOURCE}", repr(settings[SOURCE])
        raise Refused(policy_pb2.REASON_CONFIG, field, f"what the name says, {source!r}", got)
    return settings
