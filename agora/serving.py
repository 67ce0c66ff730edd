"""``serve``: an author's agents as a process that games dial, or that dials in to a game's lobby."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import grpc.aio

from agora.agent import Agent, Authored
from agora.agents.handler import Handler
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.dial_in import DialIn
from agora.errors import Refused
from agora.service import Listening, run, serve as serve_grpc, serve_metrics, stop_on_signals
from agora.v1 import agent_pb2_grpc, policy_pb2

NAMES = ("agora.v1.AgentService",)


def serve(
    agent: Agent | Mapping[str, Agent],
    *,
    listen: str | None = None,
    join: str | None = None,
    name: str | None = None,
    token: str = "",
    metrics_port: int | None = None,
) -> None:
    """Answer for agents of games until SIGTERM or SIGINT.

    A process that cannot go on, because an address is taken or a token is wrong, says why and exits with code 2.

    Args:
        agent: who decides; several by the policy id under which seats ask for them.
        listen: where games dial it, HOST:PORT or unix:PATH.
        join: the server whose lobby it dials in to, instead of listening or besides.
        name: the policy id of a single agent, and the name in the lobby; by default the agent's class name.
        token: that the server's keeper gave out for this name.
        metrics_port: of the Prometheus endpoint on loopback; none switches it off.
    """
    agents = agent if isinstance(agent, Mapping) else {name or type(agent).__name__: agent}
    name = name or next(iter(agents), "")
    run(lambda: _main(agents, listen, None if join is None else (join, name, token), metrics_port), name)


async def _main(
    agents: Mapping[str, Agent], listen: str | None, lobby: tuple[str, str, str] | None, metrics_port: int | None
) -> None:
    if not agents:
        raise Refused(policy_pb2.REASON_CONFIG, "agent", "at least one agent", "none")
    if listen is None and lobby is None:
        raise Refused(policy_pb2.REASON_CONFIG, "serve", "an address to listen on, or one to join", "neither")
    servicer = AgentServicer(Handler(_shelf(policy_id, agent) for policy_id, agent in agents.items()))

    def register(server: grpc.aio.Server, address: str) -> None:
        agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, server)

    stop = asyncio.Event()
    joined = asyncio.create_task(DialIn(servicer, *lobby).run()) if lobby else None
    if joined is not None:
        joined.add_done_callback(lambda _: stop.set())
    try:
        if listen is None:
            serve_metrics(metrics_port)
            stop_on_signals(stop)
            await stop.wait()
        else:
            await serve_grpc(Listening(listen, metrics_port), register, NAMES, until=stop)
    finally:
        if joined is not None:
            joined.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await joined


def _shelf(policy_id: str, agent: Agent) -> Shelf:
    policy = Authored(agent)
    shelf = Shelf(policy_id, f"python:{type(agent).__name__}")
    shelf.put(Held(policy, NO_VERSION, spec=policy.spec, exact=False))
    return shelf
