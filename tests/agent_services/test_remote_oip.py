"""Policies of a model server: a real MLServer answers for agents, fails in every way, and comes back."""

import asyncio

import grpc
import numpy as np
import pytest
from gymnasium import spaces

from agent_services.policies import load
from agora.agents.policy import Source
from agora.channels import connect, connect_blocking
from agora.codec import from_tensor
from agora.errors import Refused
from agora.v1 import environment_pb2, policy_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.processes import Service
from tests.support import frames
from tests.support.model_servers import MLServer, add_model, needs_mlserver

needs_mlserver()
PERIODS = 8
WEIGHTS = np.random.default_rng(3).uniform(-0.2, 0.3, (PERIODS, PERIODS))
SEEN = (("last_round_all_prices", "FP32", (-1, 4, PERIODS)), ("own_charging_flow", "FP32", (-1, PERIODS)))
FLOW = SEEN[1:]
MEAN = (("mean", "FP32", (-1, PERIODS)),)
LINEAR = {"weights": WEIGHTS.tolist(), "slope": 0.25}
MIXED = spaces.Dict(
    {"kind": spaces.Discrete(3), "count": spaces.Discrete(5), "price": spaces.Box(0, 9, (2,), np.float32)}
)
CHOICES = (("logits.kind", "FP64", (-1, 3)), ("action.count", "INT64", (-1,)), ("action.price", "FP64", (-1, 2)))


def linear(prices, flow):
    """What the linear model answers, computed here in double precision."""
    mean = prices.astype(np.float64).mean(axis=-2) @ WEIGHTS + 0.25 * flow
    return np.clip(mean, 0.0, 1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    add_model(folder, "prices", "Prices", SEEN, MEAN, **LINEAR, nan_rows=13, slow_rows=11)
    add_model(folder, "misnamed", "Prices", SEEN, MEAN, **LINEAR, answers="price")
    add_model(folder, "undeclared", "Prices", SEEN, [], **LINEAR)
    add_model(folder, "silent", "Prices", [], MEAN, **LINEAR)
    add_model(folder, "double", "Constants", [("own_charging_flow", "FP16", (-1, PERIODS))], MEAN, rows={})
    add_model(folder, "wide", "Constants", FLOW, [("mean", "FP32", (-1, 9))], rows={"mean": [0.5] * 9})
    add_model(folder, "narrow", "Constants", FLOW, MEAN, rows={"mean": [0.5] * 7})
    add_model(folder, "huge", "Constants", FLOW, [("mean", "FP64", (-1, PERIODS))], rows={"mean": [1e300] * PERIODS})
    add_model(folder, "one_row", "Constants", [("own_charging_flow", "FP32", (1, PERIODS))], MEAN, rows={})
    mixed = {"logits.kind": [0.0, 2.0, 1.0], "action.count": 4, "action.price": [0.5, 7.25]}
    add_model(folder, "mixed", "Constants", FLOW, CHOICES, rows=mixed)
    add_model(folder, "illegal", "Constants", FLOW, CHOICES, rows=mixed | {"action.count": 5})
    memory = (("memory", "FP32", (-1, 2)),)
    kept = (("next_memory", "FP32", (-1, 2)),)
    add_model(folder, "counting", "Constants", FLOW + memory, MEAN + kept, rows={"mean": [0.5] * PERIODS})
    with MLServer(folder) as server:
        yield server


@pytest.fixture
def mortal(tmp_path):
    """A server of a test's own, to be killed."""
    add_model(tmp_path, "prices", "Prices", SEEN, MEAN, **LINEAR)
    with MLServer(tmp_path) as server:
        yield server


def remote(address, model, *more, log=None):
    words = ["--policy", "remote:oip", "--parameter", f"address={address}", "--parameter", f"model={model}", *more]
    return Service("agent_services", words, log=log)


def talk(service, scene):
    async def main():
        async with connect(service.address) as channel:
            return await scene(lambda: frames.Talk(channel))

    return asyncio.run(main())


def welcomed(models, model, scene, *more, action=None):
    """Play a scene on a stream whose hello was welcomed."""

    async def main(dial):
        stream = dial()
        answer = await stream.hello(frames.hello(policy="", action=action))
        assert answer.WhichOneof("kind") == "welcome", answer
        return await scene(stream, dial)

    with remote(models.address, model, *more) as service:
        return talk(service, main)


def refusal(service):
    answer = talk(service, lambda dial: dial().hello(frames.hello(policy="")))
    assert answer.WhichOneof("kind") == "refusal", answer
    return answer.refusal.refusal


@pytest.fixture(scope="module")
def environments():
    with Service("env_server") as service:
        yield service


@pytest.fixture(scope="module")
def rivals():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service


def collection(environments, rivals, seat, blocks, **changes):
    seats = {"station_0": seat, **{f"station_{i}": rivals for i in (1, 2, 3)}}
    game = environment_pb2.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 4}', num_envs=6)
    message = rollout_pb2.CollectRequest(
        environment=game,
        seats=[seat_pb2.Seat(agent=agent, addresses=[service.address]) for agent, service in seats.items()],
        seed=5,
        num_blocks=blocks,
        deadline_us=60_000_000,
        run="oip",
        **changes,
    )
    with connect_blocking(environments.address) as channel:
        call = rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=100)
        for item in call:
            if item.WhichOneof("kind") == "segment":
                yield item.segment.agents[0]


