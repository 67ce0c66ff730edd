"""What a gateway's client plays: a game, one of its agents, and who answers for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agora.errors import Refused
from agora.v1 import environment_pb2, policy_pb2, seat_pb2
from env_server.environments import MAX_ENVS, make
from env_server.environments.base import OutsourcedEnvironment
from env_server.settings import GatewaySettings

EVERYONE = "*"


@dataclass(frozen=True)
class Part:
    """One client's part in a game, as ``Session.open`` takes it.

    Attributes:
        spec: the game.
        agent: whom the client acts for.
        index: its number in the game.
        played: seats of all other agents.
    """

    spec: environment_pb2.EnvironmentSpec
    agent: str
    index: int
    played: tuple[seat_pb2.Seat, ...]


@dataclass(frozen=True)
class Game:
    """A game that can be built.

    Attributes:
        spec: the game.
        agents: its agents, in order.
    """

    spec: environment_pb2.EnvironmentSpec
    agents: tuple[str, ...]

    def part(self, agent: str | None, seats: Sequence[str]) -> Part:
        """The part of a client that acts for ``agent`` (None: the first one) while ``seats`` answer for the others.

        A seat of the client's own agent stays empty, so that the same seats do for whoever comes.

        Raises:
            Refused: an unknown agent, a malformed seat, or an agent that nobody answers for.
        """
        chosen = self.agents[0] if agent is None else agent
        index = self._number(chosen, "agent")
        named = dict(_seat(entry, f"seats[{i}]") for i, entry in enumerate(seats))
        if len(named) != len(seats):
            raise Refused(policy_pb2.REASON_CONFIG, "seats", "every agent at most once", repr(list(seats)))
        rest = named.pop(EVERYONE, None)
        for other in named:
            self._number(other, "seats")
        played = {other: named.get(other, rest) for other in self.agents if other != chosen}
        for other, addresses in played.items():
            if addresses is None:
                expected = f'"{other}=ADDRESS" or "{EVERYONE}=ADDRESS": an agent service that plays {other}'
                raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "seats", expected, repr(list(seats)))
        return Part(
            self.spec, chosen, index, tuple(seat_pb2.Seat(agent=a, addresses=found) for a, found in played.items())
        )

    def _number(self, agent: str, field: str) -> int:
        if agent not in self.agents:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, field, "one of " + ", ".join(self.agents), repr(agent))
        return self.agents.index(agent)


async def find_game(
    settings: GatewaySettings, name: str | None = None, config_json: str | None = None, num_envs: int = 1
) -> Game:
    """The game of the settings, or another one that a client names; ``config_json`` goes with the name.

    Raises:
        Refused: unknown game, malformed configuration, or a number of copies out of range.
    """
    if config_json is None:
        config_json = settings.gateway_config if name in (None, settings.gateway_environment) else "{}"
    if not 1 <= num_envs <= MAX_ENVS:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "num_envs", f"1 to {MAX_ENVS}", str(num_envs))
    spec = environment_pb2.EnvironmentSpec(
        name=name or settings.gateway_environment, config_json=config_json, num_envs=num_envs
    )
    return Game(spec, await asyncio.to_thread(_agents, spec))


def _agents(spec: environment_pb2.EnvironmentSpec) -> tuple[str, ...]:
    environment = make(spec, 1)
    if isinstance(environment, OutsourcedEnvironment):
        environment.close()
    return environment.agents


def _seat(entry: str, field: str) -> tuple[str, list[str]]:
    agent, _, addresses = entry.partition("=")
    found = [address.strip() for address in addresses.split(",") if address.strip()]
    if not agent or not found:
        raise Refused(policy_pb2.REASON_CONFIG, field, "AGENT=ADDRESS[,ADDRESS...]", repr(entry))
    return agent, found
