"""The newest version acts, never an older one, and who waits is told why it did not come."""

import asyncio

import pytest

from agent_services.policies import load
from agora.agents.policy import Source
from agora.agents.versions import ANY, Held, Requirement, Shelf
from agora.errors import Refused
from agora.v1 import policy_pb2

POLICY = load("scripted", Source("random"))
WHY = Refused(policy_pb2.REASON_MODEL, "model", "sense", "nonsense")


async def never(version):
    await asyncio.sleep(60)


def held(*version):
    return Held(POLICY, version)


def shelf(**kwargs):
    return Shelf("p", "onnx", fetch=never, **kwargs)


def test_an_older_version_never_replaces_a_newer_one():
    here = shelf()
    for version in ((1, 5), (1, 4), (2, 0), (1, 9)):
        here.put(held(*version))
    assert here.serving.version == (2, 0)
    assert here.find(ANY).version == (2, 0)
    assert here.find(Requirement(minimum=(1, 7))).version == (2, 0)
    assert here.find(Requirement(minimum=(2, 1))) is None
    assert here.find(Requirement(exact=(1, 4))).version == (1, 4)


def test_the_last_few_are_kept_and_the_serving_one_always():
    here = shelf(keep=3)
    here.put(held(9, 0))
    for step in range(5):
        here.put(held(1, step))
    assert [h.version for h in here.held()] == [(9, 0), (1, 3), (1, 4)]


def test_whoever_waits_is_woken():
    async def scene():
        here = shelf()
        waiting = asyncio.create_task(here.wait(Requirement(minimum=(1, 2)), 5.0))
        for step in (1, 2):
            await asyncio.sleep(0)
            here.put(held(1, step))
        return await waiting

    assert asyncio.run(scene()).version == (1, 2)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only when everybody waits for it, and then at once."""

    def __init__(self):
        self.now = 0.0
        super().__init__()
        look = self._selector.select

        def select(timeout):
            self.now += timeout or 0.0
            return look(0)

        self._selector.select = select

    def time(self):
        return self.now


def test_a_version_that_does_not_come_is_refused_with_the_reason():
    async def scene():
        here = shelf()
        here.put(held(1, 1))
        here.refuse((1, 2), WHY)
        clock = asyncio.get_running_loop()
        with pytest.raises(Refused) as late:
            await here.wait(Requirement(minimum=(1, 2)), 0.1)
        assert clock.time() == pytest.approx(0.1)
        with pytest.raises(Refused) as never_comes:
            await here.wait(Requirement(exact=(1, 2)), 60.0)
        assert clock.time() == pytest.approx(0.1)
        return late.value, never_comes.value

    with asyncio.Runner(loop_factory=Clock) as runner:
        late, never_comes = runner.run(scene())
    for refused in (late, never_comes):
        assert refused.reason == policy_pb2.REASON_VERSION_UNAVAILABLE
        assert "version 1-2 was refused" in refused.got and "nonsense" in refused.got
    assert late.field == "policy.min_version" and late.retryable and "version 1-1" in late.got
    assert never_comes.field == "policy.exact_version" and not never_comes.retryable


def test_without_a_registry_nobody_waits():
    alone = Shelf("p", "onnx")
    alone.put(held(0, 0))
    with pytest.raises(Refused, match="VERSION_UNAVAILABLE"):
        asyncio.run(alone.wait(Requirement(minimum=(1, 1)), None))
