"""When the best learner stops is what runs on other seeds say, and nothing else."""

import pytest

from bench import learners_best
from bench.report import Verdict
from experiments.running import load_experiment
from experiments.stored import Curve, Provenance, Tuning, fingerprint, read_tuning

GROUP, NAME = learners_best.GROUP, learners_best.STOPPED
CHANGES = {"training.evaluate_every": 250_000, "training.max_environment_steps": 10_000_000}


def tuning(*means, seeds=(100, 101), steps=(6_502_400, 6_752_000, 7_001_600), changed=()):
    configurations = {seed: fingerprint(load_experiment(GROUP, NAME, seed, CHANGES)) for seed in seeds}
    configurations |= dict.fromkeys(changed, "another")
    curves = [
        Curve(seed=seed, environment_steps=list(steps), means=list(mean), standard_errors=[0.1] * len(steps))
        for seed, mean in zip(seeds, means, strict=True)
    ]
    made = Provenance(command="x", date="2026-01-01", commit="c", machine={}, seconds=1.0)
    return Tuning(
        name=NAME, changes=CHANGES, configurations=configurations, episodes=500, provenance=made, curves=curves
    )


def verdicts(found):
    return [row.verdict for row in learners_best.stopping(found)]


HOLDS, SHORT = Verdict.HOLDS, Verdict.FALLS_SHORT
BEST_AT_SECOND = (-7.0, -6.5, -6.9), (-6.6, -6.7, -6.8)


def test_the_step_is_where_the_mean_of_all_curves_is_highest():
    assert tuning(*BEST_AT_SECOND).chosen == (6_752_000, pytest.approx(-6.6))
    assert verdicts(tuning(*BEST_AT_SECOND)) == [HOLDS] * 3


def test_an_experiment_that_stops_elsewhere_falls_short():
    assert verdicts(tuning((-7.0, -6.5, -6.3), (-6.6, -6.7, -6.8))) == [SHORT, HOLDS, HOLDS]


def test_a_measured_seed_chooses_nothing():
    assert verdicts(tuning(*BEST_AT_SECOND, seeds=(1, 101))) == [HOLDS, SHORT, HOLDS]


def test_runs_of_other_settings_choose_nothing():
    assert verdicts(tuning(*BEST_AT_SECOND, changed=[101])) == [HOLDS, HOLDS, SHORT]


def test_without_such_runs_nothing_is_known():
    assert verdicts(None) == [Verdict.NOT_MEASURED]


def test_the_stored_curves_choose_what_the_experiment_does():
    stored = read_tuning(GROUP, NAME)
    assert stored is not None and verdicts(stored) == [HOLDS] * 3
    assert {curve.seed for curve in stored.curves} == set(stored.configurations) == {100, 101}
