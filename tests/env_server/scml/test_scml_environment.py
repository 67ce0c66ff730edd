"""The supply-chain game with real processes that play real worlds."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from agora.errors import Refused
from agora.negotiation.haggler import haggle
from agora.negotiation.layout import Factory, Op, Slot
from agora.negotiation.wire import pairs_of
from agora.randomness import generator
from agora.spaces import leaves
from agora.v1 import policy_pb2
from env_server.environments.base import DefaultingEnvironment
from env_server.environments.scml import Scml

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"days": 4, "levels": 2, "factories": 2, "workers": 1}


@pytest.fixture(scope="module")
def play():
    """Games, which are slow to start; the same one for the same configuration."""
    made = {}

    def make(copies=2, **changes):
        key = (copies, repr(changes))
        if key not in made:
            made[key] = Scml(Scml.Config(**{**SMALL, **changes}), copies)
        return made[key]

    yield make
    for environment in made.values():
        environment.close()


def copies(*numbers):
    return np.array(numbers, np.uint32)


def haggling(environment, step):
    """What hagglers do everywhere, as actions."""
    actions = []
    for seen in step.observations:
        said = haggle(seen["factory"], seen["commitments"], seen["slots"])
        members = leaves(environment.action_spaces[environment.agents[0]])
        actions.append({leaf.path: said[..., i].astype(leaf.dtype) for i, leaf in enumerate(members)})
    return actions


def episode(environment, seed=3, numbers=(0, 1), act=haggling):
    steps = [environment.reset(seed, copies(*numbers))]
    while steps[-1].awaited.any():
        steps.append(environment.step(act(environment, steps[-1])))
    return steps


def flat(step):
    """Everything in a step, as bytes."""
    parts = [step.rewards, step.terminated, step.awaited, *step.state.values(), *step.info.values()]
    parts += [array for seen in step.observations for array in seen.values()]
    parts += [array for masks in step.action_masks.values() for array in masks.values()]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def test_every_array_is_what_the_spaces_say(play):
    environment = play()
    for step in episode(environment):
        for name, seen in zip(environment.agents, step.observations, strict=True):
            for leaf in leaves(environment.observation_spaces[name]):
                leaf.check(seen[leaf.path], 2, leaf.path)
        for leaf in leaves(environment.state_space):
            leaf.check(step.state[leaf.path], 2, leaf.path)
        assert step.rewards.shape == step.terminated.shape == step.awaited.shape == (2, 4)
        for masks in step.action_masks.values():
            assert masks["op"].reshape(2, -1, 3).any(axis=2).all()
            assert masks["delivery"].reshape(2, -1, 11).any(axis=2).all()


def test_a_copy_waits_for_one_factory_and_shows_it_alone_its_view(play):
    steps = episode(play())
    for step in steps[:-1]:
        assert step.awaited.sum(axis=1).max() <= 1
        for i, seen in enumerate(step.observations):
            asked = (seen["slots"][..., Slot.AWAITED] == 1).any(axis=1)
            assert np.array_equal(asked, step.awaited[:, i])
            assert not seen["factory"][~asked].any() and not seen["history"][~asked].any()
    first = steps[0].observations[int(steps[0].awaited[0].argmax())]["factory"][0]
    assert first[Factory.FIRST] == 1 and first[Factory.DAY] == 0 and first[Factory.DAYS] == 4
    assert (np.sum([step.terminated for step in steps], axis=0) == 1).all() and not steps[-1].awaited.any()


def test_rewards_sum_to_the_score_less_one(play):
    steps = episode(play())
    state, start = steps[-1].state, steps[0].state
    earned = sum(step.rewards for step in steps)
    np.testing.assert_allclose(1.0 + earned, state["balance"] / start["balance"], rtol=1e-12)
    assert np.abs(earned).max() > 0.01 and not steps[0].rewards.any()
    assert state["day"].tolist() == [4, 4]


RANDOM = "scml.std.agents.SyncRandomStdAgent"
"""Draws from the process's random generators."""
REFERENCE = """
import json, sys
from agora.negotiation.haggler import haggle
from scml_engine.spec import Reply, WorldSpec
from scml_engine.world import run_world

def decide(seat, view):
    return Reply(haggle(view["factory"][None], view["commitments"][None], view["slots"][None])[0])

print(json.dumps([run_world(WorldSpec.from_json(spec), decide).scores for spec in json.loads(sys.argv[1])]))
"""


