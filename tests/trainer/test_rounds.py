"""Rounds: what is ordered of the collector, and what becomes of a round that nobody takes."""

import asyncio
import json
from dataclasses import FrozenInstanceError

import pytest

from agora.errors import Unavailable
from trainer.exploration import Explore
from trainer.rounds import Order, Rounds
from trainer.settings import TrainingSettings

SETTINGS = TrainingSettings(algorithm="maddpg", blocks_per_round=3, num_envs=5)
ORDER = Order(12, {"a": (2, 7), "b": (1, 0)}, Explore(0.25, 0.5, True))


class Asked:
    """A collector that notes what it is asked for, and answers when it is told to."""

    def __init__(self):
        self.asked, self.answer, self.cancelled, self.closed = [], asyncio.Event(), False, False

    async def collect(self, *order):
        self.asked.append(order)
        try:
            await self.answer.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ["a segment"]

    async def close(self):
        self.closed = True


def test_an_order_goes_through_a_checkpoint():
    assert Order.from_json(json.loads(json.dumps(ORDER.to_json()))) == ORDER


@pytest.mark.parametrize("newest", [False, True])
def test_a_round_is_the_blocks_that_follow_and_who_was_ordered(newest):
    async def play():
        collector = Asked()
        rounds = Rounds(collector, "the game", SETTINGS, newest)
        with pytest.raises(RuntimeError, match="got none"):
            await rounds.take()
        rounds.ask(ORDER)
        assert rounds.under_way == ORDER
        collector.answer.set()
        assert await rounds.take() == (ORDER, ["a segment"])
        assert rounds.under_way is None
        with pytest.raises(RuntimeError, match="got none"):
            await rounds.take()
        await rounds.close()
        return collector

    collector = asyncio.run(play())
    assert collector.asked == [("the game", range(12, 15), 5, ORDER.versions, ORDER.explore, newest)]
    assert collector.closed and not collector.cancelled


def test_an_order_stays_as_it_was_given():
    with pytest.raises(FrozenInstanceError):
        ORDER.block = 3


def test_a_round_that_fails_says_why_to_who_takes_it():
    class Failing(Asked):
        async def collect(self, *order):
            raise Unavailable("there", "is nobody")

    async def play():
        collector = Failing()
        rounds = Rounds(collector, "the game", SETTINGS, False)
        rounds.ask(ORDER)
        with pytest.raises(Unavailable, match="there: is nobody"):
            await rounds.take()
        assert rounds.under_way == ORDER  # so that a checkpoint still has it
        await rounds.close()
        return collector

    assert asyncio.run(play()).closed


def test_a_round_that_nobody_takes_is_given_up():
    async def play():
        collector = Asked()
        rounds = Rounds(collector, "the game", SETTINGS, False)
        rounds.ask(ORDER)
        await asyncio.sleep(0)
        await rounds.close()
        return collector

    collector = asyncio.run(play())
    assert collector.cancelled and collector.closed
