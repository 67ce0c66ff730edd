"""The dm_env_rpc endpoint of a real server process, driven by dm_env_rpc's own client and held to its own suite."""

import os
import subprocess
import sys
from contextlib import contextmanager

import dm_env
import grpc
import numpy as np
import pytest
from dm_env_rpc.v1 import (
    connection,
    dm_env_adaptor,
    dm_env_rpc_pb2 as official,
    error,
    spec_manager,
    tensor_utils,
)

from agora.v1 import policy_pb2
from bench.dm_env_rpc_game import GAME
from bench.processes import ROOT, Service, free_address
from env_server.gateways.dm_env_rpc import wire_pb2
from env_server.gateways.dm_env_rpc.tensors import fill, kind_of, read
from tests.support import dm_env_rpc as suite
from tests.support.dm_env_rpc import (  # noqa: F401 - pytest runs them
    TestCreateDestroyWorld,
    TestJoinLeaveWorld,
    TestReset,
    TestResetWorld,
    TestStep,
)

pack = tensor_utils.pack_tensor


@pytest.fixture(scope="module", autouse=True)
def charging():
    with (
        Service("agent_services", ["--policy", "scripted:random"]) as mind,
        door("--gateway-seats", f"*={mind.address}") as address,
    ):
        os.environ[suite.ADDRESS] = address
        yield address
        del os.environ[suite.ADDRESS]


@pytest.fixture(scope="module")
def alone():
    with door("--game", GAME, "--gateway-environment", "one_seat") as address:
        yield address


@contextmanager
def door(*arguments):
    address = free_address()
    with Service("env_server", ["--dm-env-rpc", address, *arguments]):
        yield address


@contextmanager
def client(address):
    with grpc.insecure_channel(address) as channel:
        yield connection.Connection(channel)


def test_one_copy_as_its_own_dm_env_environment(alone):
    settings = {"config_json": pack('{"episode_steps": 3, "cut": false}')}
    with grpc.insecure_channel(alone) as channel:
        env, world = dm_env_adaptor.create_and_join_world(connection.Connection(channel), settings, {})
        assert env.action_spec()["action"].shape == (8,)
        assert set(env.observation_spec()) == {"observation"}
        for _ in range(2):
            first = env.reset()
            assert first.step_type == dm_env.StepType.FIRST
            assert (first.observation["observation"] == 1.0).all()
            action = np.linspace(-1, 0.75, 8, dtype=np.float32)
            steps = [env.step({"action": action}) for _ in range(3)]
            assert [s.step_type for s in steps] == [dm_env.StepType.MID, dm_env.StepType.MID, dm_env.StepType.LAST]
            assert [s.reward for s in steps] == [-0.125] * 3
            assert [s.discount for s in steps] == [1.0, 1.0, 0.0]
            expected = np.full(32, 0.9, np.float32)
            expected[:8] += action * np.float32(0.1)
            np.testing.assert_allclose(steps[0].observation["observation"], expected, rtol=1e-6)
        with pytest.raises(error.DmEnvRpcError, match="everybody has left"):
            env._connection.send(official.DestroyWorldRequest(world_name=world))


