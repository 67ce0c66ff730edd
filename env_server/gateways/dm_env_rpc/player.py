"""A client that joined a world: its session, and where its sequence of steps stands."""

from __future__ import annotations

import numpy as np

from agora.spaces import Leaf
from env_server.environments.base import Array, Step, Values
from env_server.gateways.dm_env_rpc import wire_pb2 as pb
from env_server.gateways.dm_env_rpc.layout import Layout
from env_server.gateways.game import Part
from env_server.rollout.collect import Workshop
from env_server.rollout.decisions import middle
from env_server.rollout.runner import Block
from env_server.sessions.session import Session


class Player:
    """One client's part in a world.

    The first step after a join, a reset or an end shows how an episode begins and ignores its actions. An end is when
    no copy awaits the agent any more.

    Attributes:
        layout: what the client may send and ask for.
    """

    layout: Layout

    def __init__(self, session: Session, part: Part, seed: int) -> None:
        """See ``join``."""
        self._session, self._index, self._seed = session, part.index, seed
        self._nothing: list[Values] = [{} for _ in session.environment.agents]
        self._episodes = 0
        self._first: Step | None = None
        self._begins = True

    @classmethod
    async def join(cls, workshop: Workshop, part: Part, seed: int) -> Player:
        """Open a session and begin its first episode.

        Args:
            workshop: of the server.
            part: what is played.
            seed: episode k is drawn as block k of a collection with this seed.

        Raises:
            Refused: see ``Session.open`` and ``Layout``.
        """
        session = await Session.open(workshop, part.spec, part.played)
        player = cls(session, part, seed)
        try:
            first = await player._begin()
            player.layout = Layout(session.environment, part.index, first)
        except BaseException:
            await session.close()
            raise
        return player

    def restart(self) -> None:
        """Let the next step begin an episode, unless it does so anyway."""
        self._begins = True

    async def step(self, request: pb.StepRequest, response: pb.StepResponse) -> None:
        """Answer a step; a refused one has changed nothing.

        Raises:
            Refused: an unknown number, a wrong action, or a failure of an agent service.
        """
        begins = self._begins
        self.layout.check(request, acts=not begins)
        if begins:
            step = self._first or await self._begin()
            self._first, self._begins = None, False
        else:
            step = await self._session.step(self._actions(request))
        self._last = step
        self._terminated |= step.terminated[:, self._index]
        if step.awaited[:, self._index].any():
            response.state = pb.RUNNING
        else:
            self._begins = True
            response.state = pb.TERMINATED if self._terminated.all() else pb.INTERRUPTED
        self.layout.show(response, request.requested_observations, step, self._terminated)

    def _actions(self, request: pb.StepRequest) -> list[Values]:
        last, index = self._last, self._index
        values = self.layout.read_actions(request.actions, lambda leaf: _default(leaf, last, index))
        return [*self._nothing[:index], values, *self._nothing[index + 1 :]]

    async def _begin(self) -> Step:
        self._first = await self._session.reset(Block(self._seed, self._episodes).environment_seed)
        self._episodes += 1
        self._terminated = np.zeros(len(self._first.awaited), np.bool_)
        return self._first

    async def leave(self) -> None:
        """Give the environment back."""
        await self._session.close()


def _default(leaf: Leaf, step: Step, index: int) -> Array:
    """What an action is that was not sent: the first legal choice, or the middle of its bounds."""
    mask = step.action_masks.get(index, {}).get(leaf.path)
    if mask is None or not leaf.choices:
        return middle(leaf, len(step.awaited))
    choices = np.split(mask, np.cumsum(leaf.choices)[:-1], axis=1)
    firsts = np.stack([legal.argmax(axis=1) for legal in choices], axis=1)
    chosen: Array = firsts.reshape(len(mask), *leaf.shape) + leaf.low
    return chosen.astype(leaf.dtype)
