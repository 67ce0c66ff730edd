"""One agent of a game as a Gymnasium environment, alone and in vectors, while services play the others."""

import subprocess
import sys
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from agora.clients import gym_env, vector_env
from agora.errors import Refused
from bench.processes import ROOT
from tests.support.noughts import outcome

CALM = {"episode_rounds": 4, "demand_noise": False, "initial_prices": "middle"}
NOISY = {"episode_rounds": 4}
TICTACTOE = "pettingzoo:pettingzoo.classic.tictactoe_v3"
SPREAD = "pettingzoo:mpe2.simple_spread_v3?max_cycles=5"


@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes:UserWarning")
@pytest.mark.filterwarnings("ignore:.*A Box observation space (min|max)imum value is:UserWarning")
@pytest.mark.parametrize(("game", "agent"), [("charging", "station_2"), (SPREAD, "agent_1")])
def test_gymnasium_accepts_the_environment(server, randoms, game, agent):
    env = gym_env(server, game, agent=agent, seats={"*": randoms})
    check_env(env)
    env.close()


def test_turns_of_others_pass_within_a_step_and_masks_are_told(server, randoms):
    env = gym_env(server, TICTACTOE, agent="player_2", seats={"player_1": randoms})
    earned = set()
    for seed in range(10):
        _, info = env.reset(seed=seed)
        env.action_space.seed(seed)
        total, over, moves = 0.0, False, 1
        while not over:
            assert info["action_mask"].sum() == 9 - moves and info["action_mask"].dtype == np.int8
            seen, reward, terminated, truncated, info = env.step(env.action_space.sample(info["action_mask"]))
            total, over, moves = total + reward, terminated or truncated, moves + 2
        assert total == outcome(seen["observation"])
        earned.add(total)
    assert {-1.0, 1.0} <= earned
    env.close()


def test_everybody_else_needs_a_seat(server, randoms):
    with pytest.raises(Refused, match="station_3"):
        gym_env(server, agent="station_0", seats={"station_1": randoms, "station_2": randoms})
    with pytest.raises(Refused, match="the driver is this agent"):
        gym_env(server, agent="station_0", seats={"station_0": randoms, "*": randoms})
    with pytest.raises(Refused, match="'ghost'"):
        gym_env(server, agent="ghost", seats={"*": randoms})


def same(mine, theirs):
    np.testing.assert_equal(mine[0], theirs[0])
    for one, other in zip(mine[1:-1], theirs[1:-1], strict=True):
        assert np.array_equal(one, other) and one.dtype == other.dtype
    assert set(mine[-1]) == set(theirs[-1])
    for key, value in theirs[-1].items():
        pairs = (mine[-1][key].tolist(), value.tolist()) if key == "final_obs" else (mine[-1][key], value)
        np.testing.assert_equal(*pairs)


