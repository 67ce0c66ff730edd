"""The server's lobby: who may join it, and a port of its own for it."""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from pathlib import Path

import grpc.aio
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pydantic import TypeAdapter, ValidationError

from agora.channels import SERVER_OPTIONS, bind
from agora.errors import Refused
from agora.interceptors import Boundary
from agora.lobby import Lobby
from agora.v1 import lobby_pb2_grpc, policy_pb2

log = logging.getLogger(__name__)

_TOKENS = TypeAdapter(dict[str, str])


def read_tokens(path: Path) -> Mapping[str, str]:
    """Names and their tokens, from a YAML mapping; a file that others can read is warned of.

    Raises:
        Refused: REASON_CONFIG: it cannot be read, is no mapping of text to text, or a name or token is empty.
    """
    expected = "a YAML file of lines NAME: TOKEN"
    try:
        tokens = _TOKENS.validate_python(yaml.safe_load(path.read_text()), strict=True)
        mode = path.stat().st_mode
    except OSError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "lobby_tokens", expected, f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError):
        # What is wrong there may be a token: it is not repeated.
        raise Refused(policy_pb2.REASON_CONFIG, "lobby_tokens", expected, f"{path}: something else") from None
    if not tokens or not all(name and token for name, token in tokens.items()):
        raise Refused(policy_pb2.REASON_CONFIG, "lobby_tokens", expected, f"{path}: an empty name, token or file")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("others on this machine can read the tokens in %s: chmod 600", path)
    return tokens


async def start(lobby: Lobby, listen: str, *, insecure: bool) -> grpc.aio.Server:
    """Serve a lobby and its health, and nothing else: who can dial this address reaches no game.

    Raises:
        Refused: the address is taken, or not local.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
    address = bind(server, listen, insecure=insecure)
    lobby_pb2_grpc.add_LobbyServiceServicer_to_server(lobby, server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    await server.start()
    await checker.set("", health_pb2.HealthCheckResponse.SERVING)
    log.info("lobby listening address=%s", address)
    return server
