"""One copy of a PettingZoo environment, parallel or turn-based, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from env_server.environments.pettingzoo.moment import Moment
from env_server.environments.pettingzoo.parallel import ParallelCopy
from env_server.environments.pettingzoo.turns import TurnsCopy


class Copy(Protocol):
    """One copy.

    Attributes:
        environment: the PettingZoo environment.
        concerned: the agent with which the environment is busy, for messages.
    """

    environment: Any
    concerned: str

    def reset(self, seed: int) -> Moment:
        """Start an episode; whatever the environment raises comes through."""
        ...

    def step(self, actions: Mapping[int, Any]) -> Moment:
        """Act for all who are awaited; whatever the environment raises comes through."""
        ...


def copy_of(environment: Any) -> Copy:
    """The environment as a copy.

    Raises:
        TypeError: it is not a PettingZoo environment.
    """
    from pettingzoo.utils.env import AECEnv, ParallelEnv  # a server does without it until somebody asks for one

    match environment:
        case ParallelEnv():
            return ParallelCopy(environment)
        case AECEnv():
            return TurnsCopy(environment)
    raise TypeError(f"expected a ParallelEnv or an AECEnv, got {type(environment).__name__}")