@pytest.mark.parametrize(("inside", "streams"), [("penguin", "seat"), (RANDOM, "shared")])
def test_worlds_come_out_as_if_each_were_played_alone_in_one_process(play, inside, streams):
    table = [["service", inside], ["service", "service"]]
    environment = play(3, days=8, seats=table, streams=streams)
    steps = episode(environment, numbers=(4, 0, 9))
    seats = [[{"policy": p, "shield": "certain" if p == "service" else "none"} for p in row] for row in table]
    specs = [
        {"seed": int(generator(3, c).integers(2**31)), "days": 8, "seats": seats, "streams": streams} for c in (4, 0, 9)
    ]
    command = [sys.executable, "-c", REFERENCE, json.dumps(specs)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"})
    scores = steps[-1].state["balance"] / steps[0].state["balance"]
    np.testing.assert_allclose(scores, json.loads(told.stdout), rtol=1e-12)


def test_nothing_depends_on_processes_company_or_repetition(play):
    one, two = play(3), play(3, workers=2)
    numbers = (0, 1, 2)
    said = [b"".join(map(flat, episode(game, numbers=numbers))) for game in (one, one, two)]
    assert said[0] == said[1] == said[2] and len(two.pids) == 2
    alone = episode(play(1), numbers=(2,))
    among = episode(one, numbers=numbers)
    for mine, theirs in zip(alone, among, strict=False):
        assert np.array_equal(mine.state["balance"][0], theirs.state["balance"][2])
        assert np.array_equal(mine.rewards[0], theirs.rewards[2])


def test_the_global_state_is_the_sum_of_what_the_factories_know(play):
    """What an awaited factory sees of itself is in the state, and the books of both sides of a level agree."""
    environment = play(days=6, levels=3)
    pairs = pairs_of((2, 2, 2))
    met = 0
    for step in episode(environment):
        state = step.state
        sold, bought = state["commitments"][..., 2], state["commitments"][..., 0]
        assert np.array_equal(sold[:, :2].sum(axis=1), bought[:, 2:4].sum(axis=1))
        for copy, i in np.argwhere(step.awaited):
            seen = {name: values[copy] for name, values in step.observations[i].items()}
            assert np.array_equal(seen["commitments"], state["commitments"][copy, i])
            assert seen["factory"][Factory.INVENTORY] == state["inventory"][copy, i]
            assert seen["factory"][Factory.BALANCE] == state["balance"][copy, i]
            partners = [(seller, buyer) for seller, buyer in pairs if buyer == i]
            partners += [(seller, buyer) for seller, buyer in pairs if seller == i]
            rows = [state["negotiations"][copy, pairs.index(pair)] for pair in partners]
            for slot, row in zip(seen["slots"], rows, strict=False):
                assert slot[Slot.RUNNING] == row[0]
                if slot[Slot.AWAITED] and slot[Slot.PARTNER_QUANTITY] and seen["factory"][Factory.FIRST] == 0:
                    assert slot[Slot.ROUND] == row[1]
                    met += 1
    assert met > 20


def test_haggling_beats_doing_nothing(play):
    def idle(environment, step):
        members = leaves(environment.action_spaces["factory_0"])
        ended = {leaf.path: np.zeros((2, *leaf.shape), leaf.dtype) for leaf in members}
        return [{**ended, "op": ended["op"] + Op.END}] * len(environment.agents)

    money = [episode(play(days=20), act=act)[-1].state["balance"].sum() for act in (idle, haggling)]
    assert money[1] > 1.05 * money[0]


def test_info_says_what_answers_came_to(play):
    """Reckless sales are cut down by the shield, and without it they are not."""

    def reckless(environment, step):
        slots = environment.action_spaces["factory_0"]["op"].shape[0]
        action = {"op": np.full((2, slots), Op.REJECT), "delivery": np.zeros((2, slots), np.int64)}
        action |= {name: np.full((2, slots), 30, np.int32) for name in ("quantity", "price")}
        return [action] * len(environment.agents)

    edited = {}
    for shield in ("none", "certain"):
        steps = episode(play(shield=shield), act=reckless)
        edited[shield] = sum(int(step.info["edited"].sum()) for step in steps)
        for before, after in pairwise(steps):
            who = np.where(before.awaited.any(axis=1), before.awaited.argmax(axis=1), -1)
            assert np.array_equal(after.info["seat"], who)
            offers = after.info["executed"][after.info["executed"][..., 0] == Op.REJECT]
            assert (offers[:, 2] == 30).all() or shield == "certain"
            assert (offers[:, 3] <= 30).all()
    assert edited["none"] == 0 and edited["certain"] > 0


def test_default_actions_are_marked_and_counted(play, tmp_path, monkeypatch):
    monkeypatch.setenv("AGORA_RUNS", str(tmp_path))
    environment = play(track="chain")
    assert isinstance(environment, DefaultingEnvironment)
    counts = np.zeros(2, int)

    def defaults_for_the_first_level(environment, step):
        actions = haggling(environment, step)
        for i in (0, 1):
            rows = np.flatnonzero(step.awaited[:, i])
            counts[rows] += 1
            for name, values in environment.default_action(i, rows).items():
                actions[i][name][rows] = values
        return actions

    steps = episode(environment, act=defaults_for_the_first_level)
    assert sum(step.info["substituted"].sum(axis=0) for step in steps) == counts.sum() > 0
    for step in steps[1:]:
        assert np.array_equal(step.info["substituted"], np.isin(step.info["seat"], (0, 1)))
    tables = sorted((tmp_path / "chain" / "tables" / "worlds").glob("*.parquet"))
    assert [pq.read_table(path)["substituted"].to_pylist() for path in tables] == [[n] for n in counts]
    assert '"kind": "rollout"' in (tmp_path / "chain" / "run.json").read_text()
    with pytest.raises(ValueError, match="factory_0"):
        environment.default_action(0, np.array([0]))


def test_wrong_actions_are_named_and_change_nothing(play):
    environment = play()
    step = environment.reset(3, copies(0, 1))
    good = haggling(environment, step)
    who = int(step.awaited[0].argmax())
    for name, value, words in (
        ("op", np.full_like(good[who]["op"], 3), "action.op: expected"),
        ("price", good[who]["price"].astype(np.int64), "expected int32, got int64"),
        ("quantity", good[who]["quantity"][:, :1], "action.quantity"),
        ("delivery", good[who]["delivery"][:1], "expected 2 rows, got 1"),
    ):
        bad = [dict(action) for action in good]
        bad[who][name] = value
        with pytest.raises(ValueError, match=environment.agents[who]) as caught:
            environment.step(bad)
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="4 agents, got 3"):
        environment.step(good[:3])
    environment.step(good)


