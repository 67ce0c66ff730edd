"""Environments of a server as the environments of today's reinforcement-learning libraries.

Every function opens a session of its own at the environment server at ``address``. Its common arguments::

    environment     the game's name at the server
    config          its configuration, if not the default
    seats           agents that agent services play: {agent: address, or [addresses of replicas]}; "*" is all others
    timeout         seconds that any answer of the server may take (60)
    deadline        seconds that an agent service may take for an answer (5)
    lease           seconds after which the server gives up a client that is dead or frozen (60)

All raise ``agora.errors.Refused`` where a request is wrong, naming the field, and ``agora.errors.Unavailable`` where
the server does not answer. An action that was refused changes nothing. Environments are closed by ``close`` or when
they are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from agora.clients.driver import Driver, Options
from agora.clients.given import Seats

if TYPE_CHECKING:
    from agora.clients.aec import AgoraAECEnv
    from agora.clients.gym import AgoraEnv
    from agora.clients.parallel import AgoraParallelEnv
    from agora.clients.vector import AgoraVectorEnv

__all__ = ["aec_env", "gym_env", "parallel_env", "vector_env"]


def parallel_env(
    address: str,
    environment: str = "charging",
    config: Mapping[str, Any] | None = None,
    seats: Seats | None = None,
    **options: Unpack[Options],
) -> AgoraParallelEnv:
    """A ``pettingzoo.ParallelEnv``; its agents are those without a seat."""
    from agora.clients.parallel import AgoraParallelEnv

    return AgoraParallelEnv(Driver(address, environment, config, seats, **options))


def aec_env(
    address: str,
    environment: str = "charging",
    config: Mapping[str, Any] | None = None,
    seats: Seats | None = None,
    **options: Unpack[Options],
) -> AgoraAECEnv:
    """A ``pettingzoo.AECEnv``; its agents are those without a seat."""
    from agora.clients.aec import AgoraAECEnv

    return AgoraAECEnv(Driver(address, environment, config, seats, **options))


def gym_env(
    address: str,
    environment: str = "charging",
    config: Mapping[str, Any] | None = None,
    seats: Seats | None = None,
    *,
    agent: str,
    **options: Unpack[Options],
) -> AgoraEnv:
    """A ``gymnasium.Env`` for one agent; all others have seats."""
    from agora.clients.gym import AgoraEnv

    return AgoraEnv(Driver(address, environment, config, seats, agent=agent, **options))


def vector_env(
    address: str,
    environment: str = "charging",
    config: Mapping[str, Any] | None = None,
    seats: Seats | None = None,
    *,
    agent: str,
    num_envs: int,
    **options: Unpack[Options],
) -> AgoraVectorEnv:
    """A ``gymnasium.vector.VectorEnv`` for one agent in ``num_envs`` copies; all others have seats."""
    from agora.clients.vector import AgoraVectorEnv

    return AgoraVectorEnv(Driver(address, environment, config, seats, agent=agent, num_envs=num_envs, **options))
