"""The environment server as a process, with real agent services over real sockets."""

import asyncio
import json
import signal
import time
from itertools import pairwise

import duckdb
import grpc
import numpy as np
import pytest

from agora.channels import connect_blocking
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused, Unavailable, explain
from agora.v1 import (
    environment_pb2 as env_pb,
    environment_pb2_grpc,
    policy_pb2,
    rollout_pb2 as pb,
    rollout_pb2_grpc,
    seat_pb2,
)
from bench.processes import Service, free_address
from env_server.environments import ENVIRONMENTS
from env_server.rollout.runner import Block
from tests.support.late import SAYS, late
from tests.support.models import counting_model
from trainer.collector import Collector, Explore
from trainer.spec import GameSpec

AGENTS = [f"station_{i}" for i in range(4)]
CHARGING = env_pb.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 4}', num_envs=6)


def mind(agent, policy="random", address=None):
    return Service("agent_services", ["--policy", f"scripted:{policy}", "--policy-id", agent], address)


@pytest.fixture(scope="module")
def log_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("trajectories")


@pytest.fixture(scope="module")
def server(log_directory):
    with Service("env_server", ["--log-directory", str(log_directory)]) as service:
        yield service.address


@pytest.fixture(scope="module")
def minds():
    services = [mind(agent).start(wait=False) for agent in AGENTS]
    for service in services:
        service.wait()
    yield {agent: [service.address] for agent, service in zip(AGENTS, services, strict=True)}
    for service in services:
        service.stop()


def request(minds, run="r", **changes):
    fields = {"environment": CHARGING, "seed": 5, "num_blocks": 2, "deadline_us": 5_000_000, "run": run, **changes}
    seats = [seat_pb2.Seat(agent=agent, addresses=addresses) for agent, addresses in minds.items()]
    return pb.CollectRequest(seats=seats, **fields)


def collect(server, message):
    with connect_blocking(server) as channel:
        try:
            items = list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=110))
        except grpc.RpcError as error:
            raise explain(error, server) from error
    return [item.segment for item in items[:-1]], items[-1].summary


def refused(server, message):
    with pytest.raises(Refused) as caught:
        collect(server, message)
    return caught.value


def leaf_paths(space):
    return [member.key for member in space.dict.members]


def test_a_trajectory_is_what_the_environment_says(server, minds):
    """Every logged step is replayed by hand through Connect and comes out the same, bit for bit."""
    segments, summary = collect(server, request(minds, first_block=3))
    assert [s.block for s in segments] == [3, 4] and summary.blocks == 2 and summary.environment_steps == 2 * 4 * 6
    for segment in segments:
        actions = [from_tensor(agent.action[0]) for agent in segment.agents]
        said = [env_pb.ConnectRequest(open=env_pb.OpenEnvironment(environment=CHARGING, protocol_versions=[1]))]
        seed = Block(5, segment.block).environment_seed
        said.append(env_pb.ConnectRequest(reset=env_pb.ResetEnvironment(seed=seed)))
        for t in range(4):
            parts = [env_pb.StepEnvironment.AgentActions(action=[to_tensor(a[t])]) for a in actions]
            said.append(env_pb.ConnectRequest(step=env_pb.StepEnvironment(agents=parts)))
        with connect_blocking(server) as channel:
            opened, *answers = environment_pb2_grpc.EnvironmentServiceStub(channel).Connect(iter(said))
        seen = np.stack([from_tensor(a.transition.state[1]) for a in answers])
        assert leaf_paths(opened.opened.state_space)[1] == "last_round_all_prices"
        assert np.array_equal(seen, from_tensor(segment.state[1]))
        assert np.array_equal(seen[1:, :, 2], actions[2])
        for i, agent in enumerate(segment.agents):
            paid = np.stack([from_tensor(a.transition.rewards)[:, i] for a in answers[1:]])
            assert np.array_equal(paid, from_tensor(agent.reward))
            assert from_tensor(agent.truncated)[-1].all() and not from_tensor(agent.terminated).any()
            assert (from_tensor(agent.acted) == 1).all()


