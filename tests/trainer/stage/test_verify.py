import numpy as np
import pytest

from trainer.stage import ALGORITHMS, make_learner
from trainer.stage.verify import check_equilibrium

GOAL = np.array([[0.4, 1.6], [1.0, 1.2], [1.5, 0.5]])


def payoff(actions, gradient):
    """10 - (a - goal)²: regrets are squared distances."""
    away = actions - GOAL
    return 10.0 - np.square(away).sum(axis=-1), -2.0 * away if gradient else None


@pytest.fixture(params=sorted(ALGORITHMS))
def learner(request, spec, block):
    found = make_learner(request.param, "default", {"warmup": 20, "actor_delay": 10_000}, spec, 5)
    for number in range(8):
        found.add(block(number, copies=12, rewards=lambda actions: payoff(actions, False)[0]))
        found.update(48)
    return found


def test_the_verdict_is_the_truth_and_the_estimate_agrees(learner, block):
    segment = block(50)
    judged = np.stack([part.action[""][-1, 0] for part in segment.agents]).astype(float)
    before = learner.experience
    found, learned = check_equilibrium(learner, segment, payoff, 20)
    np.testing.assert_allclose(found.regrets, np.square(judged - GOAL).sum(axis=1), atol=1e-8)
    assert 0.8 <= found.ratio <= 1.25
    assert learner.experience == before + learned


def test_great_gains_are_adopted(learner, block):
    segment = block(50)
    seen = [{path: values[-2, :1] for path, values in agent.observation.items()} for agent in segment.agents]
    found, _ = check_equilibrium(learner, segment, payoff, 20)
    great = found.regrets > 0.1 * found.payoffs
    assert great.any()
    np.testing.assert_allclose(learner.act(seen)[0][great], GOAL[great], atol=0.3)


def test_what_verification_finds_is_not_learned(learner, block):
    """Only proposals and probes enter the replay, however many joint actions the verification looks at."""
    found, learned = check_equilibrium(learner, block(50), payoff, 50)
    assert found.evaluations > learned


def test_same_state_same_verdict(learner, block, spec):
    twin = make_learner(
        "maddpg" if learner.views == 1 else "mean_field_ddpg", "default", {"warmup": 20, "actor_delay": 10_000}, spec, 6
    )
    twin.load_state_dict(learner.state_dict())
    one, other = (check_equilibrium(x, block(50), payoff, 20) for x in (learner, twin))
    assert one[0].estimated == other[0].estimated and one[1] == other[1]
    np.testing.assert_array_equal(one[0].best_response_actions, other[0].best_response_actions)
