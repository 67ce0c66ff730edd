"""The worlds that a server's clients created."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.gateways.dm_env_rpc import wire_pb2 as pb
from env_server.gateways.dm_env_rpc.player import Player
from env_server.gateways.dm_env_rpc.settings import WorldSettings, check_names, text
from env_server.gateways.game import Game, find_game
from env_server.rollout.collect import Workshop
from env_server.settings import GatewaySettings

MAX_WORLDS = 1024
"""Worlds kept; the oldest that nobody has joined goes for a new one. Only a joined world holds an environment."""


@dataclass
class World:
    """A game that can be joined.

    Attributes:
        game: what is played.
        seed: what its episodes are drawn from.
        taken: whether a client has joined, or is about to.
        player: who has joined.
    """

    game: Game
    seed: int
    taken: bool = False
    player: Player | None = None


class Worlds:
    """Worlds by name; any connection may create, join, reset and destroy them, and one at a time is in each."""

    def __init__(self, workshop: Workshop, settings: GatewaySettings) -> None:
        self._workshop, self._settings = workshop, settings
        self._worlds: dict[str, World] = {}

    async def create(self, request: pb.CreateWorldRequest) -> str:
        """The name of a new world.

        Raises:
            Refused: a wrong setting.
        """
        said = WorldSettings.read(request.settings)
        game = await find_game(self._settings, said.environment, said.config_json, said.num_envs)
        name = f"{game.spec.name}-{uuid.uuid4().hex[:12]}"
        self._worlds[name] = World(game, said.seed)
        if len(self._worlds) > MAX_WORLDS:
            idle = next((old for old, world in self._worlds.items() if not world.taken))
            del self._worlds[idle]
        return name

    async def join(self, request: pb.JoinWorldRequest) -> tuple[World, Player]:
        """Act for an agent of a world.

        Raises:
            Refused: no such world, a wrong setting, an agent that nobody answers for, or somebody is in it.
        """
        world = self._find(request.world_name)
        check_names(request.settings, ("agent", "seats"))
        agent, seats = text(request.settings, "agent"), text(request.settings, "seats")
        part = world.game.part(
            agent or self._settings.gateway_agent, self._settings.gateway_seats if seats is None else seats.split()
        )
        if world.taken:
            raise Refused(policy_pb2.REASON_CAPACITY, "world_name", "a world that nobody has joined", "a joined one")
        world.taken = True
        try:
            world.player = await Player.join(self._workshop, part, world.seed)
        finally:
            world.taken = world.player is not None
        return world, world.player

    def reset(self, request: pb.ResetWorldRequest) -> None:
        """Let a world begin an episode with its player's next step.

        Raises:
            Refused: no such world, or a setting.
        """
        check_names(request.settings, ())
        player = self._find(request.world_name).player
        if player is not None:
            player.restart()

    def destroy(self, name: str) -> None:
        """Forget a world.

        Raises:
            Refused: no such world, or somebody is in it.
        """
        if self._find(name).taken:
            raise Refused(policy_pb2.REASON_NOT_READY, "world_name", "a world that everybody has left", "a joined one")
        del self._worlds[name]

    def _find(self, name: str) -> World:
        if name not in self._worlds:
            raise Refused(policy_pb2.REASON_NOT_READY, "world_name", "a world that was created here", repr(name))
        return self._worlds[name]
