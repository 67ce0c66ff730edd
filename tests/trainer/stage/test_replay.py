import numpy as np
import pytest
import torch

from trainer.stage.replay import NAMES, Replay, Transitions, draw


def batch(first, count, weights=None):
    """Transitions whose rewards are their numbers."""
    number = np.arange(first, first + count, dtype=np.float32)[:, None]
    reward = np.concatenate([number, -number], axis=1)
    return Transitions(
        critic_state=number[:, :, None].repeat(3, axis=2),
        observations=np.stack([reward, reward], axis=2),
        actions=reward[:, :, None] / 100,
        rewards=reward,
        weights=np.ones((count, 2), np.float32) if weights is None else weights,
        continues=np.ones((count, 2), np.float32),
        next_critic_state=np.zeros((count, 1, 0), np.float32),
        next_observations=np.zeros((count, 2, 0), np.float32),
    )


def test_ring_keeps_the_newest():
    replay = Replay(5)
    for first in (0, 3, 6):
        replay.add(batch(first, 3))
    assert len(replay) == 5 and replay.added == 9
    assert sorted(replay.column("rewards")[:, 0]) == [4, 5, 6, 7, 8]
    replay.add(batch(20, 12))
    assert sorted(replay.column("rewards")[:, 0]) == [27, 28, 29, 30, 31]


def test_odds_halve_with_age_and_follow_weights():
    replay = Replay(4)
    weights = np.array([[1, 0], [1, 1], [0.5, 1], [1, 1], [1, 0.25], [1, 1]], np.float32)
    replay.add(batch(0, 6, weights))
    odds = replay.odds(half_life=2.0)
    by_number = dict(zip(replay.column("rewards")[:, 0].astype(int), odds.T, strict=True))
    halves = {5: 1, 4: 0.5**0.5, 3: 0.5, 2: 0.5**1.5}
    for number, fresh in halves.items():
        own = weights[number].astype(float) * fresh
        np.testing.assert_allclose(by_number[number], [*own, own.max()], rtol=1e-12)
    newest = replay.odds(np.inf, newest=2)
    kept = {int(r) for r in replay.column("rewards")[newest[0] > 0, 0]}
    assert kept == {4, 5}


def test_draw_is_proportional_and_never_takes_what_has_no_odds():
    odds = np.array([0.0, 1.0, 3.0, 0.0])
    places = draw(odds, np.linspace(0, 1, 4001)[:-1])
    assert np.bincount(places, minlength=4).tolist() == [0, 1000, 3000, 0]
    assert draw(odds, np.array([np.nextafter(1, 0)])) == 2
    assert draw(1e-12 * odds, np.array([0.24, 0.26])).tolist() == [1, 2]
    with pytest.raises(ValueError, match="positive weight"):
        draw(np.zeros(3), np.array([0.5]))


def test_take_and_own():
    replay = Replay(10)
    replay.add(batch(0, 10))
    places = np.array([[1, 2, 3], [4, 5, 6]])
    assert replay.own("rewards", places).tolist() == [[1, 2, 3], [-4, -5, -6]]
    assert replay.own("critic_state", places)[1, 2].tolist() == [6, 6, 6]
    assert replay.take("actions", places).shape == (2, 3, 2, 1)


def test_what_does_not_fit_is_refused():
    replay = Replay(10)
    replay.add(batch(0, 2))
    good = vars(batch(2, 2))
    with pytest.raises(ValueError, match=r"transitions.actions: expected finite float32 \[2, 2, 1\], got \[2, 2, 2\]"):
        replay.add(Transitions(**{**good, "actions": np.zeros((2, 2, 2), np.float32)}))
    broken = good["rewards"].copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"transitions\.rewards: expected finite"):
        replay.add(Transitions(**{**good, "rewards": broken}))


@pytest.mark.parametrize("capacity", [10**15, 2**62])
def test_what_no_memory_holds_is_refused(capacity):
    with pytest.raises(ValueError, match=f"capacity: expected what fits into memory, got {capacity:,}"):
        Replay(capacity).add(batch(0, 1))


def test_state_goes_round_exactly():
    replay, other = Replay(5), Replay(5)
    replay.add(batch(0, 7))
    other.load_state_dict(replay.state_dict())
    for ring in (replay, other):
        ring.add(batch(50, 3))
    places = np.array([[0, 1, 2, 3, 4]] * 2)
    assert other.added == replay.added == 10
    assert all(torch.equal(replay.take(name, places), other.take(name, places)) for name in NAMES)
    with pytest.raises(ValueError, match="expected 7 transitions, got 5"):
        Replay(9).load_state_dict(
            state := {**Replay(5).state_dict(), "added": 7, "arrays": other.state_dict()["arrays"]}
        )
    assert state["added"] == 7


def test_what_is_loaded_takes_the_place_of_all_that_was_there():
    replay = Replay(5)
    replay.add(batch(0, 4))
    replay.load_state_dict(Replay(5).state_dict())
    assert replay.state_dict() == {"added": 0, "arrays": {}}
