"""How far a joint action is from a Nash equilibrium, as pure functions.

The regret of an agent is what it would gain by its best response while all others stay. NashConv is the sum of regrets
(Lanctot et al. 2017, "A Unified Game-Theoretic Approach to Multiagent Reinforcement Learning", arXiv:1711.00832), zero
exactly at an equilibrium. ANI, the pricing brief's average Nash index, is the mean over agents of current over
best-response payoff, one exactly at an equilibrium of positive payoffs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.stage.best_response import Payoff, best_responses

Floats = NDArray[np.float64]

SEARCH_STEPS, SEARCH_RATE = 50, 0.1


def nash_conv(payoffs: Floats, best: Floats) -> float:
    """Sum of regrets: best-response payoffs (N,) minus payoffs (N,)."""
    return float((best - payoffs).sum())


def ani(payoffs: Floats, best: Floats) -> float:
    """Mean of payoffs (N,) over best-response payoffs (N,).

    An agent whose best response earns nothing counts as 1 if it earns that already, else as 0.
    """
    earns = best > 0.0
    ratio = np.where(earns, payoffs / np.where(earns, best, 1.0), payoffs >= best)
    return float(ratio.mean())


@dataclass(frozen=True)
class Proposal:
    """Each agent's best response as its critic sees it.

    Attributes:
        actions: float32 (N, A).
        gains: float64 (N,), over the current action by the same critic, >= 0.
    """

    actions: NDArray[np.float32]
    gains: Floats


def critic_best_responses(
    values: Callable[[Tensor], Tensor],
    actions: NDArray[np.float32],
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    starts: NDArray[np.float32],
) -> Proposal:
    """Projected gradient ascent on every agent's critic in its own action, from all starts at once (the pricing brief).

    Adam takes 50 steps from the current action and from each start, clamped to the bounds; the best point seen is kept.

    Args:
        values: float32 (N, S) of own actions (N, S, A), rivals held.
        actions: current ones (N, A).
        low: lower bounds (A,).
        high: upper bounds (A,).
        starts: further starts (N, S - 1, A).
    """
    bounds = torch.from_numpy(low), torch.from_numpy(high)
    width = bounds[1] - bounds[0]
    first = np.concatenate([actions[:, None], starts], axis=1)
    point = ((torch.from_numpy(first) - bounds[0]) / width).requires_grad_()
    adam = torch.optim.Adam([point], lr=SEARCH_RATE)
    best_value = torch.full(first.shape[:2], -torch.inf)
    best_point = point.detach().clone()
    for step in range(SEARCH_STEPS + 1):
        value = values(bounds[0] + width * point)
        better = value.detach() > best_value
        best_value = torch.where(better, value.detach(), best_value)
        best_point = torch.where(better[..., None], point.detach(), best_point)
        if step == 0:
            current = best_value[:, 0].clone()
        point.grad = -torch.autograd.grad(value.sum(), point)[0]
        adam.param_groups[0]["lr"] = SEARCH_RATE * (1.0 - step / (SEARCH_STEPS + 1))
        adam.step()
        with torch.no_grad():
            point.clamp_(0.0, 1.0)
    value, chosen = best_value.max(dim=1)
    own = bounds[0] + width * best_point[torch.arange(len(chosen)), chosen]
    return Proposal(np.clip(own.numpy(), low, high), (value - current).double().numpy())


@dataclass(frozen=True)
class Verification:
    """A joint action judged by the game's own payoff. N agents.

    Attributes:
        actions: float64 (N, A), what was judged.
        payoffs: float64 (N,).
        best_response_actions: float64 (N, A).
        best_response_payoffs: float64 (N,).
        estimated: NashConv as the critics estimated it, in reward units.
        evaluations: joint actions evaluated to find out.
    """

    actions: Floats
    payoffs: Floats
    best_response_actions: Floats
    best_response_payoffs: Floats
    estimated: float
    evaluations: int

    @property
    def regrets(self) -> Floats:
        """What each agent would gain by its best response, (N,), >= 0."""
        return self.best_response_payoffs - self.payoffs

    @property
    def nash_conv(self) -> float:
        """Verified NashConv, in reward units."""
        return nash_conv(self.payoffs, self.best_response_payoffs)

    @property
    def ani(self) -> float:
        """Verified ANI."""
        return ani(self.payoffs, self.best_response_payoffs)

    @property
    def relative(self) -> float:
        """Verified NashConv over total profit (the sum of absolute payoffs, so that losses do not flatter)."""
        return _over(self.nash_conv, float(np.abs(self.payoffs).sum()))

    @property
    def relative_estimated(self) -> float:
        """Estimated NashConv over total profit."""
        return _over(self.estimated, float(np.abs(self.payoffs).sum()))

    @property
    def ratio(self) -> float:
        """Verified over estimated NashConv: how far the critics' estimate can be trusted; infinite if it is zero."""
        return _over(self.nash_conv, self.estimated)


def _over(value: float, by: float) -> float:
    return value / by if by > 0.0 else (0.0 if value == 0.0 else float("inf"))


def verify(
    payoff: Payoff, actions: Floats, low: Floats, high: Floats, candidates: Floats, estimated: float
) -> Verification:
    """Find every agent's true best response and judge a joint action by it.

    Args:
        payoff: the game's own.
        actions: float64 (N, A), inside the bounds.
        low: lower bounds, float64 (A,).
        high: upper bounds, float64 (A,).
        candidates: float64 (N, C, A), where to look beside the current actions: critics' proposals and uniform starts.
        estimated: NashConv as the critics estimated it.
    """
    found = best_responses(payoff, actions, low, high, candidates)
    return Verification(actions, found.payoffs, found.best_actions, found.best_payoffs, estimated, found.evaluations)
