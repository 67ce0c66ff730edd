"""Every kind of space, at every station of its way: driven, hosted, learned, exported, served, and through gateways.

What docs/protocol.md promises of dtypes and spaces is this table: a kind works everywhere, or is refused with words
when the game is described.
"""

import asyncio
import functools
import json

import grpc
import numpy as np
import pytest
from dm_env_rpc.v1 import connection, dm_env_adaptor
from gymnasium import spaces
from websockets.sync.client import connect

from agent_services.policies.onnx import OnnxPolicy
from agora.agents.policy import Spaces
from agora.clients import aec_env, gym_env, parallel_env, vector_env
from agora.errors import Refused
from agora.spaces import leaves
from bench.processes import Service, free_address
from env_server.gateways.openenv.values import to_json
from tests.support.kinds import ALL, CARRIED, NOT_CARRIED, STEPS, box, flat, sample
from trainer.algorithms import ALGORITHMS, make_learner
from trainer.algorithms.game import Game
from trainer.algorithms.trajectories import Trajectories
from trainer.collector import Collector
from trainer.export import ActorExporter
from trainer.spec import GameSpec

MODULE = "tests.support.kinds"
COPIES = 3
AGENT = "only"
SMALL = {
    "ippo": {"actor_hidden": [4], "critic_hidden": [4], "minibatches": 1},
    "maddpg": {"actor_hidden": [4], "critic_hidden": [4], "warmup": 1, "batch_size": 4, "steps_per_update": 1},
    "idqn": {"hidden": [4], "warmup": 1, "batch_size": 4, "steps_per_update": 1},
}


@pytest.fixture(scope="module")
def server():
    with Service("env_server", ["--game", f"kinds={MODULE}:Kinds", "--pettingzoo-module", MODULE]) as service:
        yield service.address


@pytest.fixture(scope="module")
def randoms():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


def own(seen, done):
    return "kinds", {"seen": seen, "done": done}


def hosted(seen, done):
    return f"pettingzoo:{MODULE}:Hosted?seen={seen}&done={done}", {}


def same(space, value, expected):
    pairs = zip(flat(space, value), flat(space, expected), strict=True)
    return all(np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in pairs)


@pytest.mark.parametrize("place", [own, hosted])
@pytest.mark.parametrize("kind", CARRIED)
def test_what_is_shown_arrives_and_what_is_done_is_done(server, place, kind):
    space = CARRIED[kind]
    env = parallel_env(server, *place(kind, kind))
    assert env.observation_space(AGENT) == space and env.action_space(AGENT) == space
    seen, _ = env.reset(seed=1)
    for number in range(STEPS):
        assert same(space, seen[AGENT], sample(space, (10 if place is own else 1) * number))
        seen, rewards, *_ = env.step({AGENT: sample(env.action_space(AGENT), number)})
        assert rewards == {AGENT: 1.0}
    assert env.agents == []
    env.close()


@pytest.mark.parametrize("kind", CARRIED)
def test_every_client_shows_it(server, kind):
    space = CARRIED[kind]
    turns = aec_env(server, *own(kind, kind))
    turns.reset(seed=1)
    assert same(space, turns.observe(AGENT), sample(space, 0))
    turns.step(sample(space, 3))
    assert turns.rewards == {AGENT: 1.0}
    turns.close()
    single = gym_env(server, *own(kind, kind), agent=AGENT)
    assert same(space, single.reset(seed=1)[0], sample(space, 0))
    assert single.step(sample(space, 3))[1] == 1.0
    single.close()


@pytest.mark.parametrize("role", ["seen", "done"])
@pytest.mark.parametrize("place", [own, hosted])
@pytest.mark.parametrize("kind", NOT_CARRIED)
def test_what_cannot_be_carried_is_refused_when_the_game_is_described(server, place, kind, role):
    kinds = {"seen": "box_float32", "done": "box_float32"} | {role: kind}
    space = "observation_space" if role == "seen" else "action_space"
    with pytest.raises(Refused, match=f"{AGENT}.{space}") as refused:
        parallel_env(server, *place(**kinds))
    assert "expected" in str(refused.value)


async def collected(server, seats, game, versions, explore=None):
    name, config = game
    collector = Collector([server], seats, run="kinds", seed=3, deadline=20.0, patience=20.0, log=False)
    try:
        spec = await collector.describe(name, json.dumps(config))
        return spec, await collector.collect(spec, [0], COPIES, versions, explore)
    finally:
        await collector.close()


def fitting(spec):
    """One learner of each family that does not say why it cannot learn the game."""
    return [name for name in SMALL if ALGORITHMS[name].misfit(Game.of(spec)) is None]