def test_copies_are_the_first_axis(alone):
    with client(alone) as c:
        settings = {"num_envs": pack(64), "config_json": pack('{"episode_steps": 2}')}
        world = c.send(official.CreateWorldRequest(settings=settings)).world_name
        specs = c.send(official.JoinWorldRequest(world_name=world)).specs
        actions, seen = spec_manager.SpecManager(specs.actions), spec_manager.SpecManager(specs.observations)
        assert {s.name: list(s.shape) for s in specs.observations.values()} == {
            "observation": [64, 32], "reward": [64], "discount": [64], "awaited": [64],
        }  # fmt: skip
        action = np.linspace(-1, 1, 512, dtype=np.float32).reshape(64, 8)
        step = official.StepRequest(
            actions=actions.pack({"action": action}), requested_observations=list(specs.observations)
        )
        answers = [c.send(step) for _ in range(4)]
        running, cut = official.EnvironmentStateType.RUNNING, official.EnvironmentStateType.INTERRUPTED
        assert [a.state for a in answers] == [running, running, cut, running]
        shown = [seen.unpack(a.observations) for a in answers]
        assert (shown[0]["observation"] == np.arange(1, 65)[:, None]).all()
        np.testing.assert_allclose(shown[1]["reward"], action.astype(np.float64).mean(axis=1), rtol=1e-12)
        assert shown[2]["discount"].all()
        assert [s["awaited"].all() for s in shown] == [True, True, False, True]
        assert (shown[3]["observation"] == shown[0]["observation"]).all()


def test_the_joined_agent_sees_its_own_observation_and_never_the_state(charging):
    with client(charging) as c:
        world = c.send(official.CreateWorldRequest()).world_name
        specs = c.send(official.JoinWorldRequest(world_name=world, settings={"agent": pack("station_2")})).specs
        names = {s.name for s in specs.observations.values()}
        assert names == {"last_round_all_prices", "own_charging_flow", "reward", "discount"}
        assert [s.name for s in specs.actions.values()] == ["action"]