def test_a_seat_behind_a_model_server_decides_as_the_model_does(models, environments, rivals):
    with remote(models.address, "prices") as seat:
        played = list(collection(environments, rivals, seat, 3))
    assert len(played) == 3
    for agent in played:
        prices, flow = (from_tensor(leaf)[:-1] for leaf in agent.observation)
        action = from_tensor(agent.action[0])
        assert action.shape == (4, 6, PERIODS) and action.std() > 0.0
        np.testing.assert_allclose(action, linear(prices, flow), atol=1e-6)
        assert (from_tensor(agent.acted) == 1).all()


def test_a_model_server_that_dies_is_substituted_and_comes_back(mortal, environments, rivals):
    """Every segment is played by the model, until it is dead; and again when it lives."""
    with remote(mortal.address, "prices") as seat:
        played = collection(environments, rivals, seat, 100_000, fallback=rollout_pb2.FALLBACK_REPEAT_LAST)
        acted = (from_tensor(agent.acted) for agent in played)
        assert (next(acted) == 1).all()
        mortal.kill()
        assert next(codes for codes in acted if (codes == 2).any()) is not None
        mortal.start()
        assert next(codes for codes in acted if (codes == 1).all()) is not None
        played.close()


def test_frames_are_refused_while_the_model_server_is_down_and_answered_afterwards(mortal):
    async def scene(stream, _):
        observation = frames.random_observation(4)
        before = await stream.ask(frames.frame(observation))
        mortal.kill()
        refused = (await stream.ask(frames.frame(observation))).refusal.refusal
        assert refused.reason == policy_pb2.REASON_UNREACHABLE and refused.retryable
        assert refused.field.startswith("agents[0]") and mortal.address in refused.field
        await asyncio.to_thread(mortal.start)

        async def answered():
            answer = await stream.ask(frames.frame(observation))
            return answer.WhichOneof("kind") == "decisions"

        await frames.wait_for(answered)
        after = await stream.ask(frames.frame(observation))
        assert (frames.action_of(before.decisions) == frames.action_of(after.decisions)).all()

    welcomed(mortal, "prices", scene)


def test_a_service_starts_before_its_model_server(tmp_path):
    add_model(tmp_path, "prices", "Prices", SEEN, MEAN, **LINEAR)
    server, log = MLServer(tmp_path), tmp_path / "service.log"
    with remote(server.address, "prices", log=log) as service:
        assert f"UNREACHABLE: {server.address}" in log.read_text()
        why = refusal(service)
        assert why.reason == policy_pb2.REASON_UNREACHABLE and why.retryable
        with server:
            answer = talk(service, lambda dial: dial().hello(frames.hello(policy="")))
            assert answer.WhichOneof("kind") == "welcome"


