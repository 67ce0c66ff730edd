"""A game whose agents' actions have no bound above, below or both, and whose rewards may be as large as one likes."""

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

GOALS = {"above": 2.0, "below": -3.0, "free": 1.5}


class Shore(ParallelEnv):
    """Each agent loses ``scale`` times the square of its distance from its goal."""

    def __init__(self, scale=1.0):
        self.metadata, self.possible_agents, self.scale = {"name": "shore"}, sorted(GOALS), float(scale)

    def observation_space(self, agent):
        return spaces.Box(0.0, 1.0, (1,), np.float32)

    def action_space(self, agent):
        low = 0.0 if agent == "above" else -np.inf
        high = 0.0 if agent == "below" else np.inf
        return spaces.Box(low, high, (1,), np.float32)

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        return self._seen(), {agent: {} for agent in self.agents}

    def _seen(self):
        return {agent: np.ones(1, np.float32) for agent in self.possible_agents}

    def step(self, actions):
        for agent, action in actions.items():
            assert self.action_space(agent).contains(action), (agent, action)
        rewards = {agent: -self.scale * float((actions[agent][0] - GOALS[agent]) ** 2) for agent in self.agents}
        over, infos = dict.fromkeys(self.agents, True), {agent: {} for agent in self.agents}
        self.agents = []
        return self._seen(), rewards, over, dict.fromkeys(over, False), infos

    def state(self):
        return np.ones(1, np.float32)
