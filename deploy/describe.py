"""``agora describe``: what runs at an address."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rich.text import Text

from agora import terminal
from agora.channels import connect_blocking
from agora.errors import Refused, explain, refusal_in
from agora.ranges import DAY, SHORTEST, range_missed
from agora.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    environment_pb2,
    environment_pb2_grpc,
    policy_pb2,
    policy_registry_pb2,
    policy_registry_pb2_grpc,
)
from deploy.described import print_description
from deploy.errors import EXIT_FAILED, EXIT_REFUSED, BadExperiment, Fault, LaunchError

Json = dict[str, Any]

CONNECT_SECONDS = 5.0
"""Longer than a server that is there needs to be reached, and short for whoever mistyped an address."""

_WENT_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def describe(address: str, *, as_json: bool, timeout: float) -> int:
    """Print what runs at an address.

    Returns:
        The exit code: 0, 1 if nothing answers, or no longer, or 2 if the address or the timeout is none.
    """
    errors = terminal.console(stderr=True)
    try:
        _check_timeout(timeout)
        with connect_blocking(address) as channel, errors.status(Text(f"asking {address}")):
            found = _look(channel, address, timeout)
    except LaunchError as error:
        errors.print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    except Refused as error:
        errors.print(str(error), style="red", soft_wrap=True)
        return EXIT_REFUSED
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        hint = f"is something listening there, such as `python -m env_server --listen {address}`?"
        errors.print(f"{_why(error, address, timeout)}\n{hint}", style="red", soft_wrap=True)
        return EXIT_FAILED
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print_description(terminal.console(), found)
    return 0


def _check_timeout(timeout: float) -> None:
    if expected := range_missed(timeout, SHORTEST, DAY):
        raise BadExperiment("--timeout", [Fault("(flag)", expected, f"{timeout:,}")])


def _look(channel: grpc.Channel, address: str, timeout: float) -> Json:
    grpc.channel_ready_future(channel).result(timeout=min(timeout, CONNECT_SECONDS))
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
    services = _services(channel, timeout)
    found: Json = {
        "address": address,
        "health": health_pb2.HealthCheckResponse.ServingStatus.Name(health.status),
        "services": services,
    }
    for service, (key, ask) in _QUESTIONS.items():
        if service in services:
            found[key] = ask(channel, timeout)
    return found


def _services(channel: grpc.Channel, timeout: float) -> list[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = list(stub.ServerReflectionInfo(iter([request]), timeout=timeout))
    return sorted(service.name for answer in answers for service in answer.list_services_response.service)


def _environments(channel: grpc.Channel, timeout: float) -> list[Json]:
    stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
    names = stub.DescribeEnvironment(environment_pb2.DescribeEnvironmentRequest(), timeout=timeout).names
    return [{"name": name, **_game(stub, name, timeout)} for name in names]


def _game(stub: environment_pb2_grpc.EnvironmentServiceStub, name: str, timeout: float) -> Json:
    """A game as it is without settings, or why it is not described, and which settings it takes.

    Raises:
        LaunchError: the server went away meanwhile.
    """
    spec = environment_pb2.EnvironmentSpec(name=name, config_json="{}", num_envs=1)
    try:
        request = environment_pb2.DescribeEnvironmentRequest(environment=spec)
        return _environment(stub.DescribeEnvironment(request, timeout=timeout))
    except grpc.RpcError as error:
        why, refused = _why(error, name, timeout), refusal_in(error)
        if refused is None and error.code() in _WENT_AWAY:
            raise LaunchError(f"the server went away while it described its game {name}: {why}") from None
    try:
        request = environment_pb2.DescribeEnvironmentRequest(environment=spec, schema_only=True)
        schema = json.loads(stub.DescribeEnvironment(request, timeout=timeout).config_schema_json or "{}")
    except grpc.RpcError:  # a server that does not know the question, or a game that cannot even be imported
        schema = {}
    needs = refused is not None and refused.field.startswith("environment.config")
    return {"refused": why, "needs_settings": needs, "config_schema": schema}


def _why(error: grpc.RpcError | grpc.FutureTimeoutError, asked: str, timeout: float) -> str:
    if isinstance(error, grpc.FutureTimeoutError):
        return f"{asked}: nothing there within {min(timeout, CONNECT_SECONDS):g} s"
    late = hasattr(error, "code") and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    if late:
        return f"{asked}: no answer within {timeout:g} s (--timeout)"
    problem = explain(error, asked)
    fault = isinstance(problem, Refused) and problem.reason == policy_pb2.REASON_INTERNAL
    return f"{problem}, of which the server's log tells more" if fault else str(problem)


def _environment(answer: environment_pb2.DescribeEnvironmentResponse) -> Json:
    return {
        "agents": [_dict(agent) for agent in answer.agents],
        "state_space": _dict(answer.state_space),
        "config": json.loads(answer.config_json or "{}"),
        "config_schema": json.loads(answer.config_schema_json or "{}"),
        "has_payoff": answer.has_payoff,
        "facts": json.loads(answer.facts_json or "{}"),
    }


def _agents(channel: grpc.Channel, timeout: float) -> Json:
    stub = agent_pb2_grpc.AgentServiceStub(channel)
    return _dict(stub.DescribeAgents(agent_pb2.DescribeAgentsRequest(), timeout=timeout))


def _policies(channel: grpc.Channel, timeout: float) -> list[Json]:
    stub = policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel)
    return [_dict(entry) for entry in stub.List(policy_registry_pb2.ListRequest(), timeout=timeout).entries]


def _dict(message: Message) -> Json:
    values: Json = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return values


_QUESTIONS: dict[str, tuple[str, Callable[[grpc.Channel, float], Any]]] = {
    "agora.v1.EnvironmentService": ("environments", _environments),
    "agora.v1.AgentService": ("agent_service", _agents),
    "agora.v1.PolicyRegistryService": ("policies", _policies),
}