@pytest.mark.parametrize("log", [False, True])
def test_outcomes_alone_are_the_same_outcomes(server, minds, log_directory, log):
    message = request(minds, run=f"outcomes-{log}", log=log)
    whole, told = collect(server, message)
    message.outcomes_only = True
    lean, briefly = collect(server, message)
    assert briefly.environment_steps == told.environment_steps and len(lean) == len(whole) == 2
    for full, outcome in zip(whole, lean, strict=True):
        assert full.state and not outcome.state
        for everything, earned in zip(full.agents, outcome.agents, strict=True):
            assert everything.observation and not (earned.observation or earned.action)
            for field in ("reward", "terminated", "truncated", "acted", "log_prob", "version", "policy_id"):
                assert getattr(earned, field) == getattr(everything, field)
    if log:
        files = f"'{log_directory}/outcomes-True-*.parquet'"
        missing = f'select count(*) from {files} where "state.last_round_all_prices" is null'
        assert duckdb.sql(missing).fetchall() == [(0,)]


def test_repeating_a_request_changes_nothing_and_doubles_nothing(server, minds, log_directory):
    exploring = pb.CollectExploration(noise_scale=0.1, unilateral=True)
    message = request(minds, run="again", log=True, exploration=exploring)
    first, _ = collect(server, message)
    second, _ = collect(server, message)
    assert [s.SerializeToString() for s in first] == [s.SerializeToString() for s in second]
    rows = duckdb.sql(
        f'select block, step, copy, count(*) n, any_value("station_1.reward") r, any_value("station_1.action") a '
        f"from '{log_directory}/again-*.parquet' group by all order by all"
    ).fetchall()
    assert len(rows) == 2 * 4 * 6 and {row[3] for row in rows} == {1}
    block, step, copy = 1, 2, 5
    row = next(r for r in rows if r[:3] == (block, step, copy))
    assert row[4] == from_tensor(second[block].agents[1].reward)[step, copy]
    assert list(row[5]) == from_tensor(second[block].agents[1].action[0])[step, copy].tolist()
    assert not list(log_directory.glob("*.tmp"))


def test_the_collector_shares_blocks_among_servers(server, minds, tmp_path):
    async def play(servers):
        collector = Collector(servers, minds, run="c", seed=5, deadline=60, patience=60)
        spec = await collector.describe("charging", '{"episode_rounds": 4}')
        segments = await collector.collect(spec, range(2, 7), 3, {}, Explore(0.2))
        await collector.close()
        return spec, segments

    with Service("env_server", ["--log-directory", str(tmp_path)]) as other:
        spec, both = asyncio.run(play([server, other.address]))
    _, one = asyncio.run(play([server]))
    assert isinstance(spec, GameSpec) and spec.agents == tuple(AGENTS) and spec.has_payoff
    assert [s.block for s in both] == [2, 3, 4, 5, 6]
    for mine, theirs in zip(both, one, strict=True):
        assert np.array_equal(mine.agents[3].reward, theirs.agents[3].reward)
        assert np.array_equal(mine.state["charging_flows"], theirs.state["charging_flows"])


def test_a_collector_says_how_long_it_waited_and_why_in_vain():
    nobody = free_address()

    async def ask():
        collector = Collector([nobody], {}, run="c", seed=5, deadline=1, patience=0.1)
        try:
            await collector.describe("charging", "{}")
        finally:
            await collector.close()

    with pytest.raises(Unavailable, match=f"{nobody}: no answer for 0.1 s: UNAVAILABLE: failed to connect"):
        asyncio.run(ask())


