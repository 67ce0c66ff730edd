"""Can the equilibrium measure be trusted, even of policies that collapsed or stand still?

Every check of every run is judged twice more: the critics' estimate by the verified figure, and every verdict of
convergence by differential evolution on the game's payoff, which shares nothing with the verified search.

A check refits copies of the critics on the game's own payoffs before their estimate counts, so that estimate has seen
some of the truth that it is held against. Beside it stands the estimate of the critics as training left them, refitted
on nothing: made by a copy of the learner, so that the run goes on as without it. Earlier checks have taught those
critics too; of the first check of a run nobody has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, differential_evolution

from bench.report import Row
from env_server.environments.base import Step
from env_server.environments.charging import Charging, ChargingConfig
from trainer.segments import AgentSegment, Segment
from trainer.spec import GameSpec
from trainer.stage import make_learner
from trainer.stage.base import Learner
from trainer.stage.equilibrium import Verification
from trainer.stage.verify import check_equilibrium

TITLE = "verified over estimated NashConv, and verdicts of convergence against an independent search"

CASES: Final = tuple((a, s) for a in ("maddpg", "mean_field_ddpg") for s in ("melbourne", "brief"))
COPIES, CHECK_COPIES, CHECK_EVERY, STARTS = 16, 4, 10, 20
LONG, SHORT = 4_000, 1_280
"""Joint actions until the last check: of ordinary training, and of policies that nothing moves."""
TRUE_ABOVE, LOW, HIGH = 0.01, 0.8, 1.25
EPSILONS = (0.01, 0.001)
NUMERICAL = 1e-7
"""Share of total profit by which two exact searches may differ."""
UNFITTED: Final[dict[str, Any]] = {"check_refits": 0, "adopt_gain": None}
SATURATED = 12.0
"""Logit at which a sigmoid head is within 1e-5 of a bound."""


@dataclass(frozen=True)
class Kind:
    """A way to train, or not to.

    Attributes:
        name: of the group in the report.
        seeds: per algorithm and scenario, in a full run.
        budget: joint actions.
        overrides: of the learner's settings.
        logits: what the actors' heads are held at, of (N, A) draws; None leaves them alone.
    """

    name: str
    seeds: int
    budget: int
    overrides: dict[str, Any]
    logits: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None


KINDS: Final = (
    Kind("ordinary", 12, LONG, {}),
    Kind("collapsed", 3, SHORT, {}, lambda draws: np.full_like(draws, -SATURATED)),
    Kind("collapsed", 3, SHORT, {}, lambda draws: np.full_like(draws, SATURATED)),
    Kind("collapsed", 3, SHORT, {}, lambda draws: np.where(draws < 0.5, -SATURATED, SATURATED)),
    Kind("stalled", 2, SHORT, {"actor_rate": 1e-9, "critic_rate": 1e-9, "adopt_gain": None}),
    Kind("stalled", 2, SHORT, {"noise_initial": 0.0, "noise_floor": 1e-9}),
)


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        kind: of the run.
        found: the verdict, with the estimate of critics that were refitted.
        plain: the same moment with the estimate of critics that were not.
        first: whether no check of the run came before.
        independent: NashConv over total profit, or None where nobody claimed convergence.
    """

    kind: str
    found: Verification
    plain: Verification
    first: bool
    independent: float | None


