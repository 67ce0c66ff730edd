"""A game as learners see it: one row of numbers per agent for what it sees, and one for what it does.

Agents may differ. What they see and do is then padded with zeros to the widest, so that the networks of all are one
batched product; the weights that read or make padding take no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import choices_of, is_bounded, output_width
from agora.spaces import Leaf, leaves
from trainer.spec import UNBOUNDED, GameSpec, check_observed

Floats = NDArray[np.float32]
Leaves = Mapping[str, NDArray[Any]]
MOST = float(np.finfo(np.float32).max)
MOST_OUTPUTS = 65_536
"""Of a policy's network; a layer of 128 units before so many takes 32 MiB, and training four times that."""


@dataclass(frozen=True)
class Game:
    """Shapes of a game of N agents.

    Attributes:
        agents: ids.
        observation: leaves of each agent's observation.
        action: the one leaf of each agent's action.
        state: leaves of the global state.
        choices: numbers of choices of each agent's action's elements; empty for a Box.
        observation_widths: numbers that each agent sees.
        action_widths: numbers of each agent's action: a Box's size, or the sum of its choices (one-hot).
    """

    agents: tuple[str, ...]
    observation: tuple[tuple[Leaf, ...], ...]
    action: tuple[Leaf, ...]
    state: tuple[Leaf, ...]
    choices: tuple[tuple[int, ...], ...]
    observation_widths: tuple[int, ...]
    action_widths: tuple[int, ...]

    @classmethod
    def of(cls, spec: GameSpec) -> Game:
        """Read a game's spaces.

        Raises:
            ValueError: an agent's action is not a single leaf or has more choices than a network can weigh, or an
                observation has a key that policies need.
        """
        observation = tuple(leaves(space) for space in spec.observation_spaces)
        for agent, seen in zip(spec.agents, observation, strict=True):
            check_observed(agent, seen)
        action = tuple(_single(agent, *rest) for agent, *rest in zip(spec.agents, spec.action_spaces, strict=True))
        return cls(
            agents=spec.agents,
            observation=observation,
            action=action,
            state=leaves(spec.state_space),
            choices=tuple(choices_of(leaf) for leaf in action),
            observation_widths=tuple(width_of(seen) for seen in observation),
            action_widths=tuple(output_width(leaf) for leaf in action),
        )

    @property
    def size(self) -> int:
        """N."""
        return len(self.agents)

    @property
    def observation_width(self) -> int:
        """O, the widest observation."""
        return max(self.observation_widths)

    @property
    def action_width(self) -> int:
        """A, the widest action."""
        return max(self.action_widths)

    @property
    def state_width(self) -> int:
        """S, numbers in the global state."""
        return width_of(self.state)

    @property
    def discrete(self) -> bool:
        """Whether all agents choose."""
        return all(self.choices)

    @property
    def continuous(self) -> bool:
        """Whether all agents' actions are boxes."""
        return not any(self.choices)

    @property
    def bounded(self) -> bool:
        """Whether all boxes have finite bounds."""
        return bool(all(map(is_bounded, self.action)) and (np.abs([self.low, self.high]) < UNBOUNDED).all())

    @property
    def low(self) -> Floats:
        """Lower bounds (N, A); 0 in padding, and for choices, which are one-hot."""
        return self._padded([np.zeros(()) if c else x.low for x, c in zip(self.action, self.choices, strict=True)])

    @property
    def high(self) -> Floats:
        """Upper bounds (N, A); 0 in padding."""
        return self._padded([np.ones(()) if c else x.high for x, c in zip(self.action, self.choices, strict=True)])

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which numbers of an action (N, A) are not padding."""
        return np.arange(self.action_width) < np.array(self.action_widths)[:, None]

    def alike(self) -> list[tuple[int, ...]]:
        """Agents by equal spaces, in the order of their first."""
        groups: dict[str, list[int]] = {}
        for i in range(self.size):
            groups.setdefault(repr((self.observation[i], self.action[i])), []).append(i)
        return [tuple(group) for group in groups.values()]

    def _padded(self, rows: Sequence[NDArray[Any]]) -> Floats:
        values = np.zeros((self.size, self.action_width), np.float32)
        for i, (row, leaf) in enumerate(zip(rows, self.action, strict=True)):
            within = np.clip(
                np.asarray(row, np.float64), -MOST, MOST
            )  # a double's open bound is none of float32's numbers
            values[i, : self.action_widths[i]] = np.broadcast_to(within, leaf.shape).ravel() if row.ndim else within
        return values


def width_of(members: Sequence[Leaf]) -> int:
    """Numbers in leaves."""
    return sum(int(np.prod(leaf.shape, dtype=np.int64)) for leaf in members)


def _single(agent: str, space: Any) -> Leaf:
    found = leaves(space)
    # A Dict or Tuple of one member is one leaf too, but its heads have names that no exported policy answers to.
    if len(found) != 1 or found[0].path:
        raise ValueError(f"action space of {agent}: expected a single Box or choices, got {space}")
    if (outputs := output_width(found[0])) > MOST_OUTPUTS:
        raise ValueError(f"action space of {agent}: expected at most {MOST_OUTPUTS:,} choices, got {outputs:,}")
    return found[0]