def test_the_same_seed_is_the_same_game(charging):
    def play(c, seed):
        world = c.send(official.CreateWorldRequest(settings={"seed": pack(seed), "num_envs": pack(2)})).world_name
        specs = c.send(official.JoinWorldRequest(world_name=world)).specs
        ask = official.StepRequest(requested_observations=list(specs.observations))
        answers = [c.send(ask).SerializeToString(deterministic=True) for _ in range(4)]
        c.send(official.LeaveWorldRequest())
        return answers

    with client(charging) as c:
        assert play(c, 5) == play(c, 5) != play(c, 6)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (official.StepRequest(), "a join before it"),
        (official.ResetRequest(), "a join before it"),
        (official.JoinWorldRequest(world_name="nowhere"), "a world that was created here"),
        (official.CreateWorldRequest(settings={"bogus": pack(1)}), "environment, config_json, num_envs, seed"),
        (official.CreateWorldRequest(settings={"num_envs": pack(2.0)}), "one integer"),
        (official.CreateWorldRequest(settings={"num_envs": pack(10**6)}), "1 to 65536"),
        (official.CreateWorldRequest(settings={"seed": pack(-1)}), "2\\*\\*63"),
        (official.CreateWorldRequest(settings={"environment": pack("chess")}), "charging"),
        (official.CreateWorldRequest(settings={"config_json": pack('{"rounds": 1}')}), "rounds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_request_is_answered_in_words_and_the_stream_lives_on(charging, request_, words):
    with client(charging) as c:
        with pytest.raises(error.DmEnvRpcError, match=words) as caught:
            c.send(request_)
        refusal = policy_pb2.Refusal()
        assert caught.value.details[0].Unpack(refusal)
        assert refusal.expected and refusal.got
        assert c.send(official.CreateWorldRequest()).world_name


def test_a_hosted_turn_based_game_with_masks_passes_the_suite_too():
    tictactoe = ["--gateway-environment", "pettingzoo:pettingzoo.classic.tictactoe_v3"]
    with (
        Service("agent_services", ["--policy", "scripted:random"]) as mind,
        door(*tictactoe, "--gateway-seats", f"*={mind.address}") as address,
    ):
        done = subprocess.run(
            [sys.executable, "-m", "unittest", "tests.support.dm_env_rpc"],
            cwd=ROOT, env={**os.environ, suite.ADDRESS: address}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert "Ran 40 tests" in done.stderr
    assert done.returncode == 0, done.stderr


def test_who_plays_the_others_must_be_said():
    with door() as address, client(address) as c:
        world = c.send(official.CreateWorldRequest()).world_name
        with pytest.raises(error.DmEnvRpcError, match="an agent service that plays station_1"):
            c.send(official.JoinWorldRequest(world_name=world))
        with pytest.raises(error.DmEnvRpcError, match="UNREACHABLE"):
            c.send(official.JoinWorldRequest(world_name=world, settings={"seats": pack(f"*={free_address()}")}))


def joined(c, world):
    try:
        return c.send(official.JoinWorldRequest(world_name=world)) is not None
    except error.DmEnvRpcError:
        return False


def test_a_world_has_one_client_until_it_leaves_or_is_gone(alone):
    with client(alone) as second:
        with client(alone) as first:
            world = first.send(official.CreateWorldRequest()).world_name
            first.send(official.JoinWorldRequest(world_name=world))
            with pytest.raises(error.DmEnvRpcError, match="a world that nobody has joined"):
                second.send(official.JoinWorldRequest(world_name=world))
        while not joined(second, world):  # if its place were not freed, this would end by the test's time limit
            pass


def test_reset_world_begins_anew_for_who_is_in_it(alone):
    with client(alone) as inside, client(alone) as outside:
        world = inside.send(official.CreateWorldRequest()).world_name
        specs = inside.send(official.JoinWorldRequest(world_name=world)).specs
        uid = next(u for u, s in specs.observations.items() if s.name == "observation")
        step = official.StepRequest(requested_observations=[uid])
        seen = [tensor_utils.unpack_tensor(inside.send(step).observations[uid])[0] for _ in range(2)]
        outside.send(official.ResetWorldRequest(world_name=world))
        seen.append(tensor_utils.unpack_tensor(inside.send(step).observations[uid])[0])
        assert seen == pytest.approx([1.0, 0.9, 1.0])


def test_what_is_no_request_is_answered(alone):
    with grpc.insecure_channel(alone) as channel:
        call = channel.stream_stream("/dm_env_rpc.v1.Environment/Process")(iter([b"\xff\xff", b""]))
        answers = [official.EnvironmentResponse.FromString(answer) for answer in call]
    assert ["an EnvironmentRequest" in answers[0].error.message, "extension" in answers[1].error.message] == [True] * 2


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "i1", "i4", "i8", "u1", "u4", "u8", "?"], ids=lambda code: np.dtype(code).name
)
def test_bytes_are_the_official_ones(dtype):
    values = np.array([[0, 1, 2], [3, 100, 127]]).astype(dtype)
    ours = wire_pb2.Tensor(shape=values.shape)
    kind = kind_of(values.dtype, "values")
    fill(ours, kind, values)
    theirs = pack(values)
    assert ours.SerializeToString() == theirs.SerializeToString()
    back = read(wire_pb2.Tensor.FromString(theirs.SerializeToString()), kind, values.shape, "values")
    assert back.dtype == values.dtype
    assert (back == values).all()


@pytest.mark.parametrize(("narrow", "wide"), [("i2", "i4"), ("u2", "u4")])
def test_missing_dtypes_travel_as_the_next_larger(narrow, wide):
    assert kind_of(np.dtype(narrow), "values").dtype == np.dtype(wide)


@pytest.mark.parametrize("name", ["EnvironmentRequest", "EnvironmentResponse", "Tensor", "TensorSpec"])
def test_numbers_of_the_alias_are_the_official_ones(name):
    def fields(message, seen=()):
        if message.full_name in seen or "protobuf" in message.full_name:
            return {}
        seen = (*seen, message.full_name)
        return {(f.name, f.number): fields(f.message_type, seen) if f.message_type else None for f in message.fields}

    def check(ours, theirs):
        for key, inner in ours.items():
            assert key in theirs
            check(inner or {}, theirs[key] or {})

    check(
        fields(wire_pb2.DESCRIPTOR.message_types_by_name[name]), fields(official.DESCRIPTOR.message_types_by_name[name])
    )
