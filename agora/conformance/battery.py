"""The spaces that an agent is tried on if nothing says what it was made for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from gymnasium import spaces

from agora.spaces import Leaf, Space, from_proto, leaves, to_proto
from agora.v1 import agent_pb2, policy_pb2


@dataclass(frozen=True, eq=False)
class Pair:
    """What an agent sees and may do.

    Attributes:
        name: for reports.
    """

    name: str
    observation: Space
    action: Space

    @cached_property
    def seen(self) -> tuple[Leaf, ...]:
        """Leaves of the observation."""
        return leaves(self.observation)

    @cached_property
    def done(self) -> tuple[Leaf, ...]:
        """Leaves of the action."""
        return leaves(self.action)

    def spec(self, index: int, policy_id: str = "") -> agent_pb2.AgentSpec:
        """As a hello announces an agent."""
        return agent_pb2.AgentSpec(
            index=index,
            id=f"agent_{index}",
            observation_space=to_proto(self.observation),
            action_space=to_proto(self.action),
            policy=policy_pb2.PolicyReference(policy_id=policy_id),
        )


def told(name: str, message: agent_pb2.AgentSpec | policy_pb2.PolicySpec) -> Pair:
    """The spaces of an announced agent or of a policy that tells what it was made for.

    Raises:
        Refused: they are malformed.
    """
    observation = from_proto(message.observation_space, "observation_space")
    return Pair(name, observation, from_proto(message.action_space, "action_space"))


def _box(low: float, high: float, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> spaces.Box:
    return spaces.Box(np.full(shape, low, dtype), np.full(shape, high, dtype), shape, dtype)  # type: ignore[arg-type]


BATTERY: tuple[Pair, ...] = (
    Pair("box", _box(0.0, 1.0, (3,)), _box(-1.0, 1.0, (2,))),
    Pair("discrete", _box(-5.0, 5.0, (4,)), spaces.Discrete(5)),
    Pair("discrete_from_elsewhere", spaces.Discrete(6, start=3), spaces.Discrete(4, start=-2)),
    Pair("multi_discrete", spaces.MultiDiscrete([3, 4]), spaces.MultiDiscrete([2, 3, 5])),
    Pair("multi_binary", spaces.MultiBinary(5), spaces.MultiBinary(3)),
    Pair(
        "dict",
        spaces.Dict({"prices": _box(0.0, 1.0, (2, 3)), "open": spaces.Discrete(2), "bits": spaces.MultiBinary(4)}),
        spaces.Dict({"choice": spaces.Discrete(3), "amounts": _box(0.0, 10.0, (2,))}),
    ),
    Pair(
        "tuple",
        spaces.Tuple((_box(-9, 9, (2,), np.int64), spaces.Discrete(4))),
        spaces.Tuple((spaces.Discrete(2), _box(0.0, 2.0, ()))),
    ),
    Pair("image", _box(0, 255, (16, 12, 3), np.uint8), spaces.Discrete(4)),
    Pair("integers", _box(-10, 10, (2,), np.int32), _box(0, 100, (3,), np.int64)),
    Pair("unbounded", _box(-np.inf, np.inf, (3,), np.float64), _box(-2.0, 2.0, (2, 2), np.float64)),
)
