"""An agent in five lines: a class with one method, from a batch of observations to a batch of actions."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import Array, Batch, Chosen, Decide, Decision, Draws, Floats, Spaces
from agora.agents.returned import Returned, legal_of
from agora.errors import Refused
from agora.spaces import Space, leaves, to_proto
from agora.v1 import policy_pb2

log = logging.getLogger(__name__)

Value = Array | Mapping[str, Array]
"""A space's values for n rows: an array (n, ...), or for a Dict or Tuple space arrays by the leaves' dotted paths."""


class Agent:
    """The mind of an agent: write ``act``, and hand the object to ``agora.serve``.

    For every agent of a game that the object is seated for, ``prepare`` and ``act`` run on a shallow copy of it that
    knows its seat. Nothing that an answer depends on may be kept between two calls of ``act``: a service may be asked
    the same thing twice, and another process may be asked in between. ``memory`` is there for that.

    Attributes:
        observation_space, action_space: set them in the class if the agent was made for certain spaces, and games with
            others are refused; in ``prepare`` and ``act`` they are the seat's.
        agent_id: the agent's id in the game, such as "station_0".
        memory_size: how many numbers the agent remembers from one decision of an episode to the next.
        memory: in ``act``, float32 (n, memory_size): what it was after the row's last decision, zeros at the episode's
            start. Write to it.
    """

    observation_space: Space | None = None
    action_space: Space | None = None
    agent_id: str = ""
    memory_size: int = 0
    memory: Floats
    _draws: Draws
    _drawn: int

    def prepare(self) -> None:
        """Run once for a seat, when its spaces are known."""

    def act(self, observation: Any, legal: Any) -> Any:
        """Decide for n rows at once; a row's answer depends on that row alone.

        Args:
            observation: what the agent sees, read-only: an array (n, ...), or for a Dict space arrays by dotted path.
            legal: which choices are legal, uint8 in the structure of the action: (n, number of choices) for a
                Discrete, (n, sum of choices) for a MultiDiscrete; for a Box (n, ...), 0 where the answer is ignored.

        Returns:
            The actions: an array (n, ...), or for a Dict space a dict of arrays by dotted path. Whole numbers may
            stand for real ones. What is out of bounds or illegal is refused, and the game says so.
        """
        raise NotImplementedError(f"{type(self).__name__}.act")

    def uniform(self, width: int) -> Floats:
        """Draws in [0, 1), float32 (n, width): the same for the same row whoever is asked, and another at every call.

        They are functions of (seed, block, step, agent, copy), so that replicas agree; NumPy's own generators do not.
        """
        self._drawn += 1
        return self._draws.uniform(self._drawn - 1, width)

    def normal(self, width: int) -> Floats:
        """Standard normal draws, float32 (n, width); see ``uniform``."""
        self._drawn += 1
        return self._draws.normal(self._drawn - 1, width)


class Authored:
    """An author's agent as a policy."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.memory_bytes = agent.memory_size * np.dtype(np.float32).itemsize

    @property
    def spec(self) -> policy_pb2.PolicySpec | None:
        """What the agent says that it was made for."""
        agent = self.agent
        if agent.observation_space is None or agent.action_space is None:
            return None
        seen, done = to_proto(agent.observation_space), to_proto(agent.action_space)
        return policy_pb2.PolicySpec(observation_space=seen, action_space=done)

    def bind(self, spaces: Spaces) -> Decide:
        """A copy of the agent for one seat.

        Raises:
            Refused: REASON_SPEC_MISMATCH: the agent was made for other spaces.
        """
        agent = self.agent
        made_for = Spaces(
            spaces.observation if agent.observation_space is None else leaves(agent.observation_space),
            spaces.action if agent.action_space is None else leaves(agent.action_space),
        )
        made_for.check_same(spaces)
        seated = copy.copy(agent)
        seated.observation_space, seated.action_space = spaces.observation_space, spaces.action_space
        seated.agent_id = spaces.agent
        with _on_trial(type(agent).__name__):
            seated.prepare()
        return _Seated(seated, spaces).decide


@contextlib.contextmanager
def _on_trial(name: str) -> Iterator[None]:
    """An agent that cannot even begin in some spaces does not play them.

    Raises:
        Refused: REASON_SPEC_MISMATCH, whatever went wrong; the log has the traceback.
    """
    try:
        yield
    except Refused as refused:
        mismatch = policy_pb2.REASON_SPEC_MISMATCH
        raise Refused(mismatch, refused.field, refused.expected, refused.got) from refused
    except Exception as error:
        incident = uuid.uuid4().hex[:12]
        log.exception("incident %s: %s does not play the spaces that it was asked to play", incident, name)
        expected, got = f"spaces that {name} plays", f"{type(error).__name__}, incident {incident}"
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "act", expected, got) from error


class _Seated:
    """One seat's copy of an agent, and what turns a batch into its arguments."""

    def __init__(self, agent: Agent, spaces: Spaces) -> None:
        self._agent, self._spaces, self._tried = agent, spaces, False
        self._returned = Returned(spaces.action)
        self._paths = [leaf.path for leaf in spaces.observation]
        self._unmasked = functools.lru_cache(8)(lambda rows: self._shown([None] * len(spaces.action), rows))

    def decide(self, batch: Batch) -> Decision:
        """Actions of all rows; the first batch of a seat is its trial."""
        if self._tried:
            return self._decide(batch)
        with _on_trial(type(self._agent).__name__):
            decision = self._decide(batch)
        self._tried = True
        return decision

    def _decide(self, batch: Batch) -> Decision:
        agent = self._agent
        agent._draws, agent._drawn = batch.draws, 0
        if agent.memory_size:
            agent.memory = np.array(batch.memory).view(np.float32)
        returned = agent.act(self._observation(batch), self._legal(batch))
        actions = self._returned.read(returned, batch.rows, batch.masks)
        return Decision([Chosen(action) for action in actions], self._memory(batch.rows))

    def _observation(self, batch: Batch) -> Value:
        if self._paths == [""]:
            return batch.observation[0]
        return dict(zip(self._paths, batch.observation, strict=True))

    def _legal(self, batch: Batch) -> Value:
        masked = any(mask is not None for mask in batch.masks)
        return self._shown(batch.masks, batch.rows) if masked else self._unmasked(batch.rows)

    def _shown(self, masks: Sequence[NDArray[np.uint8] | None], rows: int) -> Value:
        pairs = zip(self._spaces.action, masks, strict=True)
        legal = {leaf.path: legal_of(leaf, mask, rows) for leaf, mask in pairs}
        return legal[""] if list(legal) == [""] else legal

    def _memory(self, rows: int) -> NDArray[np.uint8] | None:
        size = self._agent.memory_size
        if not size:
            return None
        memory = self._agent.memory
        if not isinstance(memory, np.ndarray) or memory.dtype != np.float32 or memory.shape != (rows, size):
            got = f"{getattr(memory, 'dtype', type(memory).__name__)} {list(getattr(memory, 'shape', ()))}"
            raise Refused(policy_pb2.REASON_MODEL, "memory", f"float32 {[rows, size]}", got)
        return np.ascontiguousarray(memory).view(np.uint8)
