"""One client's part of a game, as OpenEnv tells it."""

from __future__ import annotations

import secrets
import uuid

import numpy as np
from gymnasium import spaces

from agora.errors import Refused
from agora.spaces import Space
from agora.v1 import policy_pb2
from env_server.environments.base import Step
from env_server.gateways.game import Part
from env_server.gateways.openenv.messages import Action, Json, Reset
from env_server.gateways.openenv.values import Schema, from_json, numbers, record, schema, to_json
from env_server.rollout.collect import Workshop
from env_server.sessions.session import Session


class Seat:
    """An agent in a game of its own; the other agents are played by services."""

    def __init__(self, session: Session, index: int) -> None:
        """See ``open``."""
        self._session, self._index = session, index
        agent = session.environment.agents[index]
        self._observes = session.environment.observation_spaces[agent]
        self._acts = session.environment.action_spaces[agent]
        self._episode_id: str | None = None
        self._step_count = 0
        self._done = True

    @classmethod
    async def open(cls, workshop: Workshop, part: Part) -> Seat:
        """Build the game and greet the services that play in it.

        Raises:
            Refused: see ``Session.open``.
        """
        return cls(await Session.open(workshop, part.spec, part.played), part.index)

    async def reset(self, asked: Reset) -> Json:
        """Start a new episode; what OpenEnv calls a reset response.

        Raises:
            Refused: see ``Session.reset``.
        """
        seed = secrets.randbits(63) if asked.seed is None else asked.seed
        step = await self._session.reset(seed)
        self._episode_id = asked.episode_id or str(uuid.uuid4())
        self._step_count = 0
        return self._tell(step)

    async def step(self, said: Action) -> Json:
        """Act; what OpenEnv calls a step response.

        Raises:
            Refused: the action is wrong, no episode is under way, or a service failed (see ``Session.step``).
        """
        if self._done:
            got = "a step before it" if self._episode_id is None else "a step after the episode's end"
            raise Refused(policy_pb2.REASON_NOT_READY, "step", "a reset", got)
        action = from_json(self._acts, said.action, "action")
        actions = [action if i == self._index else {} for i in range(len(self._session.environment.agents))]
        step = await self._session.step(actions)
        self._step_count += 1
        return self._tell(step)

    def state(self) -> Json:
        """The episode's id and its steps so far; never the game's hidden state."""
        return {"episode_id": self._episode_id, "step_count": self._step_count}

    async def close(self) -> None:
        """Give the game back."""
        await self._session.close()

    def _tell(self, step: Step) -> Json:
        i = self._index
        self._done = not step.awaited[0, i]
        told: Json = {
            "observation": to_json(self._observes, step.observations[i]),
            "truncated": bool(step.truncated[0, i]),
        }
        if masks := step.action_masks.get(i):
            told["action_mask"] = to_json(self._acts, masks)
            if isinstance(self._acts, spaces.Discrete):
                told["legal_actions"] = (self._acts.start + np.flatnonzero(masks[""][0])).tolist()
        return {"observation": told, "reward": numbers(step.rewards[0, i]), "done": self._done}


def schemas(observes: Space, acts: Space) -> dict[str, Schema]:
    """JSON Schemas of actions, observations and the state.

    Raises:
        Refused: a kind of space that the contract does not have.
    """
    result: dict[str, Schema] = {"done": {"type": "boolean"}, "reward": {"type": ["number", "null"]}}
    hints: dict[str, Schema] = {
        "action_mask": {"description": "in the shape of the action: 1 where a choice is legal, 0 where it is not"},
        "legal_actions": {"type": "array", "items": {"type": "integer"}},
    }
    seen: dict[str, Schema] = {"observation": schema(observes), "truncated": {"type": "boolean"}, **hints, **result}
    count: Schema = {"type": "integer", "minimum": 0}
    return {
        "action": record({"action": schema(acts), "metadata": {"type": "object"}}, optional=("metadata",)),
        "observation": record(seen, optional=(*hints, *result)),
        "state": record({"episode_id": {"type": ["string", "null"]}, "step_count": count}),
    }
