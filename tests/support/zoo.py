"""Small PettingZoo environments: agents that come and go, spaces of every kind, and every way to fail."""

import multiprocessing
import os
import time

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

NO_FACTORY = 3


def no_game():
    return 3


class Meadow(ParallelEnv):
    """``lamb`` comes in step 1, ``dog`` leaves after step 2, ``cow`` stays for ``days``; whoever acts, earns its step.

    The environment insists on the types that it asks for, and shows its agents what they did.
    """

    def __init__(self, days=4):
        self.metadata, self.possible_agents, self.days = {"name": "meadow"}, ["cow", "dog", "lamb"], days

    def observation_space(self, agent):
        if agent == "cow":
            picture = spaces.Box(0, 255, (2, 3, 3), np.uint8)
            return spaces.Dict({"picture": picture, "near": spaces.Tuple((spaces.Discrete(4, start=-1), _grid()))})
        return spaces.Box(1.0, 9.0, (2,), np.float32) if agent == "dog" else spaces.MultiBinary(3)

    def action_space(self, agent):
        if agent == "cow":
            return spaces.Discrete(3, start=2)
        if agent == "dog":
            return spaces.Box(-1.0, 1.0, (2,), np.float32)
        return spaces.Dict({"legs": _grid(), "tail": spaces.Tuple((spaces.MultiBinary(2), spaces.Discrete(2)))})

    def reset(self, seed=None, options=None):
        self.day, self.agents = 0, ["cow", "dog"]
        self.start = seed % 7
        return self._see({}), {agent: {} for agent in self.agents}

    def _see(self, said):
        wagged = said["lamb"]["tail"][0].tolist() if "lamb" in said else [0, 0]
        picture = np.full((2, 3, 3), 200 + self.day, np.uint8)
        seen = {
            "cow": {"picture": picture, "near": (min(self.day - 1, 2), [[0, 1], [2, 1]])},
            "dog": np.array([1.0 + self.start, 1.0 + self.day]),
            "lamb": np.array([*wagged, 1]),
        }
        return {agent: seen[agent] for agent in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        assert type(actions["cow"]) is int and actions["cow"] in (2, 3, 4)
        if "dog" in actions:
            assert actions["dog"].dtype == np.float32 and actions["dog"].shape == (2,)
        if "lamb" in actions:
            legs, (wags, side) = actions["lamb"]["legs"], actions["lamb"]["tail"]
            assert legs.shape == (2, 2) and wags.dtype == np.int8 and type(side) is int
        rewards = {agent: float(self.day + 1) for agent in self.agents}
        self.day += 1
        terminated = {agent: agent == "dog" and self.day == 3 for agent in self.agents}
        truncated = {agent: self.day == self.days for agent in self.agents}
        infos = {agent: {} for agent in self.agents}
        if self.day == 1:
            self.agents = [*self.agents, "lamb"]
        seen = self._see(actions)
        self.agents = [a for a in self.agents if not (terminated.get(a) or truncated.get(a))]
        return seen, rewards, terminated, truncated, infos


def _grid():
    return spaces.MultiDiscrete([[2, 3], [3, 2]])


class Candles(AECEnv):
    """Players in turn burn 1 or 2 of their 4 minutes; everyone else earns them, and who has none left is out.

    The last one goes on until round 5, and is then cut off. Rewards therefore arise for agents that do not act, in the
    very step in which an agent ends, and for agents that have still to act.
    """

    def __init__(self, players=3):
        self.metadata = {"name": "candles_v0", "is_parallelizable": False}
        self.render_mode = None
        self.possible_agents = [f"candle_{i}" for i in range(players)]
        self.observation_spaces = {agent: spaces.Box(0, 10, (2,), np.float64) for agent in self.possible_agents}
        self.action_spaces = {agent: spaces.Discrete(2) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self.left = dict.fromkeys(self.agents, 4)
        self.rewards = dict.fromkeys(self.agents, 0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.turn, self.agent_selection = 0, self.agents[0]

    def observe(self, agent):
        return np.array([self.left[agent], self.turn % 10], np.float64)

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        self._cumulative_rewards[agent] = 0
        self._clear_rewards()
        burnt = int(min(action + 1, self.left[agent]))
        self.left[agent] -= burnt
        for other in self.agents:
            self.rewards[other] = burnt if other != agent else -0.5
        self.turn += 1
        self.terminations[agent] = self.left[agent] == 0
        if self.turn == 9:
            self.truncations = {other: not self.terminations[other] for other in self.agents}
        place = self.agents.index(agent)
        self.agent_selection = self.agents[(place + 1) % len(self.agents)]
        self._accumulate_rewards()
        self._deads_step_first()


class Faulty(ParallelEnv):
    """Does what ``kind`` says in step ``at`` of episodes whose seed is odd; otherwise counts its steps up to 4."""

    def __init__(self, kind="none", at=2):
        self.metadata, self.possible_agents, self.kind, self.at = {"name": "faulty"}, ["one", "two"], kind, at

    def observation_space(self, agent):
        return spaces.Box(0.0, 9.0, (2,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.odd, self.number, self.agents = seed % 2 == 1, 0, self.possible_agents[:]
        if self._now("reset", at=0):
            raise RuntimeError("no reset today")
        return self._see(), {agent: {} for agent in self.agents}

    def _now(self, kind, at=None):
        return self.kind == kind and self.odd and self.number == (self.at if at is None else at)

    def _see(self):
        seen = {agent: np.full(2, self.number, np.float32) for agent in self.agents}
        wrong = {
            "shape": np.zeros(3),
            "nan": np.array([0.0, np.nan]),
            "bounds": np.array([0.0, 9.5]),
            "type": ["x", "y"],
        }
        for kind, value in wrong.items():
            if self._now(kind):
                seen["two"] = value
        if self._now("missing"):
            del seen["two"]
        return seen

    def step(self, actions):
        self.number += 1
        if self._now("step"):
            raise KeyError("no step today")
        if self._now("exit"):
            raise SystemExit(3)
        if self._now("hang"):
            time.sleep(3600)
        rewards = dict.fromkeys(self.agents, np.nan if self._now("reward") else 1.0)
        ended = dict.fromkeys(self.agents, self.number == 4)
        seen, infos = self._see(), {agent: {} for agent in self.agents}
        self.agents = [] if self.number == 4 else self.agents
        return seen, rewards, dict.fromkeys(rewards, False), ended, infos

    def state(self):
        if self._now("state"):
            raise ValueError("no state today")
        return np.array([self.number], np.int32)


class Reader(Meadow):
    """Its observations are texts, which the contract does not have."""

    def observation_space(self, agent):
        return spaces.Text(8)


class Broken(Meadow):
    """Cannot be built."""

    def __init__(self):
        raise OSError("no such meadow")


class Crash(Meadow):
    """Takes its process along, as a fault in a native library does."""

    def __init__(self):
        os._exit(7)


class Walkout(AECEnv):
    """``first`` and ``second`` take turns and earn 1 for each; after ``turns`` of them they leave, as ``how`` says.

    silent: all at once, without a word; early: ``first`` does so one turn earlier; flagged: with the flags of a cut, as
    they are set.
    """

    def __init__(self, how="silent", turns=5):
        self.metadata, self.possible_agents = {"name": "walkout_v0"}, ["first", "second"]
        self.how, self.turns = how, turns

    def observation_space(self, agent):
        return spaces.Box(0.0, 99.0, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.turn = self.possible_agents[:], 0
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0), dict.fromkeys(self.agents, 0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.agent_selection = self.agents[0]

    def observe(self, agent):
        return np.array([self.turn], np.float32)

    def step(self, action):
        acting, self.turn = self.agent_selection, self.turn + 1
        self.rewards = {agent: float(agent == acting) for agent in self.possible_agents}
        self.agent_selection = "second" if acting == "first" else "first"
        if self.how == "early" and self.turn == self.turns - 1:
            self.agents, self.agent_selection = ["second"], "second"
        if self.turn == self.turns:
            if self.how == "flagged":
                self.truncations = dict.fromkeys(self.agents, True)
            self.agents = []


class Vanishing(ParallelEnv):
    """Both earn 1 a step, and are gone after the third without a word."""

    def __init__(self):
        self.metadata, self.possible_agents = {"name": "vanishing_v0"}, ["first", "second"]

    def observation_space(self, agent):
        return spaces.Box(0.0, 99.0, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def _see(self):
        return {agent: np.array([self.turn], np.float32) for agent in self.agents}

    def reset(self, seed=None, options=None):
        self.agents, self.turn = self.possible_agents[:], 0
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.turn += 1
        seen, agents = self._see(), self.agents
        self.agents = [] if self.turn == 3 else agents
        flags = dict.fromkeys(agents, False)
        return seen, dict.fromkeys(agents, 1.0), flags, dict(flags), {agent: {} for agent in agents}


class Parent(Meadow):
    """Starts a process of its own in every reset, which sleeps; ``pids`` is a file to which their ids are added."""

    def __init__(self, pids, method="fork", daemon=False):
        super().__init__()
        self.pids, self.context, self.daemon = pids, multiprocessing.get_context(method), daemon

    def reset(self, seed=None, options=None):
        child = self.context.Process(target=time.sleep, args=(3600,), daemon=self.daemon)
        child.start()
        with open(self.pids, "a") as file:
            file.write(f"{child.pid}\n")
        return super().reset(seed, options)
