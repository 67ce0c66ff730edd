"""Agents as outside authors write them, well and badly: ``python -m tests.support.authored --listen ADDRESS``.

Bad ones do what their name says in rows that see ``CUE``, which no trial shows them, or always.
"""

import time

import numpy as np
import tyro
from gymnasium import spaces

from agora import Agent, serve

CUE = np.float32(0.123)


class Half(Agent):
    """Half of what it sees, in another type."""

    def act(self, observation, legal):
        return observation.astype(np.float64) / 2


class OnCue(Half):
    """Good until it sees the cue; then ``wrong`` of its answer."""

    def __init__(self, wrong):
        self.wrong = wrong

    def act(self, observation, legal):
        good = super().act(observation, legal)
        return self.wrong(good) if (observation == CUE).any() else good


class FirstLegal(Agent):
    """The first legal choice of every element."""

    def act(self, observation, legal):
        return legal.argmax(axis=1)


class Stubborn(Agent):
    """Choice 1, whatever is legal."""

    def act(self, observation, legal):
        return np.ones(len(observation), np.int32)


class Parts(Agent):
    """Dicts of leaves on both sides."""

    def act(self, observation, legal):
        assert set(legal) == {"far.left", "kind"}
        return {"kind": legal["kind"].argmax(axis=1), "far.left": observation["near"][:, :1] * 0}


class Picky(Half):
    """Made for certain spaces."""

    observation_space = spaces.Box(0, 1, (2,))
    action_space = spaces.Box(0, 1, (2,))


class Counter(Agent):
    """Remembers how often it decided and how much it saw."""

    memory_size = 2

    def act(self, observation, legal):
        self.memory += np.stack([np.ones(len(observation)), observation[:, 0]], axis=1)
        return np.clip(self.memory / 8, 0, 1)


class Dice(Agent):
    """Draws twice."""

    def act(self, observation, legal):
        return (self.uniform(2) + np.abs(np.tanh(self.normal(2)))) / 2


class Seated(Agent):
    """Tells its seat by its answers: the number in its id, and the length of its observation."""

    def prepare(self):
        self.told = [int(self.agent_id.split("_")[1]) / 10, self.observation_space.shape[0] / 10]

    def act(self, observation, legal):
        return np.tile(self.told, (len(observation), 1))


class Hoarder(Agent):
    """Keeps state between calls, which the contract forbids."""

    calls = 0

    def act(self, observation, legal):
        self.calls += 1
        return np.full((len(observation), 2), min(self.calls / 8, 1.0))


class Neighbours(Agent):
    """Looks at other rows, which the contract forbids."""

    def act(self, observation, legal):
        return np.broadcast_to(observation.mean(axis=0), observation.shape)


class Sloppy(Agent):
    """As sums whose last bits depend on the size of a batch."""

    def act(self, observation, legal):
        return observation / 2 + len(observation) * 1e-7


class Nervous(Half):
    """Raises on cue."""

    def act(self, observation, legal):
        if (observation == CUE).any():
            raise ZeroDivisionError("a secret of the author")
        return super().act(observation, legal)


class Station(Agent):
    """A charging station whose prices depend on what it sees, remembers and draws."""

    memory_size = 1
    seconds = 0.0

    def act(self, observation, legal):
        time.sleep(self.seconds)
        self.memory += 1
        return (observation["last_round_all_prices"].mean(axis=1) + self.uniform(8) + 1 / self.memory) / 3


class SlowStation(Station):
    """Takes its time, so that there is a middle of a game, and says when it acts."""

    seconds = 0.01

    def act(self, observation, legal):
        print("acts", flush=True)
        return super().act(observation, legal)


class BrokenStation(Station):
    """Good until it has decided twice, which no trial does."""

    def act(self, observation, legal):
        good = super().act(observation, legal)
        return good * np.nan if (self.memory > 2).any() else good


def spoil(good, value):
    """A bad value in the last row."""
    bad = good.copy()
    bad[-1, -1] = value
    return bad


AGENTS = {
    "half": Half(),
    "first_legal": FirstLegal(),
    "stubborn": Stubborn(),
    "parts": Parts(),
    "picky": Picky(),
    "counter": Counter(),
    "dice": Dice(),
    "seated": Seated(),
    "hoarder": Hoarder(),
    "neighbours": Neighbours(),
    "sloppy": Sloppy(),
    "nervous": Nervous(),
    "station": Station(),
    "slow": SlowStation(),
    "broken": BrokenStation(),
    "unwritten": Agent(),
    "shape": OnCue(lambda good: good[:, 0]),
    "rows": OnCue(lambda good: good[1:]),
    "type": OnCue(lambda good: good.astype(str)),
    "complex": OnCue(lambda good: good.astype(complex)),
    "nothing": OnCue(lambda good: None),
    "ragged": OnCue(lambda good: [[0.5], [0.5, 0.5]]),
    "nan": OnCue(lambda good: spoil(good, np.nan)),
    "huge": OnCue(lambda good: spoil(good, 1e300)),
    "outside": OnCue(lambda good: spoil(good, 1.5)),
    "dict": OnCue(lambda good: {"price": good}),
}


def main(
    listen: str | None = None,
    join: str | None = None,
    only: str | None = None,
    name: str | None = None,
    token: str = "",
) -> None:
    """Serve all of them, or one."""
    serve(AGENTS[only] if only else AGENTS, listen=listen, join=join, name=name or only, token=token)


if __name__ == "__main__":
    tyro.cli(main)