def test_a_vector_is_what_gymnasium_makes_of_as_many_environments(server, middles):
    """Nothing is drawn in this game, so copies and environments of all seeds go alike; episodes end in between."""
    seats = {"*": middles}
    mine = vector_env(server, config=CALM, agent="station_1", seats=seats, num_envs=3)
    one = lambda: gym_env(server, config=CALM, agent="station_1", seats=seats)  # noqa: E731
    theirs = SyncVectorEnv([one] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert mine.observation_space == theirs.observation_space and mine.action_space == theirs.action_space
    assert mine.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"]
    same(mine.reset(seed=4), theirs.reset(seed=4))
    for _ in range(9):
        actions = mine.action_space.sample()
        same(mine.step(actions), theirs.step(actions))
    mine.close()
    theirs.close()


@pytest.mark.parametrize(("game", "config", "agent"), [("charging", NOISY, "station_0"), (SPREAD, None, "agent_0")])
def test_copy_0_goes_as_the_environment_of_the_same_seed(server, randoms, game, config, agent):
    many = vector_env(server, game, config, {"*": randoms}, agent=agent, num_envs=3)
    single = gym_env(server, game, config, {"*": randoms}, agent=agent)
    first = gymnasium.vector.utils.iterate
    (seen, _), (alone, _) = many.reset(seed=11), single.reset(seed=11)
    for _ in range(11):
        np.testing.assert_equal(next(first(many.observation_space, seen)), alone)
        actions = many.action_space.sample()
        seen, rewards, terminated, truncated, infos = many.step(actions)
        alone, reward, done, cut, _ = single.step(actions[0])
        assert (rewards[0], terminated[0], truncated[0]) == (reward, done, cut)
        if done or cut:
            np.testing.assert_equal(infos["final_obs"][0], alone)
            alone, _ = single.reset()
    assert len(set(rewards)) == 3 or game == SPREAD
    many.close()
    single.close()


def test_copies_that_end_alone_start_again_alone(server, randoms):
    """Half the copies are restarted early by hand, so that afterwards they end at other times."""
    env = vector_env(server, SPREAD, None, {"*": randoms}, agent="agent_0", num_envs=4)
    env.reset(seed=1)
    for _ in range(2):
        env.step(env.action_space.sample())
    env._driver.reset(2, np.array([1, 3]))
    ends = []
    for _ in range(10):
        *_, truncated, infos = env.step(env.action_space.sample())
        ends.append(truncated.tolist())
        if truncated.any():
            assert infos["_final_obs"].tolist() == truncated.tolist()
            assert [obs is not None for obs in infos["final_obs"]] == truncated.tolist()
    assert [step[0] for step in ends] == [False, False, True, False, False, False, False, True, False, False]
    assert [step[1] for step in ends] == [False, False, False, False, True, False, False, False, False, True]
    env.close()


def test_gymnasiums_vector_wrappers_work(server, randoms):
    env = RecordEpisodeStatistics(vector_env(server, config=NOISY, agent="station_0", seats={"*": randoms}, num_envs=3))
    env.reset(seed=1)
    total = np.zeros(3)
    for _ in range(4):
        _, rewards, _, _, infos = env.step(env.action_space.sample())
        total += rewards
    np.testing.assert_allclose(infos["episode"]["r"], total, rtol=1e-6)
    assert (infos["episode"]["l"] == 4).all()
    env.close()


def test_a_vector_of_a_game_of_turns_is_refused_in_words(server, randoms):
    env = vector_env(server, TICTACTOE, agent="player_2", seats={"*": randoms}, num_envs=2)
    with pytest.raises(Refused, match="gym_env"):
        env.reset(seed=1)
        for _ in range(9):
            env.step(np.array([3, 4]))
    env.close()


WORKERS = """
import sys
import threading
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from agora.clients import gym_env

server, service, context = sys.argv[1:]
make = lambda: gym_env(server, config={config}, agent="station_1", seats={{"*": service}})
env = AsyncVectorEnv([make, make], context=context, autoreset_mode=AutoresetMode.SAME_STEP)
env.reset(seed=1)
for _ in range(5):
    _, rewards, *_ = env.step(np.full((2, 8), 0.4, np.float32))
    assert rewards[0] == rewards[1]
env.close()
"""


@pytest.mark.parametrize("context", ["forkserver", "spawn"])
def test_environments_live_in_worker_processes(server, middles, context):
    # In a process of its own: the server of a fork stays for as long as the process that asked for it.
    program = WORKERS.format(config=CALM)
    done = subprocess.run(
        [sys.executable, "-c", program, server, middles, context], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore::UserWarning:stable_baselines3.*")
def test_stable_baselines_trains_one_station_against_three_services(server, randoms):
    from stable_baselines3 import PPO

    env = gym_env(server, config=NOISY, agent="station_0", seats={f"station_{i}": randoms for i in (1, 2, 3)})
    model = PPO("MultiInputPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(64)
    assert model.num_timesteps == 64 and len(model.ep_info_buffer) == 16
    env.close()


def test_a_closed_session_leaves_no_thread_that_could_die_with_the_interpreter(server, randoms):
    before = set(threading.enumerate())
    for _ in range(10):
        envs = [gym_env(server, agent="station_0", seats={"*": randoms}) for _ in range(4)]
        for env in envs:
            env.close()
            env.close()
        assert set(threading.enumerate()) <= before
