"""Training for return over real services: what is repeated, what is resumed, and who acts."""

import asyncio
import json
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest

from agora.errors import Refused
from bench.processes import Service
from trainer.assemble import assemble
from trainer.checkpoint import load_newest

AGENTS = ("agent_0", "agent_1", "agent_2")
GAME = {"name": "mpe:simple_spread", "config": {"max_cycles": 5}}
DISCRETE = {"name": "mpe:simple_spread", "config": {"max_cycles": 5, "continuous_actions": False}}
QUICK = {"warmup": 10, "steps_per_update": 10, "batch_size": 8, "actor_hidden": [8], "critic_hidden": [8]}
ROUND = 20
"""Joint actions in a round: five steps of four copies."""


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    with ExitStack() as stack:
        registry = Service("trainer.registry", ["--directory", str(tmp_path_factory.mktemp("policies"))])
        server = Service("env_server").start(wait=False)
        stack.callback(server.stop)
        stack.enter_context(registry)
        ids = [word for agent in AGENTS for word in ("--policy-id", agent)]
        minds = stack.enter_context(Service("agent_services", [*ids, "--registry", registry.address]))
        server.wait()
        yield SimpleNamespace(registry=registry.address, server=server.address, minds=minds.address)


async def practice(services, folder, environment=GAME, epoch=1, script=None, **training):
    """A run's training; versions of different runs in one registry are told apart by their epochs."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "epoch").write_text(str(epoch - 1))
    chosen = {
        "algorithm": "maddpg", "learner": QUICK, "num_envs": 4, "max_environment_steps": 6 * ROUND, "log": False,
        "evaluate_every": 2 * ROUND, "evaluation": {"episodes": 6, "num_envs": 4}, "checkpoint_seconds": 0.0,
        **training,
    }  # fmt: skip
    config = {"name": "practice", "seed": 3, "environment": environment, "training": chosen}
    seats = {agent: [services.minds] for agent in AGENTS}
    if script is not None:
        config["agents"] = {"overrides": {"agent_0": {"policy": "scripted:random"}}}
        seats["agent_0"] = [script]
    return await assemble(folder, config, services.registry, [services.server], seats)


def rows(folder, kind):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def weights(folder):
    return flat(load_newest(folder / "checkpoint")["learner"])


def flat(state):
    return {
        f"{key}/{name}": value
        for key, values in state.items()
        for name, value in (flat(values) if isinstance(values, dict) else {"": values}).items()
    }


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


async def killed_after(rounds, training):
    """Run until so many rounds are on disk, and stop as a kill does: with the next round under way."""
    running = asyncio.create_task(training.run())
    while training.progress.round < rounds and not running.done():
        await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_the_same_seed_gives_the_same_weights_also_after_a_kill(services, tmp_path):
    async def main():
        calm = await practice(services, tmp_path / "calm")
        assert await calm.run() == "budget"
        # The same versions again: the registry refuses them if a single bit of a policy differs.
        await killed_after(3, await practice(services, tmp_path / "killed"))
        assert len(rows(tmp_path / "killed", "round")) < 6
        resumed = await practice(services, tmp_path / "killed", epoch=2)
        assert await resumed.run() == "budget"

    asyncio.run(main())
    assert same(weights(tmp_path / "calm"), weights(tmp_path / "killed"))
    assert [row["resumed"] for row in rows(tmp_path / "killed", "start")] == [False, True]
    ends = [rows(tmp_path / run, "evaluation")[-1]["returns"] for run in ("calm", "killed")]
    assert ends[0] == ends[1]


def test_evaluations_are_of_fixed_episodes_by_the_newest_policies(services, tmp_path):
    async def main():
        await (await practice(services, tmp_path, epoch=10, learner={**QUICK, "warmup": 1000})).run()

    asyncio.run(main())
    found = rows(tmp_path, "evaluation")
    assert [row["environment_steps"] for row in found] == [0, 40, 80, 120]
    assert all(row["episodes"] == 6 and row["returns"] == found[0]["returns"] for row in found)  # nothing was learned
    assert len((tmp_path / "returns.csv").read_text().splitlines()) == 5
    assert rows(tmp_path, "end")[0]["reason"] == "budget"


def test_learners_from_a_replay_collect_one_round_ahead(services, tmp_path):
    async def main():
        await (await practice(services, tmp_path, epoch=20, evaluate_every=0)).run()

    asyncio.run(main())
    found = rows(tmp_path, "round")
    # Two updates a round; the policies of the first two rounds are the first ones, then always those of one round ago.
    assert [row["versions"]["agent_1"] for row in found] == [[20, n] for n in (0, 0, 2, 4, 6, 8)]
    assert [row["staleness"] for row in found] == [0, 2, 2, 2, 2, 2]
    assert [row["environment_steps"] for row in rows(tmp_path, "evaluation")] == [120]
    assert found[-1]["returns"]["agent_0"] < 0.0 and found[-1]["noise"] > 0.0


def test_learners_on_policy_see_the_newest_policies_only(services, tmp_path):
    async def main():
        await (await practice(services, tmp_path, epoch=30, algorithm="ippo", learner={}, evaluate_every=0)).run()

    asyncio.run(main())
    found = rows(tmp_path, "round")
    assert {row["staleness"] for row in found} == {0} and {row["stale"] for row in found} == {0}
    assert found[-1]["versions"]["agent_2"][1] > 0


def test_an_agent_may_follow_a_script_while_the_others_learn(services, tmp_path):
    async def main(script):
        given = {"epoch": 40, "script": script, "algorithm": "ippo", "learner": {}, "evaluate_every": 0}
        await (await practice(services, tmp_path, **given)).run()

    with Service("agent_services", ["--policy", "scripted:random"]) as script:
        asyncio.run(main(script.address))
    found = rows(tmp_path, "round")[-1]
    assert found["updates"] > 0 and (found["stale"], found["staleness"]) == (0, 0)
    assert set(found["versions"]) == {"agent_1", "agent_2"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "idqn", "learner": {}}, r"idqn cannot learn mpe:simple_spread: .*; learners that fit: .*maddpg"),
        ({"algorithm": "ppo"}, r"training\.algorithm: expected one of iddpg, .*, got ppo"),
        ({"learner": {"widht": 3}}, r"training\.learner\.widht: "),
        ({"goal": "equilibrium"}, r"environment\.name: expected a game that can evaluate a joint action"),
        ({"evaluation": {"environment": DISCRETE}}, r"expected the action space of agent_0 in .*Box.*, got Discrete"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_learned(services, tmp_path, change, words):
    with pytest.raises(Refused, match=words):
        asyncio.run(practice(services, tmp_path, **change))
