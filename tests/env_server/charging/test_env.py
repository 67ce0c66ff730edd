"""The environment: episodes, spaces, seeds, noise and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from env_server.environments.base import Environment, PayoffEnvironment, Step
from env_server.environments.charging import Charging, ChargingConfig


def copies(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint32)


def actions_of(batch: np.ndarray) -> list[dict[str, np.ndarray]]:
    """(B, N, T) as the environment takes it."""
    return [{"": np.ascontiguousarray(batch[:, i])} for i in range(batch.shape[1])]


def random_actions(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 4, 8), dtype=np.float32)


def everything(step: Step) -> bytes:
    parts = [leaf for values in (*step.observations, step.state, step.info) for leaf in values.values()]
    parts += [step.rewards, step.terminated, step.truncated, step.awaited]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def test_it_is_an_environment() -> None:
    game: Environment = Charging(ChargingConfig(), 1)
    assert isinstance(game, PayoffEnvironment)
    assert game.agents == ("station_0", "station_1", "station_2", "station_3")


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("scenario", ["melbourne", "brief"])
def test_what_is_shown_lies_in_the_spaces(scenario: str, noise: bool) -> None:
    game = Charging(ChargingConfig(scenario=scenario, demand_noise=noise, demand_noise_cv=2.0), 5)
    step = game.reset(1, np.arange(5, dtype=np.uint32))
    for _ in range(3):
        for i, agent in enumerate(game.agents):
            for copy in range(5):
                one = {path: leaf[copy] for path, leaf in step.observations[i].items()}
                assert game.observation_spaces[agent].contains(one)
        for copy in range(5):
            assert game.state_space.contains({path: leaf[copy] for path, leaf in step.state.items()})
        step = game.step(actions_of(random_actions(5)))
    sizes = {path: space.shape for path, space in game.state_space.items()}
    assert sizes == {"charging_flows": (4, 8), "last_round_all_prices": (4, 8)}


def test_the_flow_bound_is_reachable_in_principle_and_finite() -> None:
    game = Charging(ChargingConfig(scenario="brief"), 1)
    space = game.observation_spaces["station_0"]
    assert isinstance(space, spaces.Dict)
    high = space["own_charging_flow"].high  # type: ignore[attr-defined]
    cars = game.scenario.demand.sum(axis=0)
    assert high[0] * game.flow_scale == pytest.approx(cars[:2].sum(), rel=1e-5)
    assert high[4] * game.flow_scale == pytest.approx(cars[3:6].sum(), rel=1e-5)
    assert game.flow_scale == pytest.approx(3750 / 32)


def test_an_episode() -> None:
    game = Charging(ChargingConfig(scenario="brief", episode_rounds=3), 2)
    step = game.reset(7, copies(0, 1))
    assert step.awaited.all()
    assert not step.rewards.any()
    for number in range(1, 4):
        played = random_actions(2, number)
        step = game.step(actions_of(played))
        assert (step.truncated == (number == 3)).all()
        assert (step.awaited == (number < 3)).all()
        assert not step.terminated.any()
        np.testing.assert_array_equal(step.state["last_round_all_prices"], played)
        np.testing.assert_array_equal(step.observations[2]["last_round_all_prices"], played)
        np.testing.assert_array_equal(step.observations[2]["own_charging_flow"], step.state["charging_flows"][:, 2])
        np.testing.assert_allclose(step.info["prices"], 0.5 + 1.5 * played.astype(np.float64))
        np.testing.assert_allclose(step.state["charging_flows"], step.info["flows"] / game.flow_scale, rtol=1e-6)
        earned = ((step.info["prices"] - 0.6) * 50.0 * step.info["flows"]).sum(axis=2)
        np.testing.assert_allclose(step.rewards, earned)
        np.testing.assert_allclose(step.info["outside"], 1 - step.info["flows"].sum(axis=(1, 2)) / 3750)
        payoff, slopes = game.payoff(played.astype(np.float64), False)
        assert payoff.tobytes() == step.rewards.tobytes()
        assert slopes is None
    with pytest.raises(RuntimeError, match="expected a reset after 3 rounds"):
        game.step(actions_of(random_actions(2)))
    assert game.reset(8, copies(0, 1)).awaited.all()


def test_a_step_is_the_callers_to_keep() -> None:
    game = Charging(ChargingConfig(), 1)
    first = game.reset(7, copies(0))
    before = everything(first)
    game.step(actions_of(random_actions(1)))
    assert everything(first) == before


@pytest.mark.parametrize("noise", [False, True])
def test_batching_changes_no_bit(noise: bool) -> None:
    config = ChargingConfig(demand_noise=noise)
    numbers = [0, 3, 9, 4, 1, 17, 2, 8, 5, 6]
    together = Charging(config, 10)
    shown = [together.reset(5, copies(*numbers))]
    shown += [together.step(actions_of(random_actions(10, s))) for s in range(2)]
    for row, number in enumerate(numbers):
        alone = Charging(config, 1)
        steps = [alone.reset(5, copies(number))]
        steps += [alone.step(actions_of(random_actions(10, s)[row : row + 1])) for s in range(2)]
        for one, all_ in zip(steps, shown, strict=True):
            assert one.rewards.tobytes() == all_.rewards[row].tobytes()
            for path in ("last_round_all_prices", "charging_flows"):
                assert one.state[path].tobytes() == all_.state[path][row].tobytes()


def test_seeds() -> None:
    game = Charging(ChargingConfig(demand_noise=True), 3)
    played = actions_of(random_actions(3))

    def play(seed: int, *numbers: int) -> list[bytes]:
        return [
            everything(game.reset(seed, copies(*numbers))),
            everything(game.step(played)),
            everything(game.step(played)),
        ]

    assert play(1, 0, 1, 2) == play(1, 0, 1, 2)
    assert play(1, 0, 1, 2)[0] != play(2, 0, 1, 2)[0]
    assert play(1, 0, 1, 2)[0] != play(1, 0, 1, 3)[0]
    assert play(1, 0, 1, 2)[1] != play(1, 0, 1, 2)[2]  # each day has its own demand


def test_initial_prices() -> None:
    middle = Charging(ChargingConfig(initial_prices="middle"), 2).reset(1, copies(0, 1))
    assert (middle.state["last_round_all_prices"] == 0.5).all()
    drawn = Charging(ChargingConfig(), 2000).reset(1, np.arange(2000, dtype=np.uint32)).state["last_round_all_prices"]
    assert abs(drawn.mean() - 0.5) < 0.005
    assert drawn.min() < 0.001
    assert drawn.max() > 0.999


def test_noise_keeps_the_mean_demand() -> None:
    # Without congestion flows are linear in demand, so their mean is that of the mean demand.
    config = ChargingConfig(scenario="brief", demand_noise=True, demand_noise_cv=1.5, congestion="none")
    game = Charging(config, 2000)
    game.reset(3, np.arange(2000, dtype=np.uint32))
    played = np.repeat(random_actions(1), 2000, axis=0)
    rewards = game.step(actions_of(played)).rewards
    expected = game.payoff(played[:1].astype(np.float64), False)[0][0]
    error = rewards.std(axis=0) / np.sqrt(2000)
    assert rewards.std() > 0
    assert (np.abs(rewards.mean(axis=0) - expected) < 4 * error).all()


def bad(value: Any, agent: int = 1) -> list[dict[str, Any]]:
    actions = actions_of(random_actions(2))
    actions[agent] = value
    return actions


def nudged(value: float) -> dict[str, np.ndarray]:
    array = np.full((2, 8), 0.5, dtype=np.float32)
    array[1, 3] = value
    return {"": array}


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (actions_of(random_actions(2))[:3], "actions: expected one for each of 4 agents, got 3"),
        (bad({"price": np.zeros((2, 8), np.float32)}), r"station_1: action: expected the one leaf '', got \['price'\]"),
        (
            bad({"": np.zeros((2, 7), np.float32)}),
            r"station_1: action: expected float32 \(2, 8\), got float32 \(2, 7\)",
        ),
        (bad({"": np.zeros((2, 8))}), r"station_1: action: expected float32 \(2, 8\), got float64 \(2, 8\)"),
        (bad(nudged(float("nan"))), r"station_1: action\[3\] of copy 1: expected within \[0, 1\], got nan"),
        (bad(nudged(1.5), agent=3), r"station_3: action\[3\] of copy 1: expected within \[0, 1\], got 1.5"),
        (bad(nudged(-0.25)), r"station_1: action\[3\] of copy 1: expected within \[0, 1\], got -0.25"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(actions: Any, words: str) -> None:
    game, other = Charging(ChargingConfig(), 2), Charging(ChargingConfig(), 2)
    game.reset(1, copies(0, 1))
    other.reset(1, copies(0, 1))
    with pytest.raises(ValueError, match=words):
        game.step(actions)
    good = actions_of(random_actions(2))
    assert everything(game.step(good)) == everything(other.step(good))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((1, 4, 7)), r"actions: expected float64 \(M, 4, 8\), got float64 \(1, 4, 7\)"),
        (np.zeros((4, 8)), r"actions: expected float64 \(M, 4, 8\), got float64 \(4, 8\)"),
        (np.zeros((1, 4, 8), np.float32), r"got float32 \(1, 4, 8\)"),
        (np.full((1, 4, 8), np.inf), r"station_0: action\[0\] of copy 0: expected within \[0, 1\], got inf"),
    ],
)
def test_bad_joint_actions_are_refused(actions: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Charging(ChargingConfig(), 1).payoff(actions, False)


def test_bad_resets_are_refused() -> None:
    game = Charging(ChargingConfig(), 2)
    with pytest.raises(ValueError, match=r"seed: expected 0 <= seed < 2\*\*63, got -1"):
        game.reset(-1, copies(0, 1))
    with pytest.raises(ValueError, match=r"copies: expected uint32 \(2,\), got uint32 \(1,\)"):
        game.reset(0, copies(0))
    with pytest.raises(ValueError, match="copies: expected uint32"):
        game.reset(0, np.arange(2))
    with pytest.raises(RuntimeError, match="expected a reset"):
        game.step(actions_of(random_actions(2)))
    with pytest.raises(ValueError, match="num_envs: expected >= 1, got 0"):
        Charging(ChargingConfig(), 0)


def test_no_joint_actions_at_all() -> None:
    payoffs, slopes = Charging(ChargingConfig(), 1).payoff(np.zeros((0, 4, 8)), True)
    assert payoffs.shape == (0, 4)
    assert slopes is not None
    assert slopes.shape == (0, 4, 8)
