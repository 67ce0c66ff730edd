"""Games that do not tell their end: every view tells it, once, to everybody."""

import numpy as np
import pytest

from agora.clients import aec_env, gym_env, parallel_env, vector_env
from bench.processes import Service

ZOO = "tests.support.zoo"
LIMIT = 50
"""No game here lasts as long."""


@pytest.fixture(scope="module")
def server():
    with Service("env_server", ["--pettingzoo-module", ZOO, "--game", "silent=tests.support.tiny_game:Silent"]) as own:
        yield own.address


def walkout(how):
    return f"pettingzoo:{ZOO}:Walkout?how={how}"


def ended(env):
    return {agent: (env.terminations[agent], env.truncations[agent]) for agent in env.agents}


@pytest.mark.parametrize(
    ("how", "ends"),
    [("silent", (True, False)), ("early", (True, False)), ("flagged", (False, True))],
)
def test_a_loop_of_turns_comes_to_its_end(how, ends, server):
    env, earned, last = aec_env(server, walkout(how)), {"first": 0.0, "second": 0.0}, {}
    env.reset(seed=1)
    for number, agent in enumerate(env.agent_iter()):
        assert number < LIMIT
        _, reward, terminated, truncated, _ = env.last()
        earned[agent] += reward
        last[agent] = (terminated, truncated)
        env.step(None if terminated or truncated else 0)
    assert last == {"first": ends, "second": ends}
    # Turns alternate; where "first" leaves after the fourth, the fifth is "second"'s.
    assert earned == ({"first": 2.0, "second": 3.0} if how == "early" else {"first": 3.0, "second": 2.0})
    env.close()


@pytest.mark.parametrize("game", [walkout("silent"), f"pettingzoo:{ZOO}:Vanishing"])
def test_a_parallel_loop_comes_to_its_end(game, server):
    env, steps = parallel_env(server, game), 0
    env.reset(seed=1)
    while env.agents:
        steps += 1
        assert steps < LIMIT
        _, _, terminated, truncated, _ = env.step({agent: 0 for agent in env.agents})
    assert terminated == {"first": True, "second": True} and truncated == {"first": False, "second": False}
    assert steps == (5 if "Walkout" in game else 3)
    env.close()


@pytest.mark.parametrize(("how", "steps"), [("silent", 3), ("early", 2), ("flagged", 3)])
def test_one_seats_loop_comes_to_its_end(how, steps, server, randoms):
    env = gym_env(server, walkout(how), agent="first", seats={"*": randoms})
    env.reset(seed=1)
    total, number, over = 0.0, 0, False
    while not over:
        number += 1
        assert number < LIMIT
        _, reward, terminated, truncated, _ = env.step(0)
        total, over = total + reward, terminated or truncated
    assert (number, total) == (steps, float(steps))
    assert (terminated, truncated) == ((False, True) if how == "flagged" else (True, False))
    env.close()


def test_copies_of_a_vector_start_again(server, randoms):
    env = vector_env(server, f"pettingzoo:{ZOO}:Vanishing", agent="first", seats={"*": randoms}, num_envs=2)
    env.reset(seed=1)
    told = [env.step(np.zeros(2, np.int64)) for _ in range(7)]
    assert [terminated.tolist() for _, _, terminated, _, _ in told] == [[n in (3, 6)] * 2 for n in range(1, 8)]
    assert [seen[:, 0].tolist() for seen, *_ in told] == [[n % 3] * 2 for n in range(1, 8)]
    env.close()


def test_a_batched_game_that_tells_no_end_is_told_to_have_ended(server):
    """``left`` is gone after two steps: an end by the rules. ``right`` is there to the last: it was cut off."""
    env = parallel_env(server, "silent")
    env.reset(seed=1)
    ends = []
    while env.agents:
        assert len(ends) < LIMIT
        _, _, terminated, truncated, _ = env.step({agent: 0 for agent in env.agents})
        ends.append({agent: (terminated[agent], truncated[agent]) for agent in terminated})
    both = {"left": (False, False), "right": (False, False)}
    assert ends == [both, {**both, "left": (True, False)}, {"right": (False, True)}]
    env.close()
