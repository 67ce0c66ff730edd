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
ASIDE = (0.05, 0.1)
"""Scales of steps aside from a proposal, shares of the action's bounds."""
RECENT = 512
NEGLIGIBLE = 0.005
"""Share of total profit below which gains need not be told apart."""


@dataclass
class _Settled:
    """What proposing and judging came to.

    Attributes:
        payoffs: float64 (N,), at the joint action.
        actions: float32 (N, A), each agent's best deviation that was evaluated, or its current action.
        gains: float64 (N,), what they truly gain.
        estimated: sum of gains by the critics, at the last search.
        learned: joint actions whose payoffs were learned from.
    """

    payoffs: NDArray[np.float64]
    actions: NDArray[np.float32]
    gains: NDArray[np.float64]
    estimated: float = 0.0
    learned: int = 1

    def take_in(self, actions: NDArray[np.float32], gains: NDArray[np.float64]) -> None:
        """Keep what is better than the best so far."""
        better = gains > self.gains
        self.actions[better], self.gains[better] = actions[better], gains[better]
        self.learned += len(actions)


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
    settled = _Settled(payoffs[0], situation.actions.copy(), np.zeros(len(agents)))
    learner.refit(RECENT, learner.config.refit_updates)
    for left in range(learner.config.check_refits, -1, -1):
        before = float(settled.gains.sum())
        proposal = _propose(learner, situation, settled, draws)
        for tried in _probes(learner, situation, proposal, draws):
            joint = unilateral(situation.actions, tried)
            judged, _ = payoff(joint.astype(np.float64), False)
            learner.add_evaluations(situation, joint, judged)
            settled.take_in(tried, judged[agents, agents] - settled.payoffs)
        settled.estimated = float(proposal.gains.sum())
        if _agree(settled, before):
            break
        if left:
            learner.refit(settled.learned, learner.config.refit_updates)
    return settled


def _propose(learner: Learner, situation: Situation, settled: _Settled, draws: np.random.Generator) -> Proposal:
    low, high = learner.layout.low, learner.layout.high
    uniform = draws.uniform(low, high, (len(situation.actions), SEARCH_STARTS, len(low))).astype(np.float32)
    starts = np.concatenate([settled.actions[:, None], uniform], axis=1)
    return critic_best_responses(learner.own_values(situation), situation.actions, low, high, starts)


def _probes(
    learner: Learner, situation: Situation, proposal: Proposal, draws: np.random.Generator
) -> list[NDArray[np.float32]]:
    """What is evaluated, each (N, A): the proposals, as far again beyond them, and steps aside from them."""
    low, high = learner.layout.low, learner.layout.high
    step = proposal.actions - situation.actions
    tried = [proposal.actions, proposal.actions + step]
    for scale in ASIDE:
        aside = draws.standard_normal(step.shape).astype(np.float32) * scale * (high - low)
        tried.append(proposal.actions + aside)
    return [np.clip(actions, low, high).astype(np.float32) for actions in tried]


def _agree(settled: _Settled, before: float) -> bool:
    """Whether critics expect what was truly gained, and the last round gained little more than those before it."""
    true = float(settled.gains.sum())
    slack = AGREEMENT * max(true, NEGLIGIBLE * float(np.abs(settled.payoffs).sum()))
    return abs(settled.estimated - true) <= slack and true - before <= slack


def _adopt(learner: Learner, settled: _Settled) -> None:
    """Let actors take over deviations that proved to gain much: gradients do not lead out of a plateau."""
    least = learner.config.adopt_gain
    if least is None:
        return
    wanted = settled.gains > least * np.abs(settled.payoffs)
    if wanted.any():
        learner.adopt(settled.actions, wanted)
