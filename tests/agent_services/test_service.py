"""Agent services and the registry as processes: versions come, are refused, and processes die."""

import asyncio
import contextlib
import subprocess
import sys

import numpy as np
import onnx
import pytest

from agora.channels import connect
from agora.v1 import agent_pb2, agent_pb2_grpc, policy_pb2, policy_registry_pb2
from bench.processes import ROOT, Service
from tests.support import frames, models
from trainer.registry.client import RegistryClient

SEEN = frames.random_observation(4)


def registry_at(folder, address=None):
    return Service("trainer.registry", ["--directory", str(folder)], address)


def agent_at(registry, *arguments, policy_id="station_0"):
    return Service("agent_services", ["--registry", registry.address, "--policy-id", policy_id, *arguments])


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    registry = registry_at(tmp_path_factory.mktemp("policies"))
    with registry:
        ids = ["--policy-id", "late", "--policy-id", "bad", "--policy-id", "order"]
        with agent_at(registry, *ids, policy_id="station_0") as agent:
            yield registry, agent


def talk(registry, agent, scene):
    async def main():
        client = RegistryClient(registry.address, patience_seconds=60.0)
        async with connect(agent.address) as channel:
            try:
                return await scene(client, channel)
            finally:
                await client.close()

    return asyncio.run(main())


async def opened(channel, policy, **kwargs):
    stream = frames.Talk(channel)
    answer = await stream.hello(frames.hello(policy=policy, **kwargs))
    assert answer.WhichOneof("kind") == "welcome", answer
    return stream


async def publish(client, policy, epoch, step, value):
    model = value if isinstance(value, bytes) else models.constant_model(value)
    await client.publish(models.manifest(policy, epoch, step, model), model)


async def reports(client, policy):
    entries = await client.list(policy)
    return {(e.manifest.version.epoch, e.manifest.version.step): r for e in entries for r in e.reports}


async def reported(client, policy, version):
    async def there():
        return version in await reports(client, policy)

    await frames.wait_for(there)
    return (await reports(client, policy))[version]


def label(answer):
    """The version that acted, and the value it answered in every row."""
    actions = answer.decisions.agents[0]
    values = frames.action_of(answer.decisions)
    assert (values == values[0, 0]).all()
    return (actions.version.epoch, actions.version.step), round(float(values[0, 0]), 3)


def test_frames_wait_for_the_first_version_and_hold_up_nobody(services):
    async def scene(client, channel):
        await publish(client, "station_0", 1, 1, 0.125)
        await reported(client, "station_0", (1, 1))
        waiting_stream, other = await opened(channel, "late"), await opened(channel, "station_0")
        waiting = asyncio.create_task(waiting_stream.ask(frames.frame(SEEN, deadline=60)))
        for sequence in range(20):
            assert label(await other.ask(frames.frame(SEEN, sequence=sequence)))[1] == 0.125
        assert not waiting.done()
        await publish(client, "late", 1, 1, 0.25)
        assert label(await waiting) == ((1, 1), 0.25)
        early = asyncio.create_task(waiting_stream.ask(frames.frame(SEEN, minimum=(1, 2), deadline=60)))
        assert label(await other.ask(frames.frame(SEEN)))[1] == 0.125
        assert not early.done()
        await publish(client, "late", 1, 2, 0.5)
        assert label(await early) == ((1, 2), 0.5)

    talk(*services, scene)


def corrupted():
    poisoned = onnx.load_model_from_string(models.constant_model(0.5))
    poisoned.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.full(1, np.nan, np.float32), "value"))
    return {
        "not finite": poisoned.SerializeToString(),
        "garbage": b"\x00\xff" * 50,
        "other spaces": models.constant_model(0.5, periods=9),
    }


@pytest.mark.parametrize(("number", "name"), list(enumerate(corrupted(), start=2)))
def test_a_bad_version_is_refused_with_a_reason_and_the_old_one_keeps_serving(services, number, name):
    async def scene(client, channel):
        stream = await opened(channel, "bad")
        await publish(client, "bad", number, 0, 0.5)
        assert label(await stream.ask(frames.frame(SEEN, minimum=(number, 0)))) == ((number, 0), 0.5)
        await publish(client, "bad", number, 1, corrupted()[name])
        report = await reported(client, "bad", (number, 1))
        assert report.outcome == policy_registry_pb2.REPORT_OUTCOME_REFUSED
        assert report.refusal.reason in (policy_pb2.REASON_MODEL, policy_pb2.REASON_SPEC_MISMATCH)
        assert report.refusal.field and report.refusal.expected and report.refusal.got
        assert label(await stream.ask(frames.frame(SEEN))) == ((number, 0), 0.5)
        refused = await stream.ask(frames.frame(SEEN, minimum=(number, 1), deadline=0.3))
        assert refused.refusal.refusal.reason == policy_pb2.REASON_VERSION_UNAVAILABLE
        assert f"version {number}-1 was refused" in refused.refusal.refusal.got
        assert refused.refusal.refusal.field == "agents[0].policy.min_version"

    talk(*services, scene)


