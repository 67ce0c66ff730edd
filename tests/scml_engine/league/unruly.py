"""Agents that spoil their worlds; policies for tests, such as unruly.Endless."""

from __future__ import annotations

import os

from scml.std.agents import GreedyStdAgent


class Endless(GreedyStdAgent):
    def before_step(self):
        while True:
            pass


class Raising(GreedyStdAgent):
    def before_step(self):
        raise OSError("out of paper")


class Leaving(GreedyStdAgent):
    def before_step(self):
        os._exit(4)


class Slow(GreedyStdAgent):
    """Every world takes a while: time to disturb it."""

    def init(self):
        super().init()
        for _ in range(3_000_000):
            pass
