"""The table of what a process's copies show, written row by row and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.spaces import Leaf
from env_server.environments.base import Array
from env_server.environments.pettingzoo.blueprint import Blueprint, space_of
from env_server.environments.pettingzoo.moment import Moment, Unfit
from env_server.environments.pettingzoo.table import FLAGS, choices_of, mask_key, seen_key, state_key, table_space
from env_server.environments.pettingzoo.values import Member, flat_mask, members


class Board:
    """See ``table_space``; ``now`` is the table."""

    def __init__(self, blueprint: Blueprint, rows: int) -> None:
        """A table of ``rows`` copies in which nobody is."""
        self._agents = blueprint.agents
        self._choices = choices_of(blueprint)
        table = table_space(blueprint, rows)
        self.now: dict[str, Array] = {key: np.zeros(box.shape or (), box.dtype) for key, box in table.items()}
        self._before = {key: array.copy() for key, array in self.now.items()}
        self._seen = [
            [(seen_key(i, member.leaf.path), member) for member in members(space_of(message))]
            for i, message in enumerate(blueprint.observation_spaces)
        ]
        state = [] if blueprint.state_space is None else members(space_of(blueprint.state_space))
        self._state = [(state_key(member.leaf.path), member) for member in state]
        self.has_state = bool(state)
        for row in range(rows):
            self.blank(row)

    def begin(self) -> None:
        """Keep what the rows show, and clear what belongs to one step only."""
        for key, array in self.now.items():
            np.copyto(self._before[key], array)
        for key in ("reward", "terminated", "truncated", "failed"):
            self.now[key][:] = 0

    def blank(self, row: int) -> None:
        """Show nobody in a row, now and before."""
        for table in (self.now, self._before):
            for key in (*FLAGS, "failed", "reward"):
                table[key][row] = 0
            for i in range(len(self._agents)):
                self._absent(table, row, i)
            for key, member in self._state:
                table[key][row] = _nothing(member.leaf)

    def _absent(self, table: Mapping[str, Array], row: int, agent: int) -> None:
        for key, member in self._seen[agent]:
            table[key][row] = _nothing(member.leaf)
        if agent in self._choices:
            table[mask_key(agent)][row] = 1

    def show(self, row: int, moment: Moment, state: Any) -> None:
        """Write a row.

        Raises:
            Unfit: an observation, mask, reward or state has not the form that was promised.
        """
        now = self.now
        for agent, reward in moment.rewards.items():
            now["reward"][row, agent] = reward
        for name in FLAGS:
            now[name][row] = 0
            now[name][row, list(getattr(moment, name))] = 1
        self._show_agents(row, moment)
        try:
            for key, member in self._state:
                now[key][row] = member.find(state)
        except (LookupError, TypeError, ValueError) as error:
            raise Unfit("", f"state: {error}") from error

    def _show_agents(self, row: int, moment: Moment) -> None:
        now = self.now
        for i, name in enumerate(self._agents):
            if i not in moment.observations:
                if i in moment.awaited:
                    raise Unfit(name, "observation: expected one for an agent that has to act, got none")
                # Whoever has just ended keeps what it saw last; it is gone in the next step.
                if i not in moment.alive and not self._before["alive"][row, i]:
                    self._absent(now, row, i)
                continue
            try:
                for key, member in self._seen[i]:
                    now[key][row] = member.find(moment.observations[i])
                if i in moment.masks and i in self._choices:
                    now[mask_key(i)][row] = flat_mask(moment.masks[i], sum(self._choices[i]))
            except (LookupError, TypeError, ValueError) as error:
                raise Unfit(name, str(error)) from error

    def faults(self) -> Iterator[tuple[int, str, str]]:
        """Rows whose numbers are not what the spaces say, with the agent concerned and words about it."""
        for i, name in enumerate(self._agents):
            for key, member in self._seen[i]:
                yield from ((row, name, text) for row, text in _outside(self.now[key], member))
            yield from ((row, name, "action_mask: no action is legal") for row in self._stuck(i))
        for key, member in self._state:
            yield from ((row, "", f"state: {text}") for row, text in _outside(self.now[key], member))
        for row in np.flatnonzero(~np.isfinite(self.now["reward"]).all(axis=1)):
            yield int(row), "", f"reward: expected finite numbers, got {self.now['reward'][row]}"

    def _stuck(self, agent: int) -> NDArray[np.intp]:
        legal = np.ones(len(self.now["failed"]), np.bool_)
        end = 0
        for count in self._choices.get(agent, ()):
            legal &= self.now[mask_key(agent)][:, end : end + count].any(axis=1)
            end += count
        return np.flatnonzero(~legal & (self.now["awaited"][:, agent] != 0))

    def fail(self, row: int) -> None:
        """Cut a row's episode off: it shows what it showed before this step."""
        for key, array in self.now.items():
            array[row] = 0 if key in (*FLAGS, "reward") else self._before[key][row]
        self.now["truncated"][row] = self._before["alive"][row]
        self.now["failed"][row] = 1


def _nothing(leaf: Leaf) -> Array:
    # np.clip knows no booleans.
    return np.asarray(np.minimum(np.maximum(np.zeros(leaf.shape, leaf.dtype), leaf.low), leaf.high), leaf.dtype)


def _outside(values: Array, member: Member) -> Iterator[tuple[int, str]]:
    leaf = member.leaf
    inside = (values >= leaf.low) & (values <= leaf.high)  # a NaN is neither
    if inside.all():
        return
    for row in np.flatnonzero(~inside.reshape(len(values), -1).all(axis=1)):
        wrong = ~inside[row]
        low, high = (np.broadcast_to(bound, leaf.shape)[wrong].ravel()[0] for bound in (leaf.low, leaf.high))
        yield int(row), f"{leaf.path or 'observation'}: expected [{low}, {high}], got {values[row][wrong].ravel()[0]}"
