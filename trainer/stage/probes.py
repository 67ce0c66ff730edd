"""Which deviations to evaluate next, given the best so far and what the critics propose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FIRST: Final = (0.05, 0.1, 0.2)
"""Scales of the first steps aside from the current action, shares of the bounds."""
RADIUS, SHRINK = 0.1, 0.85
"""Scale of steps about the best so far, and its factor from one turn to the next."""
DESIGN: Final = 3
"""Orthogonal steps per turn: few points tell a slope best if their directions are orthogonal."""
SCATTERED, SCATTER_GAIN = 8, 0.1
"""Turns in which entries are drawn anew, while gains exceed this share of all payoffs: the way out of a plateau."""


class Probes:
    """Deviations of N agents with A numbers each, in turns."""

    def __init__(self, low: Floats, high: Floats, agents: int, draws: np.random.Generator) -> None:
        self._low, self._high, self._draws = low, high, draws
        self._shape = (agents, len(low))
        self._turn = 0
        self._design = np.empty(0)

    def first(self, current: Floats) -> list[Floats]:
        """Steps aside from the current actions (N, A)."""
        return self._inside([current + self._normal(scale) for scale in FIRST])

    def next(self, proposal: Floats, best: Floats, gain: float) -> list[Floats]:
        """The proposals and what helps to improve on them.

        Args:
            proposal: (N, A), by the critics.
            best: (N, A), the best deviations so far.
            gain: what they gain, a share of all payoffs.

        Returns:
            (N, A) each: the proposals; as far again beyond them; halfway, entry by entry; entries of rivals' best
            deviations; some entries changed much; orthogonal steps.
        """
        radius = RADIUS * SHRINK**self._turn
        half = self._draws.random(self._shape) < 0.5
        scattered = self._turn < SCATTERED and gain > SCATTER_GAIN
        tried: list[NDArray[Any]] = [
            proposal,
            proposal + (proposal - best),
            np.where(half, proposal, best),
            self._borrowed(best) + self._normal(radius / 3.0),
            self._scattered(best) if scattered else proposal + self._normal(3.0 * radius) * self._some(0.3),
            *self._orthogonal(best, radius),
        ]
        self._turn += 1
        return self._inside(tried)

    def _borrowed(self, best: Floats) -> Floats:
        """Half of the entries taken over from rivals: agents of one shape tend to have good responses alike."""
        n, width = self._shape
        if n == 1:
            return best
        rival = (np.arange(n)[:, None] + self._draws.integers(1, n, self._shape)) % n
        return np.where(self._some(0.5), best[rival, np.arange(width)], best)

    def _scattered(self, best: Floats) -> Floats:
        drawn = self._draws.uniform(self._low, self._high, self._shape).astype(np.float32)
        return np.where(self._some(1.5 / self._shape[1]), drawn, best)

    def _orthogonal(self, best: Floats, radius: float) -> list[Floats]:
        n, width = self._shape
        if self._turn % DESIGN == 0:
            self._design = np.linalg.qr(self._draws.standard_normal((n, width, width)))[0]
        columns = [(DESIGN * self._turn + number) % width for number in range(DESIGN)]
        signs = self._draws.choice([-1.0, 1.0], DESIGN)
        length = radius * np.sqrt(width) * (self._high - self._low)
        return [best + self._design[:, :, k] * sign * length for k, sign in zip(columns, signs, strict=True)]

    def _some(self, odds: float) -> NDArray[np.bool_]:
        chosen: NDArray[np.bool_] = self._draws.random(self._shape) < odds
        return chosen

    def _normal(self, scale: float) -> NDArray[np.float64]:
        step: NDArray[np.float64] = self._draws.standard_normal(self._shape) * scale * (self._high - self._low)
        return step

    def _inside(self, tried: Sequence[NDArray[Any]]) -> list[Floats]:
        return [np.clip(actions, self._low, self._high).astype(np.float32) for actions in tried]
