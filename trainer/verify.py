"""An equilibrium check: critics propose deviations, the game judges them, critics learn from it, the truth is found.

A critic is only as good as its experience where it is searched, and a search goes where it errs upwards. So before its
estimate counts, what it proposes is evaluated and fitted, until search and truth agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agora.randomness import generator
from trainer.algorithms.base import Learner, Situation
from trainer.best_response import Payoff, unilateral
from trainer.equilibrium import Proposal, Verification, critic_best_responses, verify
from trainer.segments import Segment

SEARCH_STARTS = 20
AGREEMENT = 0.1
"""Estimate and truth agree if they differ by at most this share of the larger of the true gain and ``NEGLIGIBLE``."""
NEGLIGIBLE = 0.005
"""Share of total profit below which gains need not be told apart."""


@dataclass
class _Settled:
    """What proposing and judging came to.

    Attributes:
        estimated: sum of gains by the critics, at the end.
        actions: float32 (N, A), the best deviations that were evaluated.
        gains: float64 (N,), what they truly gain; may be negative.
        payoffs: float64 (N,), at the joint action.
        learned: joint actions whose payoffs were learned from.
    """

    estimated: float
    actions: NDArray[np.float32]
    gains: NDArray[np.float64]
    payoffs: NDArray[np.float64]
    learned: int


def check_equilibrium(learner: Learner, segment: Segment, payoff: Payoff, starts: int) -> tuple[Verification, int]:
    """Judge what the agents did last in the first copy of a noise-free block.

    Args:
        learner: its critics are refitted on the deviations that they propose; an actor adopts a deviation that proved
            to gain much.
        segment: the noise-free block.
        payoff: the game's own.
        starts: uniform starts of the search for true best responses, per agent. What that search finds is only
            measured, never learned from.

    Returns:
        The verdict, and how many joint actions were evaluated and learned from.
    """
    situation = Situation.last_of(segment)
    draws = generator(0, learner.updates)
    settled = _settle(learner, situation, payoff, draws)
    low, high = (bound.astype(np.float64) for bound in (learner.layout.low, learner.layout.high))
    shape = (len(situation.actions), starts, len(low))
    candidates = np.concatenate([settled.actions[:, None], draws.uniform(low, high, shape)], axis=1)
    judged = situation.actions.astype(np.float64)
    found = verify(payoff, judged, low, high, candidates.astype(np.float64), settled.estimated)
    _adopt(learner, settled)
    return found, settled.learned


def _settle(learner: Learner, situation: Situation, payoff: Payoff, draws: np.random.Generator) -> _Settled:
    """Propose, judge and refit until critics and truth agree, or the configured number of refits is spent."""
    agents = np.arange(len(situation.actions))
    payoffs, _ = payoff(situation.actions[None].astype(np.float64), False)
    learner.add_evaluations(situation, situation.actions[None], payoffs)
    settled = _Settled(0.0, situation.actions.copy(), np.zeros(len(agents)), payoffs[0], 1)
    for left in range(learner.config.check_refits, -1, -1):
        proposal = _propose(learner, situation, draws)
        joint = unilateral(situation.actions, proposal.actions)
        judged, _ = payoff(joint.astype(np.float64), False)
        learner.add_evaluations(situation, joint, judged)
        settled.learned += len(joint)
        gains = judged[agents, agents] - settled.payoffs
        better = gains > settled.gains
        settled.actions[better], settled.gains[better] = proposal.actions[better], gains[better]
        settled.estimated = float(proposal.gains.sum())
        if _agree(proposal, gains, settled):
            break
        if left:
            learner.refit(settled.learned, learner.config.refit_updates)
    return settled


def _propose(learner: Learner, situation: Situation, draws: np.random.Generator) -> Proposal:
    low, high = learner.layout.low, learner.layout.high
    starts = draws.uniform(low, high, (len(situation.actions), SEARCH_STARTS, len(low))).astype(np.float32)
    return critic_best_responses(learner.own_values(situation), situation.actions, low, high, starts)


def _agree(proposal: Proposal, gains: NDArray[np.float64], settled: _Settled) -> bool:
    size = max(float(settled.gains.sum()), NEGLIGIBLE * float(np.abs(settled.payoffs).sum()))
    return abs(float(proposal.gains.sum() - gains.sum())) <= AGREEMENT * size


def _adopt(learner: Learner, settled: _Settled) -> None:
    """Let actors take over deviations that proved to gain much: gradients do not lead out of a plateau."""
    least = learner.config.adopt_gain
    if least is None:
        return
    wanted = settled.gains > least * np.abs(settled.payoffs)
    if wanted.any():
        learner.adopt(settled.actions, wanted)
