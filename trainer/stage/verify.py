"""An equilibrium check: critics propose deviations, the game judges them, critics learn from it, the truth is found.

A critic is only as good as its experience where it is searched, and a search goes where it errs upwards. So before its
estimate counts, what it proposes is evaluated and fitted, until search and truth agree. That is done on copies of the
critics (see ``trainer.stage.appraisal``): the estimate is that of the critics after learning from the check.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agora.randomness import generator
from trainer.segments import Segment
from trainer.stage.base import Learner, OwnValues, Situation
from trainer.stage.best_response import Payoff, unilateral
from trainer.stage.equilibrium import Proposal, Verification, critic_best_responses, verify
from trainer.stage.probes import Probes

SEARCH_STARTS = 20
AGREEMENT, IMPROVEMENT = 0.1, 0.04
"""Critics and truth have settled if they differ by at most the first share, and the best gain grew by at most the
second, of the larger of the true gain and ``SMALL``."""
CALM, CALM_FAR, FAR = 2, 3, 0.1
"""Turns in a row in which they must; more where gains exceed the third, a share of total profit: plateaus mislead."""
LAST = 3
"""Turns after those configured, in which only proposals are evaluated, to undo what critics still imagine."""
SMALL, NEGLIGIBLE = 0.01, 0.002
"""Shares of total profit: gains need not be told apart below a tenth of the first, and nothing is worth a further look
if critics expect and evaluations show less than the second."""
TRAINING_REFIT = 100
"""Updates of the critics that train actors, on what a check evaluated."""
FINEST = 1e-3
"""Least difference of payoff that critics are fitted to, a share of the mean absolute payoff."""


@dataclass
class _Settled:
    """What proposing and judging came to.

    Attributes:
        payoffs: float64 (N,), at the joint action.
        actions: float32 (N, A), each agent's best deviation that was evaluated, or its current action.
        gains: float64 (N,), what they truly gain.
        estimated: sum of gains by the critics, at the last search.
        learned: joint actions whose payoffs were learned from.
        seen: gains (N,) of everything evaluated.
    """

    payoffs: NDArray[np.float64]
    actions: NDArray[np.float32]
    gains: NDArray[np.float64]
    estimated: float = 0.0
    learned: int = 1
    seen: list[NDArray[np.float64]] = field(default_factory=list)

    def take_in(self, actions: NDArray[np.float32], gains: NDArray[np.float64]) -> None:
        """Keep what is better than the best so far."""
        better = gains > self.gains
        self.actions[better], self.gains[better] = actions[better], gains[better]
        self.learned += len(actions)
        self.seen.append(gains)

    @property
    def total(self) -> float:
        """All that is at stake: the sum of absolute payoffs."""
        return float(np.abs(self.payoffs).sum())

    @property
    def gain(self) -> float:
        """What the best deviations truly gain together."""
        return float(self.gains.sum())

    @property
    def spread(self) -> NDArray[np.float64]:
        """Differences of payoff (N,) that matter."""
        found = np.std([np.zeros_like(self.gains), *self.seen], axis=0)
        least = max(FINEST * self.total / len(self.gains), float(np.finfo(np.float32).tiny))
        spread: NDArray[np.float64] = np.maximum(found, least)
        return spread


def check_equilibrium(learner: Learner, segment: Segment, payoff: Payoff, starts: int) -> tuple[Verification, int]:
    """Judge what the agents did last in the first copy of a noise-free block.

    Args:
        learner: copies of its critics are refitted on the deviations that they propose, which also enter its replay;
            an actor adopts a deviation that proved to gain much.
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
    if learner.config.check_refits:
        learner.refit(settled.learned, TRAINING_REFIT)
    low, high = (bound.astype(np.float64) for bound in (learner.layout.low, learner.layout.high))
    shape = (len(situation.actions), starts, len(low))
    candidates = np.concatenate([settled.actions[:, None], draws.uniform(low, high, shape)], axis=1)
    judged = situation.actions.astype(np.float64)
    found = verify(payoff, judged, low, high, candidates.astype(np.float64), settled.estimated)
    _adopt(learner, settled)
    return found, settled.learned


def _settle(learner: Learner, situation: Situation, payoff: Payoff, draws: np.random.Generator) -> _Settled:
    """Propose, judge and refit until critics and truth agree, or the configured number of refits is spent."""
    payoffs, _ = payoff(situation.actions[None].astype(np.float64), False)
    learner.add_evaluations(situation, situation.actions[None], payoffs)
    settled = _Settled(payoffs[0], situation.actions.copy(), np.zeros(len(situation.actions)))
    refits, updates = learner.config.check_refits, learner.config.refit_updates
    critics = learner.appraiser(situation)
    probes = Probes(learner.layout.low, learner.layout.high, len(situation.actions), draws)
    if refits:
        _judge(learner, situation, payoff, settled, probes.first(situation.actions))
    calm = 0
    for turn in range(refits + LAST if refits else 1):
        if refits:
            critics.refit(settled.learned, updates, settled.spread, draws)
        proposal = _propose(learner, critics.own_values, situation, settled, draws)
        settled.estimated, before = float(proposal.gains.sum()), settled.gain
        share = before / settled.total if settled.total > 0.0 else np.inf
        tried = probes.next(proposal.actions, settled.actions, share)
        _judge(learner, situation, payoff, settled, tried if turn < refits else tried[:1])
        calm = calm + 1 if _agree(settled, before) else 0
        wanted = 1 if turn >= refits else CALM_FAR if share > FAR else CALM
        if calm >= wanted or max(settled.estimated, settled.gain) < NEGLIGIBLE * settled.total:
            break
    return settled


def _judge(
    learner: Learner, situation: Situation, payoff: Payoff, settled: _Settled, tried: list[NDArray[np.float32]]
) -> None:
    """Evaluate deviations, (N, A) each, and learn from them."""
    agents = np.arange(len(situation.actions))
    joint = np.concatenate([unilateral(situation.actions, actions) for actions in tried])
    judged, _ = payoff(joint.astype(np.float64), False)
    learner.add_evaluations(situation, joint, judged)
    own = judged.reshape(len(tried), len(agents), -1)[:, agents, agents]
    for actions, earned in zip(tried, own, strict=True):
        settled.take_in(actions, earned - settled.payoffs)


def _propose(
    learner: Learner, values: OwnValues, situation: Situation, settled: _Settled, draws: np.random.Generator
) -> Proposal:
    low, high = learner.layout.low, learner.layout.high
    uniform = draws.uniform(low, high, (len(situation.actions), SEARCH_STARTS, len(low))).astype(np.float32)
    starts = np.concatenate([settled.actions[:, None], uniform], axis=1)
    return critic_best_responses(values, situation.actions, low, high, starts)


def _agree(settled: _Settled, before: float) -> bool:
    """Whether critics expect what was truly gained, and the last turn gained little more than those before it."""
    least = max(settled.gain, SMALL * settled.total)
    return abs(settled.estimated - settled.gain) <= AGREEMENT * least and settled.gain - before <= IMPROVEMENT * least


def _adopt(learner: Learner, settled: _Settled) -> None:
    """Let actors take over deviations that proved to gain much: gradients do not lead out of a plateau."""
    least = learner.config.adopt_gain
    if least is None:
        return
    wanted = settled.gains > least * np.abs(settled.payoffs)
    if wanted.any():
        learner.adopt(settled.actions, wanted)
