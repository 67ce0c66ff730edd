"""What torch exports of strangers' policies passes its trial, and does in a seat what its author's code does."""

import asyncio

import numpy as np
import pytest

from agora.channels import connect
from bench.processes import Service
from tests.support import exported, frames, models
from trainer.registry.client import RegistryClient

ROWS = 21


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    registry = Service("trainer.registry", ["--directory", str(tmp_path_factory.mktemp("policies"))])
    with registry:
        ids = [word for name in exported.CASES for word in ("--policy-id", name)]
        with Service("agent_services", ["--registry", registry.address, *ids]) as agent:
            yield registry.address, agent.address


async def _tried(client, name):
    return any(entry.reports for entry in await client.list(name))


async def served(services, name, policy, observation):
    """The actions of an agent service that the registry told of the policy, in two steps that see the same."""
    registry, agent = services
    client = RegistryClient(registry, patience_seconds=60.0)
    spaces = {"observation": policy.observation, "action": policy.action}
    try:
        await client.publish(models.manifest(name, 1, 1, policy.model, **spaces), policy.model)
        await frames.wait_for(lambda: _tried(client, name), seconds=60.0)
    finally:
        await client.close()
    async with connect(agent) as channel:
        stream = frames.Talk(channel)
        answer = await stream.hello(frames.hello(policy=name, **spaces))
        assert answer.WhichOneof("kind") == "welcome", answer
        found, memory = [], b""
        for step in range(2):
            frame = frames.frame(observation, sequence=step + 1, step=step, deadline=60, minimum=(1, 1))
            frame.agents[0].memory = memory
            answer = await stream.ask(frame)
            assert answer.WhichOneof("kind") == "decisions", answer
            found.append(frames.action_of(answer.decisions))
            memory = answer.decisions.agents[0].memory
    return found


@pytest.mark.parametrize("name", exported.CASES)
def test_it_plays_as_its_author_meant_it(services, name):
    policy = exported.CASES[name]()
    seen = frames.random_observation(ROWS, seed=1, space=policy.observation)
    first, second = asyncio.run(served(services, name, policy, seen))
    expected = policy.act(seen)
    assert len(np.unique(expected, axis=0)) > 1
    np.testing.assert_allclose(second, expected, atol=1e-4)
    assert np.array_equal(first, second) != (name in ("gru", "lstm"))
