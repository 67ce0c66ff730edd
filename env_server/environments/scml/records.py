"""Records of the worlds' processes ↔ the arrays of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.errors import IllegalAction, Refused
from agora.negotiation.layout import Answer, Op, View
from agora.negotiation.wire import HORIZON, NOBODY, answers_dtype, report_dtype, slots_of
from agora.spaces import Leaf
from env_server.environments.base import Array, Step, Values


@dataclass
class Now:
    """Where B copies with N factories are.

    Attributes:
        reports: records of ``report_dtype``, the last of every copy that was played on in the last step.
        seat: int32 (B,), whom a copy waits for; ``NOBODY`` when it has ended.
        score: float64 (B, N).
        bankrupt: bool (B, N).
        state: (B,), records of ``state_dtype``.
    """

    reports: NDArray[Any]
    seat: NDArray[np.int32]
    score: NDArray[np.float64]
    bankrupt: NDArray[np.bool_]
    state: NDArray[Any]

    @classmethod
    def begin(cls, reports: NDArray[Any]) -> Now:
        """After a reset."""
        score, bankrupt = reports["score"].copy(), reports["bankrupt"] != 0
        return cls(reports, reports["seat"].copy(), score, bankrupt, reports["state"].copy())

    def advance(self, reports: NDArray[Any]) -> NDArray[np.float64]:
        """Take in what the copies that played on report; returns by how much each score changed, (B, N)."""
        rows, before = reports["copy"], self.score.copy()
        for name in ("seat", "score", "bankrupt", "state"):
            getattr(self, name)[rows] = reports[name]
        self.reports = reports
        return self.score - before

    def views(self, rows: NDArray[np.intp]) -> list[View]:
        """What is seen in copies that were played on."""
        places = np.searchsorted(self.reports["copy"], rows)
        return [View(*(view[name] for name in View._fields)) for view in self.reports["view"][places]]


class Records:
    """Translates for one game."""

    def __init__(self, shape: tuple[int, ...], seats: Sequence[int], agents: Sequence[str], copies: int) -> None:
        """Prepare what every step needs.

        Args:
            shape: factories per level.
            seats: the agents' numbers among the factories.
            agents: their names.
            copies: B.
        """
        self._seats, self._agents, self._copies = seats, agents, copies
        self._answers = answers_dtype(shape)
        report = np.zeros(copies, report_dtype(shape))
        self._unseen: Values = {name: report["view"][name].copy() for name in View._fields}
        self._executed = report["executed"].copy()
        slots = slots_of(shape)
        op, delivery = np.zeros((copies, slots, len(Op)), np.uint8), np.zeros((copies, slots, HORIZON + 1), np.uint8)
        op[..., Op.END] = delivery[..., 0] = 1
        self._any = np.ones((copies, slots), np.uint8)
        self._closed: Values = self._masks(op, delivery)

    def _masks(self, op: Array, delivery: Array) -> dict[str, Array]:
        """Leaves of a mask from (B, K, 3) and (B, K, HORIZON + 1)."""
        copies = len(op)
        flat = {"op": op.reshape(copies, -1), "delivery": delivery.reshape(copies, -1)}
        return {**flat, "quantity": self._any, "price": self._any}

    def ended(self, now: Now) -> NDArray[np.bool_]:
        """Whose part in the episode is over, bool (B, N agents): the world has ended, or the factory is bankrupt."""
        over: NDArray[np.bool_] = (now.seat == NOBODY)[:, None] | now.bankrupt[:, self._seats]
        return over

    def show(
        self,
        now: Now,
        answered: NDArray[np.int32],
        substituted: NDArray[np.bool_],
        changes: Array,
        before: NDArray[np.bool_],
    ) -> Step:
        """What a step has led to.

        Args:
            now: where the copies are.
            answered: int32 (B,), who gave the answers before; ``NOBODY`` where nobody did.
            substituted: bool (B,), whether they were default answers.
            changes: float64 (B, N factories), of scores.
            before: bool (B, N agents), whose part was over before the step.
        """
        shown = [self._view(now, seat) for seat in self._seats]
        ended = self.ended(now)
        return Step(
            observations=[observation for observation, _ in shown],
            state={name: now.state[name].copy() for name in now.state.dtype.names or ()},
            rewards=changes[:, self._seats],
            terminated=ended & ~before,
            truncated=np.zeros_like(ended),
            alive=~ended,
            awaited=now.seat[:, None] == np.array(self._seats),
            action_masks={i: masks for i, (_, masks) in enumerate(shown)},
            info=self._info(now, answered, substituted),
        )

    def _view(self, now: Now, seat: int) -> tuple[Values, Values]:
        """One agent's observation and masks, (B, ...)."""
        mine = now.reports[now.reports["seat"] == seat]
        if not len(mine):
            return self._unseen, self._closed
        rows = mine["copy"]
        observation = {name: _spread(self._unseen[name], rows, mine["view"][name]) for name in View._fields}
        masks = dict(self._closed)
        for name in ("op", "delivery"):
            masks[name] = _spread(self._closed[name], rows, mine[f"{name}_mask"].reshape(len(rows), -1))
        return observation, masks

    def _info(self, now: Now, answered: NDArray[np.int32], substituted: NDArray[np.bool_]) -> Mapping[str, Array]:
        rows = now.reports["copy"]
        edited = np.zeros(self._executed.shape[:2], np.bool_)
        edited[rows] = now.reports["edited"] != 0
        executed = _spread(self._executed, rows, now.reports["executed"])
        return {"seat": answered, "executed": executed, "edited": edited, "substituted": substituted}

    def answers(
        self, now: Now, actions: Sequence[Values], leaves: Sequence[Leaf], substituted: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """Records of answers for the copies that wait, in order.

        Raises:
            IllegalAction: an awaited action is missing or outside its space.
        """
        if len(actions) != len(self._agents):
            raise IllegalAction("actions", f"one for each of {len(self._agents)} agents", str(len(actions)))
        records = np.zeros(self._copies, self._answers)
        records["copy"], records["substituted"] = np.arange(self._copies), substituted
        for agent, seat, action in zip(self._agents, self._seats, actions, strict=True):
            rows = np.flatnonzero(now.seat == seat)
            for leaf in leaves if len(rows) else ():
                column = Answer[leaf.path.upper()]
                records["answers"][rows, :, column] = self._checked(agent, leaf, action, rows)
        waiting: NDArray[Any] = records[now.seat != NOBODY]
        return waiting

    def _checked(self, agent: str, leaf: Leaf, action: Values, rows: NDArray[np.intp]) -> Array:
        values = action.get(leaf.path, np.zeros(0))
        if len(values) != self._copies:
            raise IllegalAction(f"{agent}: action.{leaf.path}", f"{self._copies} rows", str(len(values)))
        try:
            leaf.check(mine := values.take(rows, axis=0), len(rows), f"{agent}: action.{leaf.path}")
        except Refused as refused:
            raise IllegalAction(refused.field, refused.expected, refused.got) from refused
        return mine


def _spread(base: Array, rows: Array, values: Array) -> Array:
    """A copy of ``base`` with ``values`` in ``rows``."""
    full = base.copy()
    full[rows] = values
    return full
