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
