"""Asking an environment server what the game is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio

from agora.channels import connect
from agora.errors import Refused, explain
from agora.v1 import environment_pb2, environment_pb2_grpc, policy_pb2
from agora.waiting import waiting
from deploy.errors import BadExperiment, Fault, ProcessFailed
from deploy.experiment import EnvironmentSettings

DESCRIBE_SECONDS = 120.0
"""Building a game for the first time may compile it."""


async def describe_environment(
    address: str, settings: EnvironmentSettings, source: str, log: Path, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """The game's agents, full configuration and facts, as ``environment.json`` holds them.

    Args:
        address: of the environment server.
        settings: the game.
        source: the file or flag that says so, for what is wrong with it.
        log: the server's, for what is wrong with the server or the game's own code.
        say: told what is waited for when that takes long.

    Raises:
        BadExperiment: the server does not know the game, or refuses its configuration.
        ProcessFailed: the server did not answer, or the game failed in it.
    """
    spec = environment_pb2.EnvironmentSpec(
        name=settings.name, config_json=json.dumps(settings.config, default=str), num_envs=1
    )
    request = environment_pb2.DescribeEnvironmentRequest(environment=spec)
    try:
        async with connect(address) as channel, waiting(lambda: _building(settings.name), say or (lambda _: None)):
            stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
            answer = await stub.DescribeEnvironment(request, timeout=DESCRIBE_SECONDS)
    except grpc.aio.AioRpcError as error:
        problem = explain(error, address)
        if isinstance(problem, Refused) and problem.reason != policy_pb2.REASON_INTERNAL:
            raise BadExperiment(source, [Fault(problem.field, problem.expected, problem.got)]) from None
        raise ProcessFailed("env_server", f"does not describe {settings.name!r}: {problem}", log) from None
    return {
        "name": settings.name,
        "agents": [agent.id for agent in answer.agents],
        "config": json.loads(answer.config_json or "{}"),
        "facts": json.loads(answer.facts_json or "{}"),
        "has_payoff": answer.has_payoff,
    }


def _building(name: str) -> str:
    return f"the environment server to build {name}, which compiles it the first time, at most {DESCRIBE_SECONDS:g} s"
