"""A process's share of the copies, behind one Gymnasium environment."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from agora.randomness import generator
from agora.spaces import Space
from env_server.environments.base import Array
from env_server.environments.pettingzoo.blueprint import Blueprint
from env_server.environments.pettingzoo.board import Board
from env_server.environments.pettingzoo.copies import Copy, copy_of
from env_server.environments.pettingzoo.moment import Moment, Unfit
from env_server.environments.pettingzoo.offspring import may_have_offspring
from env_server.environments.pettingzoo.source import Source
from env_server.environments.pettingzoo.table import actions_space, table_space
from env_server.environments.pettingzoo.values import native

SEED_BITS = 31
FAILURES = "failures"


@dataclass(frozen=True)
class Failure:
    """An environment that failed.

    Attributes:
        copy: the copy's number.
        agent: with which it was busy; empty: with all, or nobody in particular.
        step: since the episode's start, from 0; -1 in a reset.
        place: where it was raised, the same for the same fault.
        text: what went wrong, with the traceback if there is one.
    """

    copy: int
    agent: str
    step: int
    place: str
    text: str


@dataclass(frozen=True)
class Recipe:
    """How a share is made.

    Attributes:
        source: where its environments come from.
        allowed: modules that they may come from.
        blueprint: what is known of them.
        rows: copies of a share; the last share may have fewer.
        copies: of all shares together.
    """

    source: Source
    allowed: tuple[str, ...]
    blueprint: Blueprint
    rows: int
    copies: int


def share(recipe: Recipe, number: int) -> Chunk:
    """One of the shares, in the process that plays it."""
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this process
        may_have_offspring()
    return Chunk(recipe, number)


class Chunk(gymnasium.Env[dict[str, Array], dict[str, Array]]):
    """A share of the copies; its environments are built by the first reset.

    An observation is the whole table (see ``Board``). What copies fail of is in the info ``failures``.
    """

    def __init__(self, recipe: Recipe, number: int) -> None:
        self._recipe = recipe
        self._first = recipe.rows * number
        self.observation_space: Space = table_space(recipe.blueprint, recipe.rows)
        self.action_space: Space = actions_space(recipe.blueprint, recipe.rows)
        count = min(recipe.rows, recipe.copies - self._first)
        self._copies: list[Copy | None] = [None] * count
        self._numbers = [0] * count
        self._steps = [0] * count
        self._board = Board(recipe.blueprint, recipe.rows)
        self._own: list[Space] = []
        self._failures: list[Failure] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Start episodes.

        Args:
            seed: not used.
            options: seed: of the episodes; copies: numbers of all copies; rows: places of those that start.
        """
        told = options or {}
        rows = told["rows"] - self._first
        self._board.begin()
        for row in rows[(rows >= 0) & (rows < len(self._copies))].tolist():
            self._numbers[row], self._steps[row] = int(told["copies"][self._first + row]), -1
            self._board.blank(row)
            self._start(row, int(generator(told["seed"], self._numbers[row]).integers(2**SEED_BITS)))
        return self._shown()

    def _start(self, row: int, seed: int) -> None:
        """Start a copy's episode; an environment that cannot be reset any more is built anew."""
        if self._copies[row] is not None:
            with contextlib.suppress(Exception, SystemExit):
                return self._show(row, self._reset(row, seed))
            self._drop(row)
        self._try(row, lambda: self._reset(row, seed))

    def _reset(self, row: int, seed: int) -> Moment:
        moment = self._copy(row).reset(seed)
        if not moment.awaited:
            raise Unfit("", "agents: expected at least one after reset, got none")
        return moment

    def _copy(self, row: int) -> Copy:
        copy = self._copies[row]
        if copy is None:
            self._copies[row] = copy = copy_of(self._recipe.source.build(self._recipe.allowed))
            self._own = [copy.environment.action_space(agent) for agent in copy.environment.possible_agents]
        return copy

    def _drop(self, row: int) -> None:
        copy, self._copies[row] = self._copies[row], None
        if copy is not None:
            with contextlib.suppress(Exception, SystemExit):
                copy.environment.close()

    def step(self, action: dict[str, Array]) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        """Advance every copy whose episode goes on."""
        awaited = self._board.now["awaited"].astype(np.bool_)
        columns: list[dict[str, Array]] = [{} for _ in self._own]
        for key, column in action.items():
            agent, _, path = key.partition(".")
            columns[int(agent)][path] = column
        values = [native(space, leaves) for space, leaves in zip(self._own, columns, strict=True)]
        self._board.begin()
        for row in np.flatnonzero(awaited.any(axis=1)).tolist():
            self._steps[row] += 1
            said = {i: values[i][row] for i in np.flatnonzero(awaited[row]).tolist()}
            self._try(row, functools.partial(self._copy(row).step, said))
        table, info = self._shown()
        return table, 0.0, False, False, info

    def _try(self, row: int, act: Callable[[], Moment]) -> None:
        try:
            self._show(row, act())
        except (Exception, SystemExit) as error:
            copy = self._copies[row]
            agent = error.agent if isinstance(error, Unfit) else copy.concerned if copy else ""
            last = traceback.extract_tb(error.__traceback__)[-1]
            self._fail(row, agent, f"{last.filename}:{last.lineno}", traceback.format_exc())

    def _show(self, row: int, moment: Moment) -> None:
        state = self._copy(row).environment.state() if self._board.has_state else None
        self._board.show(row, moment, state)

    def _fail(self, row: int, agent: str, place: str, text: str) -> None:
        self._board.fail(row)
        self._failures.append(Failure(self._numbers[row], agent, self._steps[row], place, text))

    def _shown(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """The table once its numbers are checked, and what failed."""
        for row, agent, text in list(self._board.faults()):
            if not self._board.now["failed"][row]:
                self._fail(row, agent, text.partition(":")[0], text)
        failures, self._failures = self._failures, []
        return self._board.now, {FAILURES: failures} if failures else {}

    def close(self) -> None:
        """Close the environments."""
        for row in range(len(self._copies)):
            self._drop(row)
