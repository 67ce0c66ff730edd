"""What a server must know of an environment before it plays: found out by a process of its own."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from gymnasium import spaces

from agora.errors import Refused
from agora.names import check_agent_ids
from agora.spaces import Space, check_carried, from_proto, to_proto
from agora.v1 import policy_pb2, space_pb2
from env_server.environments.pettingzoo.copies import copy_of
from env_server.environments.pettingzoo.offspring import may_have_offspring
from env_server.environments.pettingzoo.source import Source

SECONDS = 60.0
"""How long an environment may take to be imported, built and reset."""
CONTEXT = multiprocessing.get_context("spawn")  # the server has threads


@dataclass(frozen=True)
class Blueprint:
    """An environment's agents and spaces; the spaces as serialized messages, so that no class of its own is needed.

    Attributes:
        agents: ids of the possible agents.
        observation_spaces, action_spaces: per agent.
        state_space: of its global state; None: it has none, and the joint observation stands in.
        masked: per agent, whether it is told which actions are legal.
    """

    agents: tuple[str, ...]
    observation_spaces: tuple[bytes, ...]
    action_spaces: tuple[bytes, ...]
    state_space: bytes | None
    masked: tuple[bool, ...]


def space_of(message: bytes) -> Space:
    """A space from its serialized message."""
    return from_proto(space_pb2.Space.FromString(message))


@functools.lru_cache(maxsize=64)
def draw(text: str, allowed: tuple[str, ...]) -> Blueprint:
    """Find out about the environment that ``text`` names.

    Raises:
        Refused: it is malformed, not allowed, not there, or of a kind that cannot be hosted.
    """
    Source.parse(text, allowed)
    answer = _asked(text, allowed)
    if isinstance(answer, Refused):
        raise answer
    return answer


def _asked(text: str, allowed: tuple[str, ...]) -> Blueprint | Refused:
    """The answer of a process that builds the environment; it is ended whatever happens."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_tell, args=(theirs, text, allowed), daemon=True)
    process.start()
    theirs.close()
    try:
        return _received(ours)
    except EOFError:
        process.join()
        expected, got = "an environment that can be built", f"none: its process ended with {process.exitcode}"
        return Refused(policy_pb2.REASON_CONFIG, "environment.name", expected, got)
    finally:
        ours.close()
        process.kill()
        process.join()


def _received(link: Connection) -> Blueprint | Refused:
    if not link.poll(SECONDS):
        expected = f"an environment that is built within {SECONDS:g} s"
        return Refused(policy_pb2.REASON_DEADLINE, "environment.name", expected, "none", retryable=True)
    answer: Blueprint | Refused = link.recv()
    return answer


def _tell(link: Connection, text: str, allowed: tuple[str, ...]) -> None:
    may_have_offspring()
    try:
        answer: Blueprint | Refused = inspect(Source.parse(text, allowed).build(allowed))
    except Refused as refused:
        answer = refused
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        answer = Refused(policy_pb2.REASON_CONFIG, "environment.name", "an environment that can be played", got)
    link.send(answer)


def inspect(environment: Any) -> Blueprint:
    """Find out about a built environment; it is reset.

    Raises:
        Refused: a space is of a kind that the contract does not have.
        Exception: whatever the environment raises.
    """
    copy = copy_of(environment)
    agents = tuple(environment.possible_agents)
    check_agent_ids([str(agent) for agent in agents], "environment.possible_agents")
    seen = [environment.observation_space(agent) for agent in agents]
    done = [environment.action_space(agent) for agent in agents]
    for i, agent in enumerate(agents):
        check_carried(seen[i], f"{agent}.observation_space")
        check_carried(done[i], f"{agent}.action_space")
    moment = copy.reset(0)
    state = _state_space(environment)
    return Blueprint(
        agents=tuple(map(str, agents)),
        observation_spaces=tuple(to_proto(space).SerializeToString() for space in seen),
        action_spaces=tuple(to_proto(space).SerializeToString() for space in done),
        state_space=None if state is None else to_proto(state).SerializeToString(),
        masked=tuple(_has_choices(done[i]) and (i in moment.masks or _shows_mask(seen[i])) for i in range(len(agents))),
    )


def _has_choices(space: Space) -> bool:
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete)


def _shows_mask(space: Space) -> bool:
    return isinstance(space, spaces.Dict) and "action_mask" in space.spaces


def _state_space(environment: Any) -> Space | None:
    try:
        state = environment.state()
    except Exception:  # NotImplementedError, or whatever comes of a ``state`` that is something else
        return None
    space = getattr(environment, "state_space", None)
    if isinstance(space, spaces.Space) and space.contains(state):
        check_carried(space, "state_space")
        return space
    found = np.asarray(state)
    return _open_box(found) if found.dtype.kind in "biuf" else None


def _open_box(values: np.ndarray[Any, np.dtype[Any]]) -> Space:
    if values.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, values.shape, values.dtype.type)
    if values.dtype.kind == "b":
        return spaces.Box(0, 1, values.shape, np.bool_)
    limits: Callable[[Any], Any] = np.iinfo
    return spaces.Box(limits(values.dtype).min, limits(values.dtype).max, values.shape, values.dtype.type)
