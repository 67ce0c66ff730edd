"""What a policy is: a function from observation to action distribution. It knows nothing of environments or gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.randomness import normal_rows, uniform_rows
from agora.spaces import Leaf, Space, leaves
from agora.v1 import policy_pb2

Array = NDArray[Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Spaces:
    """What one agent sees and may do, as leaves.

    Attributes:
        observation: leaves of the observation.
        action: leaves of the action.
        index: the agent's number in the environment.
        agent: its id.
        observation_space, action_space: the spaces themselves; None where only leaves are known.
    """

    observation: tuple[Leaf, ...]
    action: tuple[Leaf, ...]
    index: int = 0
    agent: str = ""
    observation_space: Space | None = None
    action_space: Space | None = None

    @classmethod
    def of(cls, observation_space: Space, action_space: Space, index: int = 0, agent: str = "") -> Spaces:
        """With the leaves worked out.

        Raises:
            Refused: a kind of space that the contract does not have.
        """
        seen, done = leaves(observation_space), leaves(action_space)
        return cls(seen, done, index, agent, observation_space, action_space)

    def check_same(self, other: Spaces) -> None:
        """Refuse spaces that differ from these.

        Raises:
            Refused: REASON_SPEC_MISMATCH, naming the first leaf that differs.
        """
        for name in ("observation", "action"):
            mine, theirs = getattr(self, name), getattr(other, name)
            for i in range(max(len(mine), len(theirs))):
                expected = _describe(mine[i]) if i < len(mine) else "no further leaf"
                got = _describe(theirs[i]) if i < len(theirs) else "no further leaf"
                if expected != got:
                    raise Refused(policy_pb2.REASON_SPEC_MISMATCH, f"{name}_space", expected, got)


def _describe(leaf: Leaf) -> str:
    kind = f"{leaf.path or 'leaf'}: {leaf.dtype.name} {list(leaf.shape)} in [{_bound(leaf.low)}, {_bound(leaf.high)}]"
    return f"{kind}, choices {list(leaf.choices)}" if leaf.choices else kind


def _bound(bound: Array) -> str:
    return repr(np.asarray(bound).tolist())


@dataclass(slots=True)
class Draws:
    """The random numbers of a batch's rows: functions of (seed, block, step, agent, leaf, copy) alone.

    Attributes:
        copies: uint32 (n,).
        steps: uint32 (n,), or None where all rows are at ``step``.
    """

    seed: int
    block: int
    agent: int
    step: int
    copies: NDArray[np.uint32]
    steps: NDArray[np.uint32] | None = None

    def normal(self, leaf: int, width: int) -> Floats:
        """Standard normal draws for an action leaf, float32 (n, width)."""
        return self._rows(normal_rows, leaf, width)

    def uniform(self, leaf: int, width: int) -> Floats:
        """Uniform draws in [0, 1) for an action leaf, float32 (n, width)."""
        return self._rows(uniform_rows, leaf, width)

    def _rows(self, draw: Callable[..., Floats], leaf: int, width: int) -> Floats:
        if self.steps is None:
            return draw(self.copies, width, self.seed, self.block, self.step, self.agent, leaf)
        result = np.empty((len(self.copies), width), np.float32)
        for step in np.unique(self.steps):
            rows = self.steps == step
            result[rows] = draw(self.copies[rows], width, self.seed, self.block, int(step), self.agent, leaf)
        return result


@dataclass(slots=True)
class Batch:
    """Rows of one agent that await a decision.

    Attributes:
        observation: the observation's leaves, each (n, ...), read-only.
        masks: per action leaf the legal-action mask uint8 (n, ...), or None.
        memory: uint8 (n, memory_bytes), what the policy returned at each row's last decision.
        draws: random numbers for policies that draw themselves.
    """

    observation: Sequence[Array]
    masks: Sequence[NDArray[np.uint8] | None]
    memory: NDArray[np.uint8]
    draws: Draws

    @property
    def rows(self) -> int:
        """How many: n."""
        return len(self.draws.copies)


@dataclass(slots=True)
class Normal:
    """Gaussian of a Box leaf: ``mean`` and ``log_std`` float32 (n, size of the leaf); no log_std means no spread."""

    mean: Floats
    log_std: Floats | None = None


@dataclass(slots=True)
class Categorical:
    """Choices of a Discrete, MultiDiscrete or MultiBinary leaf: ``logits`` float32 (n, sum of choices)."""

    logits: Floats


@dataclass(slots=True)
class Chosen:
    """An action that the policy settled itself, of the leaf's dtype (n, ...)."""

    action: Array


Head = Normal | Categorical | Chosen


@dataclass(slots=True)
class Decision:
    """What a policy answers: one head per action leaf, and the memory to bring back, uint8 (n, memory_bytes)."""

    heads: Sequence[Head]
    memory: NDArray[np.uint8] | None = None


Decide = Callable[[Batch], Decision | Awaitable[Decision]]
"""What waits for others returns an awaitable, so that nobody waits with it."""


class Policy(Protocol):
    """One version of a policy. Immutable: what it decides depends on the batch alone."""

    memory_bytes: int

    def bind(self, spaces: Spaces) -> Decide:
        """The decision function for an agent with these spaces.

        A row of its answer depends on that row alone, to the last bit, whatever other rows there are; where others
        compute the answer, up to their rounding. It may block, and is called in a thread of its own.

        Raises:
            Refused: the policy was not made for them.
        """
        ...


@dataclass(frozen=True)
class Source:
    """What a policy is made from.

    Attributes:
        name: what follows the colon in ``--policy KIND:NAME``.
        parameters: ``--parameter KEY=VALUE``.
        model: the model's bytes; empty for kinds without a model.
    """

    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    model: bytes = b""


def output_width(leaf: Leaf) -> int:
    """How many distribution parameters an action leaf needs: its size, or the sum of its choices."""
    return sum(choices_of(leaf)) or int(np.prod(leaf.shape, dtype=np.int64))


def choices_of(leaf: Leaf) -> tuple[int, ...]:
    """Number of choices of each element of a discrete leaf (two for a bit); empty for a Box."""
    if leaf.choices:
        return leaf.choices
    return (2,) * int(np.prod(leaf.shape)) if leaf.dtype == np.int8 and is_binary(leaf) else ()


def is_bounded(leaf: Leaf) -> bool:
    """Whether every element of a Box leaf has a lower and an upper bound."""
    if leaf.dtype.kind != "f":
        return True
    most = np.finfo(leaf.dtype).max  # what stands for an open bound
    return bool(np.all(leaf.low > -most) and np.all(leaf.high < most))


def is_binary(leaf: Leaf) -> bool:
    """Whether a leaf is bits."""
    return bool(np.all(leaf.low == 0) and np.all(leaf.high == 1))
