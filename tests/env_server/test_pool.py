"""Idle games: kept for the next taker, and ended when there are too many."""

import asyncio

from env_server.__main__ import _close
from env_server.pool import Pool


class Processes:
    """A game that other processes compute."""

    def __init__(self):
        self.pids = [1]

    def close(self):
        self.pids = []


def test_a_game_that_is_dropped_ends_its_processes():
    async def use():
        pool = Pool(1, _close)
        first, second = Processes(), Processes()
        await pool.give("a", first)
        assert pool.find("a") is first and pool.find("a") is None
        await pool.give("a", first)
        await pool.give("b", second)
        assert first.pids == [] and second.pids == [1] and pool.find("a") is None
        await pool.close()
        assert second.pids == []

    asyncio.run(use())


def test_a_game_without_processes_is_just_let_go():
    async def use():
        pool = Pool(0, _close)
        await pool.give("a", object())
        assert pool.find("a") is None

    asyncio.run(use())


def test_the_last_one_idle_is_found_first_and_the_first_one_goes_first():
    ended = []

    async def end(thing):
        ended.append(thing)

    async def use():
        pool = Pool(3, end)
        for number, key in enumerate("abab"):
            await pool.give(key, number)
        assert ended == [0]
        assert [pool.find("b"), pool.find("b"), pool.find("b"), pool.find("a"), pool.find("a")] == [3, 1, None, 2, None]
        # What was taken has left room, and what comes back is the last again.
        for number in (5, 6):
            await pool.give("a", number)
        await pool.give("b", 7)
        assert pool.find("a") == 6 and ended == [0]
        await pool.give("a", 6)
        await pool.give("a", 8)
        assert ended == [0, 5] and pool.find("a") == 8
        await pool.close()
        assert sorted(ended) == [0, 5, 6, 7] and pool.find("b") is None
        await pool.close()

    asyncio.run(use())