@pytest.mark.parametrize("kind", CARRIED)
@pytest.mark.parametrize("role", ["seen", "done"])
def test_what_is_accepted_by_a_learner_is_exported_and_served(server, randoms, tmp_path, kind, role):
    game = own(kind, "discrete") if role == "seen" else own("box_float32", kind)
    spec, segments = asyncio.run(collected(server, {AGENT: [randoms]}, game, {}))
    if role == "done" and isinstance(CARRIED[kind], spaces.Dict | spaces.Tuple):
        with pytest.raises(ValueError, match="expected a single Box or choices"):
            Game.of(spec)
        return
    assert fitting(spec)
    path = tmp_path / "model.onnx"
    for algorithm in fitting(spec):
        learner = make_learner(algorithm, SMALL[algorithm], spec, 0)
        for segment in segments:
            learner.add(Trajectories.of(segment, Game.of(spec)))
        learner.update()
        path.write_bytes(*ActorExporter().export_all(learner.actors()))
        OnnxPolicy(path.read_bytes()).bind(Spaces.of(spec.observation_spaces[0], spec.action_spaces[0]))
    with Service("agent_services", ["--policy", "onnx", "--model", str(path), "--policy-id", AGENT]) as service:
        _, (played,) = asyncio.run(collected(server, {AGENT: [service.address]}, game, {}, learner.exploration()))
    assert played.steps == COPIES * STEPS and (played.agents[0].reward == 1.0).all()


@pytest.mark.parametrize("kind", CARRIED)
def test_every_gateway_shows_it(randoms, kind):
    space, json_door, rpc_door = CARRIED[kind], free_address(), free_address()
    name, config = own(kind, kind)
    flags = ["--game", f"kinds={MODULE}:Kinds", "--openenv", json_door, "--dm-env-rpc", rpc_door]
    flags += ["--gateway-environment", name, "--gateway-config", json.dumps(config)]
    with Service("env_server", flags):
        seen, done = sample(space, 0), sample(space, 3)
        with connect(f"ws://{json_door}/ws") as socket:

            def ask(message):
                socket.send(json.dumps(message))
                return json.loads(socket.recv(timeout=20))["data"]

            told = ask({"type": "reset", "data": {"seed": 1}})
            assert told["observation"]["observation"] == as_json(space, seen)
            assert ask({"type": "step", "data": {"action": as_json(space, done)}})["reward"] == 1.0
        with grpc.insecure_channel(rpc_door) as channel:
            env, _ = dm_env_adaptor.create_and_join_world(connection.Connection(channel), {}, {})
            told = env.reset().observation
            for path, value in named(space, seen):
                assert np.array_equal(dug(told, path or "observation"), value)
            acted = {}
            for path, value in named(space, done):
                name = path or "action"
                *above, last = name.split(".")
                members = functools.reduce(lambda inner, key: inner.setdefault(key, {}), above, acted)
                members[last] = np.asarray(value, dug(env.action_spec(), name).dtype)
            assert env.step(acted).reward == 1.0
            env.close()


def dug(nested, path):
    """What dm_env_rpc's own adaptor has made of a dotted name."""
    return functools.reduce(lambda inner, key: inner[key], path.split("."), nested)


def named(space, value):
    return [(leaf.path, part) for leaf, part in zip(leaves(space), flat(space, value), strict=True)]


def as_json(space, value):
    return to_json(space, {path: np.asarray(part)[None] for path, part in named(space, value)})


IDS = ["a/b", "..", "a.b", "a=b", "a,b", "a b", "a%20", "ä", "", "-a", "state", "info", "a" * 65, "*", "a:b", "a\nb"]


@pytest.mark.parametrize("agent", IDS)
def test_ids_that_mean_something_elsewhere_are_refused_when_the_game_is_described(server, agent):
    with pytest.raises(Refused, match="agents"):
        parallel_env(server, "kinds", {"agents": ["fine", agent]})


def test_ids_are_held_to_that_wherever_a_game_comes_from(server):
    with pytest.raises(Refused, match=r"possible_agents\[0\]: expected 1 to 64 letters"):
        parallel_env(server, f"pettingzoo:{MODULE}:Hosted?agents=a.b")
    with pytest.raises(Refused, match="every id once"):
        parallel_env(server, "kinds", {"agents": ["twin", "twin"]})
    with pytest.raises(Refused, match="at least one agent"):
        parallel_env(server, "kinds", {"agents": []})
    env = parallel_env(server, "kinds", {"agents": ["A-1_b", "_", "0"]})
    assert env.possible_agents == ["A-1_b", "_", "0"]
    env.close()


def test_the_vectorised_client_keeps_types(server):
    env = vector_env(server, "kinds", {"seen": "box_bool", "done": "box_bool"}, agent=AGENT, num_envs=2)
    seen, _ = env.reset(seed=1)
    only = seen[AGENT] if isinstance(seen, dict) else seen
    assert only.dtype == np.bool_ and only.shape == (2, 2)
    env.close()


def test_the_table_is_whole():
    integers = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
    carried = {name.removeprefix("box_") for name in CARRIED if name.startswith("box_")}
    assert carried >= {"bool", "float32", "float64", *integers}
    refused = {name.removeprefix("box_") for name in NOT_CARRIED if name.startswith("box_")}
    assert refused >= {"float16", "longdouble"}
    assert {type(space).__name__ for space in ALL.values()} == {
        "Box", "Dict", "Discrete", "Graph", "MultiBinary", "MultiDiscrete", "OneOf", "Sequence", "Text", "Tuple",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["memory", "next_memory", "mean", "logits", "log_std"])
def test_keys_that_exported_policies_need_are_refused_by_learners(key):
    seen = spaces.Dict({key: box("float32"), "other": box("float32")})
    spec = GameSpec("test", "{}", (AGENT,), (seen,), (spaces.Discrete(2),), box("float32"), False, {})
    with pytest.raises(ValueError, match=f"observation space of {AGENT}: expected keys other than .*, got {key}"):
        make_learner("ippo", {}, spec, 0)
