# SPDX-License-Identifier: AGPL-3.0-or-later
"""PenguinAgent, the winner of 2024, with any of its three known mistakes taken out.

Nothing of it is changed but one answer it gets: what the world says to ``total_sales_at``, from which it works out how
much it may still sell. The mistakes, in ``penguinagent.py`` of scml-agents 0.5.2:

1. What it may sell on day t is ``max(0, min(L, 0.7·L + I) - S_t)``: it counts on material for seven tenths of its L
   lines that nobody has bought. Right is ``max(0, min(L, I + X + B_t) - S_t)``, with I units in store, X from nature
   today, B_t bought and S_t sold for day t.
2. ``total_sales_at`` is asked about ``total_sales_at(today) <= L``, that is about day 0 or 1. From day 2 on that is
   past, the answer is 0, and no sale for today is ever accepted.
3. Whether day s + 3 has lines left is asked of day s + 2.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scml_agents.scml2024.standard.team_penguin import PenguinAgent

MISTAKES = (1, 2, 3)


class _Told:
    """The world as a repaired Penguin is told of it.

    Penguin uses an answer R of ``total_sales_at(t)`` in two ways only: ``int(max(0, F - R))``, or a third of that, with
    ``F = min(L, 0.7·L + I)``, is what it may sell; and ``R <= L`` is whether lines are left. What it buys does not
    depend on R.
    """

    def __init__(self, awi: Any, agent: Any, repairs: frozenset[int]) -> None:
        self._awi, self._agent, self._repairs = awi, agent, repairs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._awi, name)

    def total_sales_at(self, step: int) -> float:
        """Units sold for a day, or what must be said instead for Penguin to conclude what is right."""
        if isinstance(step, bool | np.bool_):
            return int(step) if 2 in self._repairs else self._sold(int(step))
        answer = self._covering(step) if 1 in self._repairs else self._sold(step)
        if 3 in self._repairs and self._agent.offers_ahead and step == self._awi.current_step + 2:
            # Now R <= L, so day s + 3 is judged by its own sales alone: where they are more than the lines, F - R is
            # negative and nothing is offered. For day s + 2, where R was above L, F - L is not positive, and nothing is
            # offered, as before.
            return min(answer, self._awi.n_lines)
        return answer

    def _sold(self, step: int) -> int:
        return int(self._awi.total_sales_at(step))

    def _covering(self, step: int) -> float:
        """The R from which Penguin gets ``max(0, min(L, I + X + B_t) - S_t)``.

        With k that difference, R = F - k - 1/2 makes F - R = k + 1/2, whose whole part is k, and whose third has the
        whole part of k / 3, for k >= 0, whatever is lost to rounding. For k < 0, F - R is negative.

        Then R is kept on that side of L where S_t is, so that every guard ``R <= L`` says what it said. That changes no
        quantity: R <= F - 1/2 < L needs no keeping where k >= 0 (then S_t <= L too), and where k < 0 both min(R, L)
        with R > F and max(R, L + 1) are at least F, so that nothing is offered.
        """
        awi, lines = self._awi, self._awi.n_lines
        today = awi.current_exogenous_input_quantity if step == awi.current_step else 0
        sold, stored = self._sold(step), awi.current_inventory_input
        spare = min(lines, stored + today + awi.total_supplies_at(step)) - sold
        believed = min(lines, lines * self._agent._productivity + stored)
        answer = believed - spare - 0.5
        return float(min(answer, lines) if sold <= lines else max(answer, lines + 1))


class _Repaired(PenguinAgent):
    repairs: frozenset[int] = frozenset()
    offers_ahead = False

    @property
    def awi(self) -> Any:
        return _Told(super().awi, self, self.repairs)

    def future_consume_offer(self, consumers: list[str]) -> Any:
        self.offers_ahead = True
        try:
            return super().future_consume_offer(consumers)
        finally:
            self.offers_ahead = False


@functools.cache
def repaired(mistakes: frozenset[int]) -> type:
    """Penguin without these mistakes.

    Args:
        mistakes: any of ``MISTAKES``; with none it plays as published.

    Returns:
        A subclass with the published class's name, because ids and so the order of sets come from class names.
    """
    return type(PenguinAgent.__name__, (_Repaired,), {"repairs": mistakes, "__module__": __name__})