def test_payoff_is_what_a_step_pays(server):
    rng = np.random.default_rng(0)
    played = rng.random((6, 4, 8), dtype=np.float32)
    with connect_blocking(server) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        ask = env_pb.EvaluatePayoffRequest(environment=CHARGING, actions=to_tensor(played.astype(float)), gradient=True)
        answer = stub.EvaluatePayoff(ask)
        parts = [env_pb.StepEnvironment.AgentActions(action=[to_tensor(played[:, i])]) for i in range(4)]
        said = [
            env_pb.ConnectRequest(open=env_pb.OpenEnvironment(environment=CHARGING, protocol_versions=[1])),
            env_pb.ConnectRequest(reset=env_pb.ResetEnvironment(seed=1)),
            env_pb.ConnectRequest(step=env_pb.StepEnvironment(agents=parts)),
        ]
        transition = list(stub.Connect(iter(said)))[-1].transition
    np.testing.assert_allclose(from_tensor(answer.payoffs), from_tensor(transition.rewards), rtol=1e-9)
    assert from_tensor(answer.gradients).shape == (6, 4, 8)


def test_a_killed_service_is_dialled_again_and_nothing_is_lost(server, minds):
    long = env_pb.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 300}', num_envs=4)
    calm, _ = collect(server, request(minds, environment=long, num_blocks=3))
    victim = mind("station_2").start()
    seats = {**minds, "station_2": [victim.address]}
    asked = request(seats, environment=long, num_blocks=3, deadline_us=60_000_000)
    with connect_blocking(server) as channel:
        items = rollout_pb2_grpc.RolloutServiceStub(channel).Collect(asked, timeout=110)
        disturbed = [next(items)]  # so the service has answered, and two blocks of 300 steps are still to come
        victim.kill()
        again = mind("station_2", address=victim.address).start()
        disturbed += items
    again.stop()
    assert disturbed.pop().summary.reconnects >= 1
    assert [item.segment.SerializeToString() for item in disturbed] == [s.SerializeToString() for s in calm]


def test_a_service_that_hangs_costs_a_deadline_a_step_and_its_late_answers_are_dropped(server, minds):
    """It answers the first two frames when the third comes, which is not sent before their time is over."""
    with late(lambda frame: frame < 2) as address:
        seats = {**minds, "station_1": [address]}
        quick = {"deadline_us": 1_000_000, "fallback": pb.FALLBACK_REPEAT_LAST, "num_blocks": 1}
        segments, summary = collect(server, request(seats, **quick))
    acted = from_tensor(segments[0].agents[1].acted)
    assert (acted[:2] == 2).all() and (acted[2:] == 1).all()
    assert summary.duration_us >= 2 * quick["deadline_us"] and summary.stale_answers >= 2
    others = sum((from_tensor(agent.acted) == 2).sum() for agent in segments[0].agents)
    assert summary.substituted_actions == others >= 2 * 6
    action = from_tensor(segments[0].agents[1].action[0])
    assert (action[:2] == 0.5).all() and (action[2:] == SAYS).all()


def test_a_service_that_stays_frozen_never_holds_up_a_step_even_when_its_window_is_full(server, minds):
    game = env_pb.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 16}', num_envs=6000)
    with mind("station_1") as frozen:
        seats = {**minds, "station_1": [frozen.address]}
        quick = {"deadline_us": 100_000, "fallback": pb.FALLBACK_REPEAT_LAST, "num_blocks": 1, "environment": game}
        collect(server, request(minds, **quick))
        frozen.process.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        segments, summary = collect(server, request(seats, **quick))
        taken = time.monotonic() - start
        frozen.process.send_signal(signal.SIGCONT)
    acted = np.concatenate([from_tensor(segment.agents[1].acted) for segment in segments])
    assert acted.shape == (16, 6000) and (acted == 2).all() and summary.substituted_actions >= 16 * 6000
    assert taken >= 16 * 0.1