def run(quick: bool) -> list[Row]:
    """Train and check: 100 runs, or one of each kind."""
    torch.set_num_threads(1)
    checks: list[Check] = []
    runs = 0
    for number, kind in enumerate(KINDS):
        cases = [CASES[number % len(CASES)]] if quick else CASES * kind.seeds
        for seed, (algorithm, scenario) in enumerate(cases):
            checks += _checks(
                kind, algorithm, scenario, 100 * number + seed, min(kind.budget, LONG // 2 if quick else LONG)
            )
            runs += 1
    return [*_ratios(checks), *_verdicts(checks, runs)]


def _ratios(checks: Sequence[Check]) -> list[Row]:
    rows = []
    for name in dict.fromkeys(kind.name for kind in KINDS):
        judged = [check for check in checks if check.kind == name and check.found.relative > TRUE_ABOVE]
        rows += _spread(name, [check.found.ratio for check in judged])
        rows += _spread(f"{name}, not refitted", [check.plain.ratio for check in judged])
        rows += _spread(f"{name}, not refitted, first checks", [check.plain.ratio for check in judged if check.first])
    return rows


def _spread(name: str, found: list[float]) -> list[Row]:
    """How far estimates are off; one of nothing where there is something is infinitely far."""
    if not found:
        return []
    inside = [float(LOW <= ratio <= HIGH) for ratio in found]
    target = f"all within [{LOW:g}, {HIGH:g}] where true > {TRUE_ABOVE:.0%}"
    quantiles = [float(q) for q in np.quantile(found, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")]
    return [
        Row(f"{name}: verified / estimated", found, "", target, all(inside)),
        Row(f"{name}: quantiles 5, 25, 50, 75, 95 %", quantiles, "", "for information", True),
        Row(f"{name}: share inside", [float(np.mean(inside))], "", "for information", True),
    ]


def _verdicts(checks: Sequence[Check], runs: int) -> list[Row]:
    rows = []
    for epsilon in EPSILONS:
        claimed = [c for c in checks if c.found.relative <= epsilon]
        false = sum(c.independent is not None and c.independent > epsilon + NUMERICAL for c in claimed)
        lies = sum(c.found.relative_estimated <= epsilon < c.found.relative for c in checks)
        rows += [
            Row(
                f"false verdicts at {epsilon:.1%}, {len(claimed)} verdicts in {runs} runs", [false], "", "0", false == 0
            ),
            Row(
                f"the estimate alone would have lied at {epsilon:.1%}",
                [lies],
                f"of {len(checks)}",
                "for information",
                True,
            ),
        ]
    excess = [c.independent - c.found.relative for c in checks if c.independent is not None]
    if excess:
        target = f"<= {NUMERICAL:g} of total profit"
        rows.append(Row("independent over verified NashConv", excess, "of profit", target, max(excess) <= NUMERICAL))
    return rows


def _checks(kind: Kind, algorithm: str, scenario: str, seed: int, budget: int) -> Iterator[Check]:
    """Train in this process as the training loop does, checking every few rounds."""
    config = ChargingConfig.model_validate({"scenario": scenario})
    game, judged = Charging(config, COPIES), Charging(config, CHECK_COPIES)
    agents = game.agents
    seen, done = (tuple(s[a] for a in agents) for s in (game.observation_spaces, game.action_spaces))
    spec = GameSpec("charging", "{}", agents, seen, done, game.state_space, True, {})
    learner, unfitted = make_learner(algorithm, "default", kind.overrides, spec, seed), kind.overrides | UNFITTED
    draws = np.random.default_rng(seed)
    logits = None if kind.logits is None else kind.logits(draws.random((len(agents), game.num_periods)))
    steps = rounds = 0
    while steps < budget:
        _hold(learner, logits)
        noise = learner.config.noise_scale(rounds, steps)
        segment = _block(game, learner, seed, 2 * rounds, noise, draws)
        learner.add(segment)
        learner.update(segment.steps)
        steps, rounds = steps + segment.steps, rounds + 1
        if rounds % CHECK_EVERY == 0:
            _hold(learner, logits)
            segment = _block(judged, learner, seed, 2 * rounds + 1, 0.0, draws)
            plain = _without_refits(learner, make_learner(algorithm, "default", unfitted, spec, seed), segment, judged)
            found, learned = check_equilibrium(learner, segment, judged.payoff, STARTS)
            steps += learned
            claimed = found.relative <= max(EPSILONS)
            independent = _independent(judged, found.actions, seed) if claimed else None
            yield Check(kind.name, found, plain, rounds == CHECK_EVERY, independent)


def _without_refits(learner: Learner, copy: Learner, segment: Segment, judged: Charging) -> Verification:
    """The check of a copy of the learner that neither refits its critics nor adopts what they propose."""
    copy.load_state_dict(learner.state_dict())
    found, _ = check_equilibrium(copy, segment, judged.payoff, STARTS)
    return found


def _hold(learner: Learner, logits: NDArray[np.float64] | None) -> None:
    """Make actors play the same whatever they see."""
    if logits is None:
        return
    state = learner.state_dict()
    for name in ("actor", "averaged"):
        parameters = state["minds"][name]
        weight, bias = str(len(parameters) // 2 - 1), str(len(parameters) - 1)
        parameters[weight] = torch.zeros_like(parameters[weight])
        parameters[bias] = torch.from_numpy(logits.astype(np.float32))[:, None]
    learner.load_state_dict(state)


def _independent(game: Charging, actions: NDArray[np.float64], seed: int) -> float:
    """NashConv over total profit by differential evolution, one agent at a time."""
    now = game.payoff(actions[None], False)[0][0]
    return sum(max(_best(game, actions, agent, seed) - float(now[agent]), 0.0) for agent in range(len(now))) / float(
        np.abs(now).sum()
    )


def _best(game: Charging, actions: NDArray[np.float64], agent: int, seed: int) -> float:
    def loss(own: NDArray[np.float64]) -> Any:
        rows = own.reshape(len(own), -1).T
        joint = np.repeat(actions[None], len(rows), axis=0)
        joint[:, agent] = np.clip(rows, 0.0, 1.0)
        values = -game.payoff(joint, False)[0][:, agent]
        return values if own.ndim > 1 else values[0]

    bounds = Bounds(np.zeros(actions.shape[1]), np.ones(actions.shape[1]))
    found = differential_evolution(
        loss, bounds, seed=seed, popsize=12, maxiter=80, tol=1e-8, vectorized=True, updating="deferred", polish=True
    )
    return -float(found.fun)


def _block(
    game: Charging, learner: Learner, seed: int, number: int, noise: float, draws: np.random.Generator
) -> Segment:
    """One episode; where there is noise, one agent in each copy explores."""
    b, n = game.num_envs, len(game.agents)
    steps = [game.reset(seed * 100_003 + number, np.arange(b, dtype=np.uint32))]
    explores = ((np.arange(b) % n)[:, None] == np.arange(n)) & (noise > 0.0)
    actions = []
    for _ in range(game.config.episode_rounds):
        played = learner.act(steps[-1].observations)
        step = draws.standard_normal(played.shape) * noise * explores[:, :, None]
        actions.append(np.clip(played + step, 0.0, 1.0).astype(np.float32))
        steps.append(game.step([{"": np.ascontiguousarray(actions[-1][:, i])} for i in range(n)]))
    state = {path: np.stack([step.state[path] for step in steps]) for path in steps[0].state}
    parts = tuple(_part(steps, np.stack(actions)[:, :, i], explores[:, i], i) for i in range(n))
    return Segment(block=number, first_step=0, last=True, state=state, agents=parts)


def _part(steps: Sequence[Step], actions: NDArray[np.float32], explores: NDArray[np.bool_], agent: int) -> AgentSegment:
    shape = actions.shape[:2]
    seen = steps[0].observations[agent]
    return AgentSegment(
        observation={path: np.stack([step.observations[agent][path] for step in steps]) for path in seen},
        action={"": actions},
        action_mask={},
        log_prob=np.broadcast_to(np.where(explores, -1.0, 0.0).astype(np.float32), shape),
        reward=np.stack([step.rewards[:, agent] for step in steps[1:]]),
        terminated=np.stack([step.terminated[:, agent] for step in steps[1:]]),
        truncated=np.stack([step.truncated[:, agent] for step in steps[1:]]),
        acted=np.ones(shape, np.uint8),
        policy_id=f"station_{agent}",
        version=np.zeros((*shape, 2), np.uint64),
    )
