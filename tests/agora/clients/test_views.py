"""What a driver shows, in every view's words: whose row it is, when it is told, and what is asked of the driver."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agora.clients.aec import AgoraAECEnv
from agora.clients.gym import AgoraEnv
from agora.clients.parallel import AgoraParallelEnv
from agora.clients.vector import AgoraVectorEnv
from agora.clients.view import Seeds
from agora.errors import Refused
from agora.v1 import policy_pb2
from tests.support.scripted import KINDS, SEEN, Scripted, shown

MASKS = [[1, 0, 1], [0, 1, 0]]


def test_seeds_follow_from_the_last_one_given():
    one, two = Seeds(), Seeds()
    assert one.next(5) == two.next(5) == 5
    assert (follow := [one.next(None) for _ in range(3)]) == [two.next(None) for _ in range(3)]
    assert len({*follow}) == 3 and all(0 <= seed < 2**63 for seed in follow)
    # As NumPy draws them: the first three numbers of the generator of that seed.
    assert follow == np.random.default_rng(5).integers(2**63, size=3).tolist()
    assert one.next(0) == 0
    assert one.next(None) == np.random.default_rng(0).integers(2**63)
    with pytest.raises(Refused, match="OUT_OF_BOUNDS: seed"):
        one.next(-1)


@pytest.mark.parametrize("kind", [AgoraParallelEnv, AgoraAECEnv, AgoraEnv])
def test_nothing_is_drawn(kind):
    env = kind(Scripted([]))
    assert env.render_mode is None and env.metadata["render_modes"] == []
    assert kind is AgoraEnv or env.metadata["is_parallelizable"]


# All at once.


def test_everybody_sees_its_own_row():
    driver = Scripted([shown(1, masks=MASKS, awaited=[True, False]), shown(2, rewards=[3.0, 5.0], masks=MASKS[::-1])])
    env = AgoraParallelEnv(driver)
    assert env.possible_agents == ["first", "second"] and env.agents == []
    assert env.metadata == {"name": "scripted", "render_modes": [], "is_parallelizable": True}
    assert env.observation_space("second") is SEEN and env.action_space("first") is KINDS
    seen, infos = env.reset(seed=4)
    assert {agent: view.tolist() for agent, view in seen.items()} == {"first": [1.0, 0.0], "second": [101.0, 0.0]}
    assert [infos[agent]["action_mask"].tolist() for agent in env.agents] == MASKS
    assert [infos[agent]["awaited"] for agent in env.agents] == [True, False]
    assert env.state() == 1
    seen, rewards, terminated, truncated, infos = env.step({"first": 2, "second": 1})
    # Only what is awaited is said.
    assert driver.asked == [("reset", 4, None), {"first": [[2]]}]
    assert rewards == {"first": 3.0, "second": 5.0} and seen["second"].tolist() == [102.0, 0.0]
    assert not any((*terminated.values(), *truncated.values()))
    assert infos["first"]["action_mask"].tolist() == MASKS[1] and infos["second"]["awaited"]
    assert env.state() == 2
    env.close()
    assert driver.closed == 1


def test_who_ends_is_told_so_once_and_who_comes_is_told_at_once():
    alive = [[True, False], [True, True], [False, True], [False, False]]
    driver = Scripted(
        [
            shown(0, alive=alive[0]),
            shown(1, alive=alive[1], rewards=[1.0, 2.0]),
            shown(2, alive=alive[2], rewards=[3.0, 4.0], terminated=[True, False]),
            shown(3, alive=alive[3], rewards=[0.0, 6.0], truncated=[False, True]),
        ]
    )
    env = AgoraParallelEnv(driver)
    seen, infos = env.reset(seed=1)
    assert list(seen) == list(infos) == env.agents == ["first"]
    told = env.step({"first": 0, "second": 0})
    assert env.agents == ["first", "second"] and told[1] == {"first": 1.0, "second": 2.0}
    told = env.step({"first": 0, "second": 0})
    assert env.agents == ["second"] and told[1] == {"first": 3.0, "second": 4.0}
    assert told[2] == {"first": True, "second": False} and told[3] == {"first": False, "second": False}
    told = env.step({"first": 0, "second": 0})
    assert env.agents == [] and told[1:4] == ({"second": 6.0}, {"second": False}, {"second": True})
    assert list(told[0]) == list(told[4]) == ["second"]


def test_actions_that_are_missing_or_nobodys():
    env = AgoraParallelEnv(driver := Scripted([shown(0), shown(1)]))
    with pytest.raises(Refused, match="NOT_READY: state"):
        env.state()
    env.reset(seed=1)
    for actions, field, reason in (
        ({"first": 1}, "second.action", policy_pb2.REASON_SHAPE),
        ({"first": 1, "second": 1, "third": 1}, "actions", policy_pb2.REASON_UNKNOWN_AGENT),
    ):
        with pytest.raises(Refused) as caught:
            env.step(actions)
        assert (caught.value.field, caught.value.reason) == (field, reason)
    env.step({"second": 1, "first": 2})
    assert driver.asked[1:] == [{"first": [[2]], "second": [[1]]}]


# One after the other.


def test_turns_are_gathered_until_everybody_awaited_has_acted():
    driver = Scripted([shown(0, masks=MASKS), shown(1, rewards=[3.0, 5.0], masks=MASKS[::-1]), shown(2)])
    env = AgoraAECEnv(driver)
    env.reset(seed=6)
    assert env.agents == ["first", "second"] and env.agent_selection == "first" and env.state() == 0
    assert env.rewards == {"first": 0.0, "second": 0.0} and env.infos["second"]["action_mask"].tolist() == MASKS[1]
    env.step(1)
    assert env.agent_selection == "second" and driver.asked == [("reset", 6, None)]
    assert env.observe("second").tolist() == [100.0, 0.0] and env.state() == 0
    env.step(2)
    assert driver.asked[1] == {"first": [[1]], "second": [[2]]}
    assert env.rewards == {"first": 3.0, "second": 5.0} and env.agent_selection == "first" and env.state() == 1
    seen, reward, terminated, truncated, info = env.last()
    assert (seen.tolist(), reward, terminated, truncated) == ([1.0, 0.0], 3.0, False, False)
    assert info["action_mask"].tolist() == MASKS[1] and env.infos["second"]["action_mask"].tolist() == MASKS[0]


def test_rewards_add_up_until_an_agent_acts_again():
    """``second`` is awaited in every step and ``first`` only at the start and the end."""
    driver = Scripted(
        [
            shown(0),
            shown(1, rewards=[1.0, 10.0], awaited=[False, True]),
            shown(2, rewards=[2.0, 20.0], awaited=[False, True]),
            shown(3, rewards=[4.0, 40.0]),
            shown(4, rewards=[8.0, 80.0]),
        ]
    )
    env = AgoraAECEnv(driver)
    env.reset(seed=1)
    env.step(0)
    env.step(1)
    assert env.agent_selection == "second" and env.last()[1] == 10.0
    env.step(1)
    assert env.agent_selection == "second" and env.last()[1] == 20.0
    env.step(1)
    assert env.agent_selection == "first" and env.last()[1] == 7.0
    env.step(0)
    # What the last step paid has been told; "first" has acted, "second" has not yet.
    assert env.rewards == {"first": 0.0, "second": 0.0} and env._cumulative_rewards == {"first": 0.0, "second": 40.0}
    assert env.agent_selection == "second" and env.last()[1] == 40.0
    env.step(1)
    assert env._cumulative_rewards == {"first": 8.0, "second": 80.0}
    assert driver.asked[1:] == [
        {"first": [[0]], "second": [[1]]}, {"second": [[1]]}, {"second": [[1]]}, {"first": [[0]], "second": [[1]]}
    ]  # fmt: skip


def test_the_dead_take_their_leave_before_the_living_go_on():
    driver = Scripted(
        [
            shown(0),
            shown(1, rewards=[1.0, 2.0], terminated=[False, True], awaited=[True, False], alive=[True, False]),
            shown(2, rewards=[4.0, 0.0], truncated=[True, False], awaited=False, alive=False),
        ]
    )
    env = AgoraAECEnv(driver)
    env.reset(seed=1)
    env.step(0)
    env.step(0)
    assert env.terminations == {"first": False, "second": True} and not any(env.truncations.values())
    assert env.agent_selection == "second" and env.last()[1:4] == (2.0, True, False)
    env.step(None)
    assert env.agents == ["first"] and env.agent_selection == "first" and env.last()[1:4] == (1.0, False, False)
    env.step(2)
    assert driver.asked[-1] == {"first": [[2]]}
    assert env.last()[1:4] == (4.0, False, True)
    env.step(None)
    assert env.agents == []


def test_who_comes_later_is_welcomed_with_nothing_earned():
    driver = Scripted(
        [
            shown(0, alive=[True, False], awaited=[True, False]),
            shown(1, rewards=[1.0, 2.0], masks=MASKS),
            shown(2, rewards=[4.0, 8.0]),
        ]
    )
    env = AgoraAECEnv(driver)
    env.reset(seed=1)
    assert env.agents == ["first"] and env.infos == {"first": {}}
    env.step(0)
    assert env.agents == ["first", "second"] and env.rewards == {"first": 1.0, "second": 2.0}
    assert env.infos["second"]["action_mask"].tolist() == MASKS[1] and env.terminations["second"] is False


def test_a_loop_of_turns_starts_afresh():
    driver = Scripted([shown(0), shown(1, rewards=1.0), shown(5), shown(6)])
    env = AgoraAECEnv(driver)
    with pytest.raises(Refused, match="NOT_READY: step"):
        env.step(0)
    assert env.observe("first") is None and env.agent_selection == ""
    with pytest.raises(Refused, match="NOT_READY: state"):
        env.state()
    env.reset(seed=1)
    env.step(0)
    env.step(0)
    env.step(2)
    env.reset()
    assert env.rewards == env._cumulative_rewards == {"first": 0.0, "second": 0.0} and env.state() == 5
    assert env.agent_selection == "first"
    env.step(1)
    env.step(1)
    # What "first" had said before the reset is forgotten.
    assert driver.asked[-1] == {"first": [[1]], "second": [[1]]}
    env.close()
    assert driver.closed == 1


# One agent.


def test_one_agent_in_gymnasiums_words():
    script = [shown(0, masks=MASKS[:1], agents=1), shown(1, rewards=2.5, terminated=True, agents=1)]
    script += [shown(2, agents=1), shown(3, truncated=True, agents=1)]
    env = AgoraEnv(driver := Scripted(script, ["only"]))
    assert env.observation_space is SEEN and env.action_space is KINDS
    seen, info = env.reset(seed=9)
    assert seen.tolist() == [0.0, 0.0] and info["action_mask"].tolist() == MASKS[0]
    seen, reward, terminated, truncated, info = env.step(np.int64(2))
    assert (seen.tolist(), reward, terminated, truncated, info) == ([1.0, 0.0], 2.5, True, False, {})
    assert type(reward) is float and type(terminated) is type(truncated) is bool
    env.reset()
    assert env.step(0)[2:4] == (False, True)
    assert driver.asked[:2] == [("reset", 9, None), {"only": [[2]]}] and driver.asked[2][1] != 9
    again = AgoraEnv(other := Scripted([shown(0, agents=1)] * 2, ["only"]))
    again.reset(seed=9)
    again.reset()
    assert other.asked[1] == driver.asked[2]
    env.close()
    assert driver.closed == 1


# One agent in many copies.


def vector(*script, copies=3):
    driver = Scripted(script, ["only"], copies)
    return AgoraVectorEnv(driver), driver


def test_copies_in_their_rows():
    rewards = [[1.0], [2.0], [4.0]]
    env, driver = vector(
        shown(0, 3, agents=1, masks=MASKS[:1]), shown(1, 3, rewards, agents=1, masks=MASKS[1:]), shown(2, 3, agents=1)
    )
    assert env.num_envs == 3 and env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert env.single_observation_space == SEEN and env.action_space.shape == (3,)
    seen, infos = env.reset(seed=2)
    assert seen.tolist() == [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]
    assert infos["action_mask"].tolist() == [MASKS[0]] * 3 and infos["_action_mask"].tolist() == [True] * 3
    seen, paid, terminated, truncated, infos = env.step(np.array([0, 1, 2]))
    assert driver.asked == [("reset", 2, None), {"only": [[0, 1, 2]]}]
    assert paid.tolist() == [1.0, 2.0, 4.0] and not (terminated | truncated).any()
    assert infos["action_mask"].tolist() == [MASKS[1]] * 3 and "final_obs" not in infos
    assert env.step(np.array([0, 1, 2]))[4] == {}
    env.close()
    assert driver.closed == 1


def test_what_ended_is_told_beside_what_began():
    """Copy 0 was cut off and copy 2 came to its end; copy 1 goes on."""
    env, driver = vector(
        shown(0, 3, agents=1),
        shown(7, 3, [[1.0], [2.0], [4.0]], [[False], [False], [True]], [[True], [False], [False]], agents=1,
              awaited=[[False], [True], [False]], masks=MASKS[:1]),
        shown(9, 3, agents=1, masks=MASKS[1:]),
    )  # fmt: skip
    env.reset(seed=2)
    seen, paid, terminated, truncated, infos = env.step(np.zeros(3, np.int64))
    kind, seed, copies = driver.asked[-1]
    assert (kind, copies) == ("reset", [0, 2]) and 0 <= seed < 2**63
    assert seen.tolist() == [[9.0, 0.0], [9.0, 1.0], [9.0, 2.0]] and paid.tolist() == [1.0, 2.0, 4.0]
    assert terminated.tolist() == [False, False, True] and truncated.tolist() == [True, False, False]
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [True, False, True]
    assert infos["_final_obs"] is not infos["_final_info"]
    assert infos["final_obs"][0].tolist() == [7.0, 0.0] and infos["final_obs"][2].tolist() == [7.0, 2.0]
    assert infos["final_obs"][1] is None and infos["final_obs"][0].dtype == np.float32
    # The mask that is told is the new episodes'; the old ones' last is beside their last observation.
    assert infos["action_mask"].tolist() == [MASKS[1]] * 3 and infos["_action_mask"].tolist() == [True] * 3
    assert infos["final_info"]["action_mask"].tolist() == [MASKS[0]] * 3
    assert infos["final_info"]["_action_mask"].tolist() == [True, False, True]


@pytest.mark.parametrize("masks", [None, MASKS[:1]])
def test_when_all_end_all_start_again(masks):
    over = shown(7, 2, agents=1, terminated=True, awaited=False, masks=masks)
    env, driver = vector(shown(0, 2, agents=1), over, shown(9, 2, agents=1), copies=2)
    env.reset(seed=2)
    *_, infos = env.step(np.zeros(2, np.int64))
    assert driver.asked[-1][0] == "reset" and driver.asked[-1][2] is None
    assert set(infos["final_info"]) == (set() if masks is None else {"action_mask", "_action_mask"})
    assert [last.tolist() for last in infos["final_obs"]] == [[7.0, 0.0], [7.0, 1.0]]


def test_seeds_of_new_episodes_follow_from_the_first():
    script = [shown(0, 2, agents=1), shown(1, 2, agents=1, truncated=True), shown(2, 2, agents=1)]
    script += [shown(3, 2, agents=1, truncated=True), shown(4, 2, agents=1), shown(5, 2, agents=1)]
    runs = []
    for _ in range(2):
        env, driver = vector(*script, copies=2)
        env.reset(seed=3)
        for _ in range(2):
            env.step(np.zeros(2, np.int64))
        env.reset()
        runs.append([asked[1] for asked in driver.asked if isinstance(asked, tuple)])
    assert runs[0] == runs[1] and runs[0][0] == 3 and len(set(runs[0])) == 4


def test_what_is_told_is_the_callers_to_keep():
    first, second = shown(0, 2, agents=1), shown(1, 2, 1.0, agents=1)
    env, _ = vector(first, second, copies=2)
    seen, _ = env.reset(seed=1)
    told = env.step(np.zeros(2, np.int64))
    assert not np.shares_memory(seen, first.observations[0][0])
    assert not np.shares_memory(told[1], second.rewards)
    assert not np.shares_memory(told[2], second.terminated) and not np.shares_memory(told[3], second.truncated)


@pytest.mark.parametrize("when", ["reset", "step"])
def test_a_game_of_turns_is_refused_with_the_first_eight_copies_that_wait(when):
    turns = shown(0, 12, agents=1, awaited=[[copy in (0, 3)] for copy in range(12)])
    env, _ = vector(*([turns] if when == "reset" else [shown(0, 12, agents=1), turns]), copies=12)
    with pytest.raises(Refused, match=r"at every step.*got copies \[1, 2, 4, 5, 6, 7, 8, 9\] do not"):
        env.reset(seed=1)
        env.step(np.zeros(12, np.int64))