def test_a_large_block_comes_in_parts(server, minds):
    game = env_pb.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 20}', num_envs=1500)
    segments, summary = collect(server, request(minds, environment=game, num_blocks=1))
    assert len(segments) > 1 and summary.blocks == 1
    ends = [segment.first_step + segment.steps for segment in segments]
    assert [segment.first_step for segment in segments] == [0, *ends[:-1]] and ends[-1] == 20
    assert [segment.last for segment in segments] == [False] * (len(segments) - 1) + [True]
    for before, after in pairwise(segments):
        assert np.array_equal(from_tensor(before.state[0])[-1], from_tensor(after.state[0])[0])
        assert np.array_equal(from_tensor(before.state[1])[-1][:, 2], from_tensor(before.agents[2].action[0])[-1])


def test_who_is_not_there_is_named_or_substituted(server, minds):
    seats = {**minds, "station_3": [free_address()]}
    error = refused(server, request(seats, deadline_us=400_000))
    assert error.reason == policy_pb2.REASON_UNREACHABLE and seats["station_3"][0] in str(error) and error.retryable
    fallback = {"fallback": pb.FALLBACK_REPEAT_LAST, "deadline_us": 1_000_000, "num_blocks": 1}
    segments, summary = collect(server, request(seats, **fallback))
    assert summary.substituted_actions == 4 * 6
    assert (from_tensor(segments[0].agents[3].acted) == 2).all()


def test_a_replica_that_is_down_is_passed_over(server, minds):
    alone, _ = collect(server, request(minds))
    seats = {**minds, "station_0": [free_address(), *minds["station_0"]]}
    segments, _ = collect(server, request(seats))
    assert [s.SerializeToString() for s in segments] == [s.SerializeToString() for s in alone]


def test_memory_comes_back_to_the_policy(server, minds, tmp_path):
    """Two blocks: it starts afresh in each. Two replicas in turn: it is not the service that remembers."""
    path = tmp_path / "counting.onnx"
    path.write_bytes(counting_model(0.2))
    arguments = ["--policy-id", "station_1", "--model", str(path)]
    with Service("agent_services", arguments) as first, Service("agent_services", arguments) as second:
        seats = {**minds, "station_1": [first.address, second.address]}
        segments, _ = collect(server, request(seats))
    for segment in segments:
        action = from_tensor(segment.agents[1].action[0])
        np.testing.assert_allclose(action, np.broadcast_to(0.2 * np.arange(1, 5)[:, None, None], (4, 6, 8)), rtol=1e-6)


BAD = [
    ({"environment": env_pb.EnvironmentSpec(name="chess", num_envs=1)}, "environment.name", "charging"),
    ({"environment": env_pb.EnvironmentSpec(name="charging", num_envs=0)}, "environment.num_envs", "1 to 65536"),
    ({"environment": env_pb.EnvironmentSpec(name="charging", config_json="{", num_envs=1)}, "config_json", "JSON"),
    (
        {"environment": env_pb.EnvironmentSpec(name="charging", config_json='{"theta": "much"}', num_envs=1)},
        "environment.config.theta",
        "'much'",
    ),
    (
        {"environment": env_pb.EnvironmentSpec(name="charging", config_json='{"thetta": 1}', num_envs=1)},
        "environment.config.thetta",
        "Extra inputs",
    ),
    ({"num_blocks": 0}, "num_blocks", ">= 1"),
    ({"deadline_us": 0}, "deadline_us", ">= 1"),
    ({"run": "../x", "log": True}, "run", "letters"),
    ({"exploration": pb.CollectExploration(noise_scale=float("nan"))}, "exploration.noise_scale", "nan"),
    ({"exploration": pb.CollectExploration(noise_scale=-1)}, "exploration.noise_scale", ">= 0"),
]


@pytest.mark.parametrize(("changes", "field", "words"), BAD, ids=lambda value: str(value)[:40])
def test_wrong_requests_are_refused_by_field(server, minds, changes, field, words):
    error = refused(server, request(minds, **changes))
    assert field in error.field and words in str(error)


