"""What a trainer knows of a game: agents, spaces, and facts; never its rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gymnasium import spaces

from agora.spaces import Leaf, from_proto
from agora.v1 import environment_pb2 as pb

UNBOUNDED: Final = 1e30
"""Bounds this far out are as good as none: spaces without carry the largest float32, and its squares overflow."""


RESERVED: Final = frozenset({"memory", "next_memory", "mean", "logits", "log_std"})
"""Names of inputs and outputs that an exported policy has beside what is observed."""


def check_observed(agent: str, members: Sequence[Leaf]) -> None:
    """Refuse an observation that no exported policy could read.

    Raises:
        ValueError: a leaf is called as something else is in the model.
    """
    if taken := sorted(RESERVED & {leaf.path for leaf in members}):
        names = ", ".join(sorted(RESERVED))
        raise ValueError(f"observation space of {agent}: expected keys other than {names}, got {', '.join(taken)}")


@dataclass(frozen=True)
class GameSpec:
    """A configured game as its server describes it.

    Attributes:
        name: the game's.
        config_json: its configuration with all defaults filled in.
        agents: ids, in the environment's order.
        observation_spaces, action_spaces: one per agent.
        state_space: what critics may see.
        has_payoff: whether joint actions can be evaluated without an episode.
        facts: what the game knows of itself, for reports.
    """

    name: str
    config_json: str
    agents: tuple[str, ...]
    observation_spaces: tuple[spaces.Space[Any], ...]
    action_spaces: tuple[spaces.Space[Any], ...]
    state_space: spaces.Space[Any]
    has_payoff: bool
    facts: dict[str, Any]

    @classmethod
    def from_proto(cls, name: str, message: pb.DescribeEnvironmentResponse) -> GameSpec:
        """Unpack a description.

        Raises:
            Refused: a space is malformed.
        """
        return cls(
            name=name,
            config_json=message.config_json,
            agents=tuple(agent.id for agent in message.agents),
            observation_spaces=tuple(
                from_proto(agent.observation_space, f"{agent.id}.observation_space") for agent in message.agents
            ),
            action_spaces=tuple(from_proto(agent.action_space, f"{agent.id}.action_space") for agent in message.agents),
            state_space=from_proto(message.state_space, "state_space"),
            has_payoff=message.has_payoff,
            facts=json.loads(message.facts_json or "{}"),
        )

    def environment(self, num_envs: int) -> pb.EnvironmentSpec:
        """The same game with ``num_envs`` copies, for requests."""
        return pb.EnvironmentSpec(name=self.name, config_json=self.config_json, num_envs=num_envs)