def test_a_version_for_other_spaces_than_the_streams_is_refused(services):
    async def scene(client, channel):
        stream = await opened(channel, "bad")
        model = models.constant_model(0.5, periods=6)
        spaces = (models.observation_space(periods=6), models.action_space(6))
        await client.publish(models.manifest("bad", 50, 0, model, *spaces), model)
        report = await reported(client, "bad", (50, 0))
        assert report.refusal.reason == policy_pb2.REASON_SPEC_MISMATCH, report
        stream.close()

    talk(*services, scene)


def test_older_versions_act_only_when_asked_for_by_number(services):
    async def scene(client, channel):
        stream = await opened(channel, "order")
        for step in range(1, 13):
            await publish(client, "order", 1, step, step / 16)
        assert label(await stream.ask(frames.frame(SEEN, minimum=(1, 12)))) == ((1, 12), 0.75)
        await publish(client, "order", 0, 99, 1.0)
        for step in (1, 12, 2, 7):  # some are no longer in memory, and are fetched again
            exact = await stream.ask(frames.frame(SEEN, exact=(1, step)))
            assert label(exact) == ((1, step), round(step / 16, 3))
        assert label(await stream.ask(frames.frame(SEEN, exact=(0, 99)))) == ((0, 99), 1.0)
        assert label(await stream.ask(frames.frame(SEEN))) == ((1, 12), 0.75)
        missing = await stream.ask(frames.frame(SEEN, exact=(8, 8), deadline=0.3))
        assert missing.refusal.refusal.reason == policy_pb2.REASON_VERSION_UNAVAILABLE
        held = await agent_pb2_grpc.AgentServiceStub(channel).DescribeAgents(agent_pb2.DescribeAgentsRequest())
        order = [p for p in held.policies if p.policy_id == "order"]
        assert len(order) == 8 and [p.version.step for p in order if p.serving] == [12]
        assert held.frames > 0 and all(p.kind == "onnx" and len(p.sha256) == 64 for p in order)

    talk(*services, scene)


def test_the_service_outlives_the_registry_and_follows_its_successor(tmp_path):
    registry = registry_at(tmp_path).start()
    successor = registry_at(tmp_path, registry.address)

    async def scene(client, channel):
        await publish(client, "station_0", 1, 1, 0.25)
        await publish(client, "station_0", 1, 2, corrupted()["not finite"])
        await reported(client, "station_0", (1, 2))
        stream = await opened(channel, "station_0")
        registry.kill()
        for sequence in range(5):
            assert label(await stream.ask(frames.frame(SEEN, sequence=sequence))) == ((1, 1), 0.25)
        await asyncio.to_thread(successor.start)
        # What it forgot it is told again.
        again = await reported(client, "station_0", (1, 2))
        assert again.outcome == policy_registry_pb2.REPORT_OUTCOME_REFUSED
        await publish(client, "station_0", 1, 3, 0.5)
        assert label(await stream.ask(frames.frame(SEEN, minimum=(1, 3)))) == ((1, 3), 0.5)
        # A model that was damaged on the registry's disk.
        damaged = models.constant_model(0.75)
        await publish(client, "other", 1, 1, damaged)
        (tmp_path / "other" / "1-1.onnx").write_bytes(damaged[:-1] + b"\x00")

    async def damage(client, channel):
        report = await reported(client, "other", (1, 1))
        assert report.refusal.reason == policy_pb2.REASON_HASH

    with contextlib.ExitStack() as stack:
        stack.callback(successor.stop)
        agent = stack.enter_context(agent_at(registry))
        talk(registry, agent, scene)
        late = stack.enter_context(agent_at(registry, policy_id="other"))
        talk(registry, late, damage)


def test_replicas_answer_with_the_same_bytes(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(models.price_model(activation="Elu", hidden=(33, 17)))
    arguments = ["--model", str(path), "--policy-id", "station_0"]

    async def answers(order):
        async with contextlib.AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(connect(a)) for a in sorted({s.address for s in order})]
            streams = {c: await opened(c, "station_0") for c in channels}
            found = []
            for sequence, service in enumerate(order):
                channel = channels[sorted({s.address for s in order}).index(service.address)]
                frame = frames.frame(SEEN, sequence=sequence, step=sequence, noise=0.2)
                answer = await streams[channel].ask(frame)
                answer.decisions.compute_us = 0
                found.append(answer.SerializeToString())
            return found

    with Service("agent_services", arguments) as one, Service("agent_services", arguments) as two:
        alone = asyncio.run(answers([one] * 12))
        mixed = asyncio.run(answers([one, two, two] * 4))
    assert alone == mixed and len(set(alone)) == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "scripted:nobody"], "policy: expected scripted:NAME"),
        (["--model", "/nowhere.onnx"], "model: expected a file that can be read, got /nowhere.onnx"),
        (["--policy", "scripted:random", "--listen", "0.0.0.0:0"], "listen: expected a loopback address"),
    ],
)
def test_bad_settings_end_the_process_with_words(arguments, words):
    command = [sys.executable, "-m", "agent_services", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr.splitlines()[-1]