def test_seats_must_fit_the_agents(server, minds):
    assert "station_3" in str(refused(server, request({k: minds[k] for k in AGENTS[:3]})))
    assert "'ghost'" in str(refused(server, request({**minds, "ghost": ["x"]})))
    assert "one or more" in str(refused(server, request({**minds, "station_0": []})))
    double = request(minds)
    double.seats.add(agent="station_0", addresses=minds["station_0"])
    assert "every agent once" in str(refused(server, double))
    stranger = {**minds, "station_1": minds["station_0"]}
    message = request(stranger)
    message.seats[1].policy.policy_id = "station_1"
    error = refused(server, message)
    assert error.reason == policy_pb2.REASON_UNKNOWN_POLICY
    collect(server, request(minds, num_blocks=1))


STEP = env_pb.ConnectRequest
OPEN = STEP(open=env_pb.OpenEnvironment(environment=CHARGING, protocol_versions=[1]))
RESET = STEP(reset=env_pb.ResetEnvironment(seed=1))


def step(array, agents=4):
    parts = [env_pb.StepEnvironment.AgentActions(action=[to_tensor(array)]) for _ in range(agents)]
    return STEP(step=env_pb.StepEnvironment(agents=parts))


def test_connect_refuses_in_words_and_lives_on(server):
    good = step(np.full((6, 8), 0.5, np.float32))
    said = [
        (RESET, "NOT_READY"),
        (STEP(open=env_pb.OpenEnvironment(environment=CHARGING, protocol_versions=[9])), "PROTOCOL_VERSION"),
        (OPEN, None),
        (OPEN, "NOT_READY"),
        (good, "a reset"),
        (RESET, None),
        (step(np.zeros((6, 8), np.float32), agents=3), "4 agents"),
        (step(np.zeros((6, 7), np.float32)), "agents[0].action[0]: expected [6, 8], got [6, 7]"),
        (step(np.zeros((6, 8))), "expected float32, got float64"),
        (step(np.full((6, 8), np.nan, np.float32)), "NOT_FINITE"),
        (step(np.full((6, 8), 1.5, np.float32)), "expected [0.0, 1.0], got 1.5"),
        (STEP(), "NOT_READY"),
        (STEP(reset=env_pb.ResetEnvironment(seed=2**63)), "below 2**63"),
        *[(good, None)] * 4,
        (good, "a reset"),
        (RESET, None),
    ]
    with connect_blocking(server) as channel:
        answers = list(environment_pb2_grpc.EnvironmentServiceStub(channel).Connect(iter(m for m, _ in said)))
    for answer, (_, words) in zip(answers, said, strict=True):
        if words is None:
            assert answer.WhichOneof("kind") != "refusal", answer
        else:
            assert words in answer.refusal.message, answer


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((1, 4, 8), np.float32), "float64"),
        (np.zeros((1, 4, 7)), "(M, 4, 8)"),
        (np.full((1, 4, 8), np.nan), "nan"),
        (np.full((1, 4, 8), 1.01), "1.01"),
    ],
)
def test_payoffs_of_wrong_actions_are_refused(server, actions, words):
    with connect_blocking(server) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.EvaluatePayoff(env_pb.EvaluatePayoffRequest(environment=CHARGING, actions=to_tensor(actions)))
    assert words in caught.value.details() and caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_description_names_games_and_schema(server):
    with connect_blocking(server) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        assert list(stub.DescribeEnvironment(env_pb.DescribeEnvironmentRequest()).names) == sorted(ENVIRONMENTS)
        told = stub.DescribeEnvironment(env_pb.DescribeEnvironmentRequest(environment=CHARGING))
    assert json.loads(told.config_json)["episode_rounds"] == 4
    assert "theta" in json.loads(told.config_schema_json)["properties"]
    assert len(json.loads(told.facts_json)["panels"]) == 2


def test_sigterm_ends_with_exit_code_zero():
    service = Service("env_server").start()
    assert service.stop() == 0
