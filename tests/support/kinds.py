"""Two-step games of one agent whose observations and actions are of one space each, as batched arrays and hosted.

They show values drawn from the space, insist on actions of it, and pay 1 for each.
"""

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from agora.spaces import leaves
from env_server.environments.base import EnvironmentConfig, Step

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
STEPS = 2


def box(dtype):
    return spaces.Box(0, 1 if dtype == "bool" else 3, (2,), np.dtype(dtype).type)


CARRIED = {
    **{f"box_{dtype}": box(dtype) for dtype in DTYPES},
    "box_scalar": spaces.Box(-1, 1, (), np.float32),
    "box_widest": spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (1,), np.int64),
    "box_far_below": spaces.Box(-1000, -900, (2,), np.float32),
    "box_low_int8": spaces.Box(-128, -100, (2,), np.int8),
    "discrete_lowest": spaces.Discrete(3, start=-(2**63)),
    "discrete_highest": spaces.Discrete(3, start=2**63 - 3),
    "inner_names": spaces.Dict({key: box("int8") for key in ("hidden_0", "column", "flat_0", "low", "weight_0")}),
    "discrete": spaces.Discrete(4, start=-1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary([2, 2]),
    "dict": spaces.Dict({"far": spaces.Discrete(3, start=5), "near": box("int16")}),
    "tuple": spaces.Tuple((spaces.MultiBinary(2), spaces.Dict({"left": box("bool"), "right-hand": box("float64")}))),
}
SOME = spaces.Discrete(2)
NOT_CARRIED = {
    "box_float16": box("float16"),
    "box_longdouble": spaces.Box(0, 1, (1,), np.longdouble),
    "text": spaces.Text(3),
    "sequence": spaces.Sequence(SOME),
    "graph": spaces.Graph(box("float32"), None),
    "one_of": spaces.OneOf((SOME, box("float32"))),
    "multi_discrete_start": spaces.MultiDiscrete([2, 2], start=[0, 1]),
    "nested_start": spaces.Dict({"a": spaces.Tuple((spaces.MultiDiscrete([2], start=[3]),))}),
    "dotted_key": spaces.Dict({"a.b": SOME, "a": spaces.Dict({"b": SOME})}),
    "empty_key": spaces.Dict({"": SOME}),
    "number_key": spaces.Dict({3: SOME}),
    "spaced_key": spaces.Dict({"my key": SOME}),
    "huge_discrete": spaces.Discrete(10, start=2**63 - 5),
    "empty_dict": spaces.Dict({}),
    "empty_tuple": spaces.Tuple(()),
    "nested_empty": spaces.Dict({"a": SOME, "b": spaces.Tuple((spaces.Dict({}),))}),
    "no_numbers": spaces.Box(0, 1, (0,), np.float32),
    "nested_no_numbers": spaces.Tuple((SOME, spaces.Box(0, 1, (2, 0), np.int8))),
}
ALL = CARRIED | NOT_CARRIED


def sample(space, seed):
    space.seed(seed)
    return space.sample()


def flat(space, value):
    """A value's leaves in the order in which they travel."""
    if isinstance(space, spaces.Dict):
        return [leaf for key, member in space.spaces.items() for leaf in flat(member, value[key])]
    if isinstance(space, spaces.Tuple):
        return [leaf for member, part in zip(space.spaces, value, strict=True) for leaf in flat(member, part)]
    return [value]


class KindsConfig(EnvironmentConfig):
    seen: str = "box_float32"
    done: str = "box_float32"
    agents: tuple[str, ...] = ("only",)


class Kinds:
    Config: ClassVar[type[EnvironmentConfig]] = KindsConfig

    def __init__(self, config, num_envs):
        self.config, self.num_envs, self.agents = config, num_envs, config.agents
        self.observation_spaces: Any = dict.fromkeys(self.agents, ALL[config.seen])
        self.action_spaces: Any = dict.fromkeys(self.agents, ALL[config.done])
        self.state_space: Any = spaces.Box(0, STEPS, (1,), np.float32)
        self.facts: dict[str, Any] = {}

    def reset(self, seed, copies):
        self.number = 0
        return self._show(0.0)

    def step(self, actions):
        space = ALL[self.config.done]
        for action in actions:
            for leaf in leaves(space):
                leaf.check(np.asarray(action[leaf.path]), self.num_envs, leaf.path)
        self.number += 1
        return self._show(1.0)

    def _show(self, reward):
        space, b, n = ALL[self.config.seen], self.num_envs, len(self.agents)
        values = [flat(space, sample(space, 10 * self.number + copy)) for copy in range(b)]
        seen = {
            leaf.path: np.stack([np.asarray(row[i], leaf.dtype) for row in values])
            for i, leaf in enumerate(leaves(space))
        }
        over = np.full((b, n), self.number == STEPS)
        state = {"": np.full((b, 1), self.number, np.float32)}
        return Step([seen] * n, state, np.full((b, n), reward), over, np.zeros_like(over), ~over)


class Hosted(ParallelEnv):
    def __init__(self, seen="box_float32", done="box_float32", agents="only"):
        self.metadata, self.possible_agents = {"name": "kinds"}, agents.split(",")
        self.seen, self.done = ALL[seen], ALL[done]

    def observation_space(self, agent):
        return self.seen

    def action_space(self, agent):
        return self.done

    def reset(self, seed=None, options=None):
        self.number, self.agents = 0, self.possible_agents[:]
        return self._show(), {agent: {} for agent in self.agents}

    def _show(self):
        return {agent: sample(self.seen, self.number) for agent in self.agents}

    def step(self, actions):
        assert all(self.done.contains(action) for action in actions.values()), actions
        self.number += 1
        seen, infos = self._show(), {agent: {} for agent in self.agents}
        over = dict.fromkeys(self.agents, self.number == STEPS)
        rewards, never = dict.fromkeys(self.agents, 1.0), dict.fromkeys(self.agents, False)
        self.agents = [] if self.number == STEPS else self.agents
        return seen, rewards, over, never, infos