@pytest.mark.parametrize(
    ("model", "reason", "field", "expected", "got"),
    [
        ("nobody", policy_pb2.REASON_MODEL, "model", "nobody", "NOT_FOUND"),
        ("undeclared", policy_pb2.REASON_SPEC_MISMATCH, "model.outputs", "mean or action", "[]"),
        ("silent", policy_pb2.REASON_SPEC_MISMATCH, "model.inputs", "own_charging_flow", "none"),
        ("double", policy_pb2.REASON_SPEC_MISMATCH, "model.inputs.own_charging_flow", "FP32 or FP64 [-1, 8]", "FP16"),
        ("wide", policy_pb2.REASON_SPEC_MISMATCH, "model.outputs.mean", "[-1, 8]", "FP32 [-1, 9]"),
        ("one_row", policy_pb2.REASON_SPEC_MISMATCH, "model.inputs.own_charging_flow", "[-1, 8]", "FP32 [1, 8]"),
        ("narrow", policy_pb2.REASON_MODEL, "model.outputs.mean", "[64, 8]", "[64, 7]"),
        ("huge", policy_pb2.REASON_MODEL, "model.outputs.mean", "finite numbers", "inf"),
        ("misnamed", policy_pb2.REASON_MODEL, "model.outputs.mean", "this output", "['price']"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_when_an_agent_is_seated(models, model, reason, field, expected, got):
    with remote(models.address, model) as service:
        why = refusal(service)
    assert (why.reason, why.field, why.retryable) == (reason, f"agents[0].{field}", False), why
    assert expected in why.expected and got in why.got, why


def test_a_model_that_fails_is_refused_in_its_servers_words_and_the_next_answer_is_taken(models):
    """MLServer itself sends no NaN: it fails, and says so."""

    async def scene(stream, _):
        why = (await stream.ask(frames.frame(frames.random_observation(13)))).refusal.refusal
        assert (why.reason, why.field) == (policy_pb2.REASON_MODEL, "agents[0].model") and not why.retryable
        assert "prices" in why.expected and "not a float" in why.got
        observation = frames.random_observation(3)
        action = frames.action_of((await stream.ask(frames.frame(observation))).decisions)
        np.testing.assert_allclose(action, linear(*observation), atol=1e-6)

    welcomed(models, "prices", scene)


def test_a_slow_answer_is_given_up_and_holds_up_nobody(models):
    async def scene(stream, dial):
        other = dial()
        await other.hello(frames.hello(policy=""))
        waiting = asyncio.create_task(stream.ask(frames.frame(frames.random_observation(11))))
        for rows in (1, 2, 3):
            assert (await other.ask(frames.frame(frames.random_observation(rows)))).WhichOneof("kind") == "decisions"
        assert not waiting.done()
        why = (await waiting).refusal.refusal
        assert why.reason == policy_pb2.REASON_DEADLINE and why.retryable and "8 s" in why.expected

    welcomed(models, "prices", scene, "--parameter", "timeout=8")


@pytest.mark.parametrize("rows", [0, 30_000])
def test_no_rows_need_no_model_and_many_go_in_pieces(models, rows):
    """30,000 rows of 40 numbers are more than the 4 MiB that gRPC servers take in one message."""

    async def scene(stream, _):
        draws = np.random.default_rng(1)
        observation = [draws.random((rows, 4, PERIODS), np.float32), draws.random((rows, PERIODS), np.float32)]
        action = frames.action_of((await stream.ask(frames.frame(observation))).decisions)
        assert action.shape == (rows, PERIODS)
        np.testing.assert_allclose(action, linear(*observation), atol=1e-6)

    welcomed(models, "prices", scene, "--parameter", "timeout=20")


def test_choices_are_drawn_from_logits_and_settled_actions_are_taken_as_they_are(models):
    async def scene(stream, _):
        decisions = (await stream.ask(frames.frame(frames.random_observation(4)))).decisions
        count, kind, price = (frames.action_of(decisions, leaf=leaf) for leaf in range(3))
        assert kind.tolist() == [1] * 4 and count.tolist() == [4] * 4 and price.tolist() == [[0.5, 7.25]] * 4
        warm = (await stream.ask(frames.frame(frames.random_observation(200), temperature=1.0))).decisions
        assert set(frames.action_of(warm, leaf=1).tolist()) == {0, 1, 2}
        assert (frames.action_of(warm, leaf=0) == 4).all()

    welcomed(models, "mixed", scene, action=MIXED)


def test_an_action_out_of_bounds_is_refused_by_the_outputs_name(models):
    with remote(models.address, "illegal") as service:
        answer = talk(service, lambda dial: dial().hello(frames.hello(policy="", action=MIXED)))
    why = answer.refusal.refusal
    assert (why.reason, why.field) == (policy_pb2.REASON_OUT_OF_BOUNDS, "agents[0].model.outputs.action.count")
    assert (why.expected, why.got) == ("[0, 4]", "5 at [0]")


def test_memory_goes_to_the_model_and_back(models):
    async def scene(stream, _):
        observation = frames.random_observation(3)
        memory = b""
        for decided in (1, 2, 3):
            frame = frames.frame(observation)
            frame.agents[0].memory = memory
            memory = (await stream.ask(frame)).decisions.agents[0].memory
            assert np.frombuffer(memory, np.float32).tolist() == [decided] * 6

    welcomed(models, "counting", scene)


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("rest", {"address": "a:1", "model": "m"}, "policy"),
        ("oip", {"model": "m"}, "parameter.address"),
        ("oip", {"address": "a:1"}, "parameter.model"),
        ("oip", {"address": "a:1", "model": "m", "colour": "red"}, "parameter.colour"),
        ("oip", {"address": "a:1", "model": "m", "timeout": "soon"}, "parameter.timeout"),
        ("oip", {"address": "a:1", "model": "m", "timeout": "0"}, "parameter.timeout"),
        ("oip", {"address": "a:1", "model": "m", "timeout": "60"}, "parameter.timeout"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, field):
    with pytest.raises(Refused) as caught:
        load("remote", Source(name, parameters))
    assert (caught.value.reason, caught.value.field) == (policy_pb2.REASON_CONFIG, field)


def test_a_version_that_the_server_lacks_is_refused(models):
    with remote(models.address, "prices", "--parameter", "version=7") as service:
        why = refusal(service)
    assert why.reason == policy_pb2.REASON_MODEL and "NOT_FOUND" in why.got and "7" in why.got


def test_an_address_where_something_else_answers_is_refused(rivals):
    with remote(rivals.address, "prices") as service:
        why = refusal(service)
    assert why.reason == policy_pb2.REASON_MODEL and grpc.StatusCode.UNIMPLEMENTED.name in why.got
