"""The environment server under test: one of its games, and sessions with it."""

from __future__ import annotations

from collections.abc import Sequence

from agora.channels import is_local
from agora.conformance.battery import told
from agora.conformance.case import NotApplicable, Topic, expect
from agora.conformance.doors import plain_channel
from agora.conformance.env.drive import Drive
from agora.conformance.env.player import Player
from agora.spaces import from_proto, leaves
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, seat_pb2

BUILD_SECONDS = 90.0
"""How long a game may take to be built: some are compiled then."""
COPIES = 3
SHORT = 6
"""Steps that cases play where they need not see an episode's end."""


class Server:
    """An environment server under test.

    Attributes:
        name: its address.
        channel: to it.
        described: the game, as it tells.
        pairs: the agents' spaces, in their order.
        state: leaves of the global state.
        patience: seconds to wait for each answer.
    """

    def __init__(self, address: str, game: str, config: str, patience: float) -> None:
        self.name, self._game, self._config, self.patience = address, game, config, patience
        self.channel = plain_channel(address)
        self.stub = environment_pb2_grpc.EnvironmentServiceStub(self.channel)
        self._drives: list[Drive] = []
        self._player: Player | None = None

    async def probe(self) -> None:
        """Ask for the game's agents and spaces.

        Raises:
            RpcError: the server does not know the game, or refuses its configuration.
        """
        request = pb.DescribeEnvironmentRequest(environment=self.spec(1))
        self.described = await self.stub.DescribeEnvironment(request, timeout=BUILD_SECONDS)
        self.pairs = [told(agent.id, agent) for agent in self.described.agents]
        self.state = leaves(from_proto(self.described.state_space, "state_space"))

    def spec(self, copies: int = COPIES) -> pb.EnvironmentSpec:
        """The game in so many copies."""
        return pb.EnvironmentSpec(name=self._game, config_json=self._config, num_envs=copies)

    def opening(self, copies: int = COPIES, played: Sequence[seat_pb2.Seat] = (), lease: int = 0) -> pb.ConnectRequest:
        """A good request to open a session."""
        return pb.ConnectRequest(
            open=pb.OpenEnvironment(
                environment=self.spec(copies), protocol_versions=[1], played=played, lease_seconds=lease
            )
        )

    async def raw(self, copies: int = COPIES) -> Drive:
        """A session in which nothing was said yet."""
        drive = Drive(self.stub.Connect(), self.pairs, copies, self.patience)
        self._drives.append(drive)
        return drive

    async def open(self, copies: int = COPIES, played: Sequence[seat_pb2.Seat] = (), lease: int = 0) -> Drive:
        """An open session."""
        drive = await self.raw(copies)
        answer = await drive.ask(self.opening(copies, played, lease), BUILD_SECONDS)
        expect(answer.WhichOneof("kind") == "opened", "an opened session", answer.refusal.message)
        drive.opened.CopyFrom(answer.opened)
        return drive

    async def seat(self, agent: int, *, address: str = "") -> seat_pb2.Seat:
        """An agent that the suite's own service plays, or one that is said to be at another address.

        Raises:
            NotApplicable: the game has one agent only, or the server could not reach the service.
        """
        if len(self.pairs) < 2:
            raise NotApplicable("the game has one agent only")
        if not is_local(self.name):
            raise NotApplicable("a server on another machine cannot reach the suite's own agent")
        if self._player is None:
            self._player = await Player.start()
        agent_id = self.described.agents[agent].id
        return seat_pb2.Seat(agent=agent_id, addresses=[address or self._player.address])

    async def rest(self) -> None:
        """Hang up all sessions that are still open."""
        while self._drives:
            self._drives.pop().hang_up()

    async def close(self) -> None:
        """Give everything back."""
        await self.rest()
        await self.channel.close()
        if self._player is not None:
            await self._player.stop()


ServerTopic = Topic[Server]
