"""``agora serve``: a game with its agents, kept running for whoever wants to act for one of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from agora import terminal
from agora.terminal import complain
from deploy.errors import BadExperiment, Fault, LaunchError
from deploy.experiment import EnvironmentSettings
from deploy.probing import describe_environment
from deploy.services import Services, check_agents


@dataclass(frozen=True)
class Offer:
    """What is kept running.

    Attributes:
        settings: the environment's name and configuration, and where it comes from.
        policy: who plays agents without a seat: "scripted:NAME", or "onnx:FILE".
        seats: agent to such a policy, or to the address of a running agent service.
        agent: whom clients act for; None: the first one without a seat.
        listen: address of the environment server; None: a free one.
        doors: address of each endpoint for clients of another protocol, by its flag ("dm-env-rpc", "openenv").
        lobby_tokens: file of the names and tokens of agents that may dial in.
    """

    settings: EnvironmentSettings
    policy: str
    seats: dict[str, str]
    agent: str | None
    listen: str | None
    doors: Mapping[str, str]
    lobby_tokens: Path | None = None


def serve(offer: Offer) -> int:
    """Start everything, tell where it is, and stay until told to stop; see ``agora serve --help``.

    Returns:
        The exit code.
    """
    try:
        asyncio.run(_stay(offer))
    except LaunchError as error:
        complain(str(error))
        return error.exit_code
    except asyncio.CancelledError:
        return 0
    raise AssertionError("it stays until something ends it")


async def _stay(offer: Offer) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # asyncio.run made one
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    for flag, address in {"listen": offer.listen or "", **offer.doors}.items():
        if address.endswith(":0"):
            raise BadExperiment(f"--{flag}", [Fault("(flag)", "a port that can be told", repr(address))])
    async with Services(_say) as services:
        agents = await _agents(offer)
        driven = _driven(offer, agents)
        seats = await services.seat({a: offer.seats.get(a, offer.policy) for a in agents if a != driven})
        arguments = [*offer.settings.imports, *(_arguments(offer, driven, seats) if offer.doors else [])]
        if offer.lobby_tokens is not None:
            arguments += ["--lobby-tokens", str(offer.lobby_tokens)]
        server = await services.start("env_server", "env_server", arguments, offer.listen)
        _show(offer, server, driven, seats)
        await services.watch()


def _say(text: str) -> None:
    terminal.console(stderr=True).print(text, style="dim", soft_wrap=True)


async def _agents(offer: Offer) -> list[str]:
    """Who plays. A server must be told who answers for whom when it starts, so another one is asked before."""
    async with Services(_say) as services:
        server = await services.start("env_server", "env_server", offer.settings.imports)
        about = await describe_environment(server, offer.settings, "--set", services.log("env_server"), _say)
    agents: list[str] = about["agents"]
    return agents


def _driven(offer: Offer, agents: list[str]) -> str:
    check_agents("--seat", list(offer.seats), agents)
    free = [agent for agent in agents if agent not in offer.seats]
    if offer.agent is not None:
        check_agents("--agent", [offer.agent], agents)
        free = [offer.agent] if offer.agent in free else []
    if not free:
        expected = "an agent without a seat, for clients to act for"
        raise BadExperiment("--seat", [Fault("(flag)", expected, f"seats for {', '.join(offer.seats)}")])
    return free[0]


def _arguments(offer: Offer, driven: str, seats: Mapping[str, str]) -> list[str]:
    """Flags of an environment server with doors."""
    config = json.dumps(offer.settings.config, default=str)
    words = ["--gateway-environment", offer.settings.name, "--gateway-config", config, "--gateway-agent", driven]
    for agent, address in seats.items():
        words += ["--gateway-seats", f"{agent}={address}"]
    for flag, address in offer.doors.items():
        words += [f"--{flag}", address]
    return words


def _show(offer: Offer, server: str, driven: str, seats: Mapping[str, str]) -> None:
    table = Table("what", "where", "who", box=None, padding=(0, 2, 0, 0))
    table.add_row("environment server", server, offer.settings.name)
    for flag, address in offer.doors.items():
        table.add_row(flag, address, f"clients act for {driven}")
    for agent, address in seats.items():
        who = offer.seats.get(agent, offer.policy)
        table.add_row(agent, address, "runs already" if who == address else who)
    console = terminal.console(file=sys.stdout)
    console.print(table, soft_wrap=True)
    for line in _lines(offer, server, driven, seats):
        console.print(line, soft_wrap=True)
    sys.stdout.flush()


def _lines(offer: Offer, server: str, driven: str, seats: Mapping[str, str]) -> list[str]:
    """What can be pasted to act for the agent."""
    game = f"environment={offer.settings.name!r}, config={offer.settings.config!r}"
    lines = [
        f"\nact for {driven} from Python:",
        "  from agora.clients import gym_env",
        f"  env = gym_env({server!r}, {game}, agent={driven!r}, seats={dict(seats)!r})",
    ]
    if address := offer.doors.get("dm-env-rpc"):
        lines += ["as a dm_env:", "  from dm_env_rpc.v1 import connection"]
        lines += [f"  channel = connection.create_secure_channel_and_connect({address!r})"]
    if address := offer.doors.get("openenv"):
        lines += ["as an OpenEnv:", "  from openenv import GenericEnvClient"]
        lines += [f"  env = GenericEnvClient(base_url='http://{address}').sync()"]
    if offer.doors and (
        proxies := sorted({"http_proxy", "https_proxy", "grpc_proxy"} & set(map(str.lower, os.environ)))
    ):
        lines += [f"{', '.join(proxies)} is set: these clients reach the doors with no_proxy=127.0.0.1,localhost"]
    return [*lines, "Ctrl-C stops everything."]
