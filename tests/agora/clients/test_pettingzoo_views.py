"""PettingZoo's own tests, of games that run in another process; and what these tests do not look at."""

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.test.seed_test import seed_test
from pettingzoo.test.state_test import state_test

from agora.clients import aec_env, parallel_env
from agora.errors import Refused, Unavailable
from bench.processes import Service, free_address

GAMES = {
    "charging": {"episode_rounds": 5},
    "scml": {"days": 4, "levels": 2, "factories": 2, "workers": 1},
    "pettingzoo:mpe2.simple_speaker_listener_v4?max_cycles=6": None,
    "pettingzoo:pettingzoo.classic.tictactoe_v3": None,
}
# What PettingZoo's tests say about names, shapes and rendering of sound environments.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo.test.*")


@pytest.mark.parametrize("game", GAMES)
def test_pettingzoo_accepts_the_parallel_view(server, game):
    def make():
        return parallel_env(server, game, GAMES[game])

    parallel_api_test(make(), 30)
    parallel_seed_test(make, 30)


@pytest.mark.parametrize("game", GAMES)
def test_pettingzoo_accepts_the_view_of_turns(server, game):
    def make():
        return aec_env(server, game, GAMES[game])

    api_test(make(), 30)
    seed_test(make, 30)
    state_test(make(), parallel_env(server, game, GAMES[game]), 5)


@pytest.mark.parametrize("game", ["charging", "pettingzoo:mpe2.simple_speaker_listener_v4?max_cycles=6"])
def test_both_views_tell_the_same_episode(server, game):
    together, turns = parallel_env(server, game, GAMES[game]), aec_env(server, game, GAMES[game])
    for seed in (3, None):
        seen, _ = together.reset(seed=seed)
        turns.reset(seed=seed)
        while together.agents:
            actions = {agent: together.action_space(agent).sample() for agent in together.agents}
            for agent in list(together.agents):
                assert turns.agent_selection == agent
                np.testing.assert_equal(turns.observe(agent), seen[agent])
                turns.step(actions[agent])
            seen, rewards, terminated, truncated, _ = together.step(actions)
            assert turns.rewards == rewards and turns.terminations == terminated and turns.truncations == truncated
            np.testing.assert_equal(turns.state(), together.state())
        for agent in together.possible_agents:
            assert turns.agent_selection == agent and turns.last()[1] != 0.0
            turns.step(None)
        assert turns.agents == []
    together.close()
    turns.close()


def test_who_has_a_seat_is_not_there(server, middles):
    env = parallel_env(server, "charging", {"episode_rounds": 2}, {"station_1": middles, "station_3": [middles]})
    assert env.possible_agents == ["station_0", "station_2"]
    env.reset(seed=0)
    seen, *_ = env.step({"station_0": [0.25] * 8, "station_2": np.ones(8)})
    asked = np.broadcast_to(np.array([0.25, 0.5, 1.0, 0.5], np.float32)[:, None], (4, 8))
    assert set(seen) == {"station_0", "station_2"}
    assert np.array_equal(seen["station_0"]["last_round_all_prices"], asked)
    env.close()


WRONG = [
    ({"station_0": np.full(8, 1.5)}, "station_0.action.*1.5"),
    ({"station_0": np.full(7, 0.5)}, r"station_0.action.*\[1, 8\], got \[1, 7\]"),
    ({"station_0": ["a"] * 8}, "station_0.action.*float32"),
    ({"station_0": [[1], [1, 2]]}, "station_0.action"),
    ({"station_0": np.full(8, np.nan)}, "NOT_FINITE: station_0.action"),
    ({"station_0": None}, "station_0.action.*float32"),
    ({}, "station_0.action.*awaited"),
    ({"station_9": np.ones(8)}, "'station_9'"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_actions_are_refused_by_name_and_change_nothing(server, wrong, words):
    env = parallel_env(server, "charging", {"episode_rounds": 2})
    env.reset(seed=0)
    good = {agent: np.full(8, 0.5) for agent in env.agents}
    bad = good | wrong if wrong else {agent: good[agent] for agent in env.agents[1:]}
    for _ in range(2):
        with pytest.raises(Refused, match=words):
            env.step(bad)
        assert env.step(good)[0]
    env.close()


def test_choices_are_integers(server):
    env = aec_env(server, "pettingzoo:mpe2.simple_spread_v3")
    env.reset(seed=0)
    for wrong in (1.0, 5, -1, [1, 2], "1"):
        with pytest.raises(Refused, match=r"agent_0.action"):
            env.step(wrong)
    for right in (1, np.uint8(2), np.array(3)):
        env.step(right)
    assert env.agent_selection == "agent_0"
    env.close()


def test_errors_say_where_and_what(server):
    with pytest.raises(Refused, match=r"UNKNOWN_ENVIRONMENT.*'chess'"):
        parallel_env(server, "chess")
    with pytest.raises(Refused, match=r"environment.config.thetta"):
        parallel_env(server, config={"thetta": 1})
    with pytest.raises(Refused, match="the driver acts for"):
        parallel_env(server, seats={"*": "127.0.0.1:1"})
    nobody = free_address()
    with pytest.raises(Unavailable, match=nobody):
        parallel_env(nobody, timeout=5)
    env = parallel_env(server)
    with pytest.raises(Refused, match="reset"):
        env.step({})
    with pytest.raises(Refused, match="seed"):
        env.reset(seed=-1)
    with pytest.raises(Refused, match="reset"):
        env.state()
    env.reset(seed=1)
    env.close()
    env.close()
    with pytest.raises(Unavailable, match="closed"):
        env.reset()


def test_a_server_that_dies_or_hangs_does_not_hang_its_clients():
    with Service("env_server") as service:
        frozen, dead = parallel_env(service.address), parallel_env(service.address)
        dead.reset()
        frozen._driver._timeout = 0.5  # it was patient until the session was open
        service.process.send_signal(19)
        with pytest.raises(Unavailable, match=service.address):
            frozen.reset()
        service.kill()
        for _ in range(2):
            with pytest.raises(Unavailable, match=service.address):
                dead.reset()