def test_steps_need_a_reset(play):
    with pytest.raises(RuntimeError, match="reset"):
        Scml(Scml.Config(**SMALL), 2).step([])
    environment = play()
    episode(environment)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step([])
    with pytest.raises(ValueError, match="seed"):
        environment.reset(-1, copies(0, 1))
    with pytest.raises(ValueError, match="copies"):
        environment.reset(0, copies(0))


def test_a_killed_process_fails_the_block_and_is_replaced(play):
    environment = play(workers=2)
    expected = flat(episode(environment)[-1])
    step = environment.reset(3, copies(0, 1))
    killed, other = environment.pids
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(Refused, match="environment") as caught:
        for _ in range(3):
            step = environment.step(haggling(environment, step))
    assert caught.value.retryable and caught.value.reason == policy_pb2.REASON_UNREACHABLE
    assert "exit code -9" in str(caught.value)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(haggling(environment, step))
    assert flat(episode(environment)[-1]) == expected
    assert killed not in environment.pids and other in environment.pids


def test_a_hanging_process_is_taken_for_lost(play):
    environment = play()
    step = environment.reset(3, copies(0, 1))
    # The patience of the configuration covers a cold start, for which a test does not want to wait again.
    environment._fleet._engines[0]._link.settimeout(0.3)
    os.kill(environment.pids[0], signal.SIGSTOP)
    with pytest.raises(Refused, match="none within") as caught:
        environment.step(haggling(environment, step))
    assert caught.value.retryable
    assert not environment.pids
    episode(environment)


def test_processes_end_with_the_environment():
    environment = Scml(Scml.Config(**SMALL), 1)
    environment.reset(0, copies(0))
    pid = environment.pids[0]
    del environment
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


SERVER = """
import os, numpy as np
from env_server.environments.scml import Scml
game = Scml(Scml.Config(days=4, factories=2, workers=1), 1)
game.reset(0, np.zeros(1, np.uint32))
print(game.pids[0], flush=True)
os.kill(os.getpid(), 9)
"""


def test_processes_end_with_the_server_however_it_ends():
    told = subprocess.run([sys.executable, "-c", SERVER], cwd=ROOT, capture_output=True)
    pid, until = int(told.stdout), time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_an_unknown_policy_is_refused(play):
    with pytest.raises(Refused, match="nonesuch") as caught:
        play(seats=[["nonesuch", "service"], ["service"]]).reset(0, copies(0, 1))
    assert caught.value.reason == policy_pb2.REASON_CONFIG


def test_a_server_without_the_engine_says_what_to_install(play, tmp_path, monkeypatch):
    (tmp_path / "scml.py").write_text("raise ModuleNotFoundError(\"No module named 'scml'\")")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    with pytest.raises(Refused, match=r"pip install agora\[scml\]") as caught:
        play(patience=99).reset(0, copies(0, 1))
    assert caught.value.reason == policy_pb2.REASON_UNSUPPORTED and not caught.value.retryable
