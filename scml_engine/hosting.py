# SPDX-License-Identifier: AGPL-3.0-or-later
"""Worlds that stop where a factory must answer, so that one thread can host many.

The engine calls its factories from deep inside its own loop. So every world runs as a greenlet: it is left there, and
resumed with the answer, with the random generators as it left them. Company changes nothing in a world.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from greenlet import getcurrent, greenlet
from numpy.typing import NDArray

from agora.negotiation.bounds import masks
from agora.negotiation.layout import Op, View
from agora.negotiation.wire import NOBODY
from scml_engine.spec import Reply, WorldSpec
from scml_engine.state import StateReader
from scml_engine.tracker import Tracker
from scml_engine.world import build, play

if TYPE_CHECKING:
    from scml_engine.arena import Arena

Question = tuple[int, NDArray[Any]]
"""A seat, and its view."""


class Host:
    """One world, from question to question."""

    def __init__(self, spec: WorldSpec, run: Path | None, name: str) -> None:
        """Nothing is built yet.

        Args:
            spec: the world.
            run: folder of the run that its tables are written to, or None.
            name: the world's id there.
        """
        self._tracker = None if run is None else Tracker(run, name)
        self._spec = spec
        self._greenlet = greenlet(self._play)
        self._generators = _Generators()
        self._arena: Arena | None = None
        self._reader: StateReader | None = None
        self._asked: int | None = None

    def resume(self, answers: NDArray[Any] | None, report: NDArray[Any]) -> None:
        """Play on to the next question, or to the end.

        Args:
            answers: a record of ``agora.negotiation.wire.answers_dtype``; None at the start.
            report: a record of ``report_dtype``, zeros; filled in but for ``copy``.

        Raises:
            Exception: whatever ends the world early; ValueError if it cannot be built.
        """
        reply = None if answers is None else Reply(answers["answers"], bool(answers["substituted"]))
        self._generators.restore()
        question: Question | None = self._greenlet.switch(reply) if reply else self._greenlet.switch()
        self._generators.keep()
        self._fill(report, question)

    def _play(self) -> None:
        self._arena = build(self._spec, _ask, self._tracker)
        self._reader = StateReader(self._arena)
        play(self._arena)

    def _fill(self, report: NDArray[Any], question: Question | None) -> None:
        arena, reader = self._arena, self._reader
        if arena is None or reader is None:
            raise RuntimeError("the world asked before it was built")
        if self._asked is not None:
            report["executed"], report["edited"] = arena.desks[self._asked].told
        report["score"] = reader.scores()
        report["bankrupt"] = [arena.is_bankrupt[aid] for aid in arena.ids]
        reader.read(report["state"])
        report["seat"] = NOBODY
        if question is not None:
            self._asked = question[0]
            report["seat"], report["view"] = question
            self._open(report, arena.desks[question[0]].seat.shield)

    def _open(self, report: NDArray[Any], mode: str) -> None:
        """Fill in the masks.

        Where there is no choice one stays open, as a policy must choose something: it has no chance to weigh there.
        """
        view = View(*(report["view"][name] for name in View._fields))
        found = masks(view, None if mode == "none" else mode, self._spec.physics)  # type: ignore[arg-type]
        op, delivery = found["op"], found["delivery"]
        op[~op.any(axis=1), Op.END] = 1
        delivery[~delivery.any(axis=1), 0] = 1
        report["op_mask"], report["delivery_mask"] = op, delivery

    def close(self) -> None:
        """End the world where it is."""
        while self._greenlet:
            with contextlib.suppress(Exception):  # nobody is interested in how it takes that
                self._greenlet.throw()


def _ask(seat: int, view: NDArray[Any]) -> Reply:
    """Leave the world until somebody has answered."""
    reply: Reply = getcurrent().parent.switch((seat, view))
    return reply


class _Generators:
    """The process's random generators, as one world left them."""

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.MT19937()

    def keep(self) -> None:
        """Remember how they are now."""
        self._python = random.getstate()

    def restore(self) -> None:
        """Make them so again; numpy's is this world's own, which is quicker than to copy its state."""
        random.setstate(self._python)
        np.random.set_bit_generator(self._numpy)  # type: ignore[attr-defined]
