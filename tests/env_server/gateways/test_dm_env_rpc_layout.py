"""Names, types and bounds under which a game's tensors travel over dm_env_rpc."""

import numpy as np
import pytest
from dm_env_rpc.v1 import dm_env_rpc_pb2 as official, spec_manager, tensor_spec_utils
from gymnasium import spaces

from agora.errors import Refused
from env_server.environments.base import EnvironmentConfig, Step
from env_server.gateways.dm_env_rpc import wire_pb2
from env_server.gateways.dm_env_rpc.layout import Layout


class Odd:
    """Two copies of a game with dtypes that dm_env_rpc lacks, nested spaces and a mask."""

    Config = EnvironmentConfig
    facts = {}  # noqa: RUF012
    agents = ("a",)
    observation_spaces = {  # noqa: RUF012
        "a": spaces.Dict({"half": spaces.Box(-np.inf, np.inf, (2,), np.float32), "flag": spaces.MultiBinary(3)})
    }
    action_spaces = {  # noqa: RUF012
        "a": spaces.Dict(
            {
                "short": spaces.Box(np.array([-5, 0], np.int16), np.array([5, 9], np.int16), dtype=np.int16),
                "pick": spaces.Discrete(3),
            }
        )
    }
    state_space = spaces.Box(0, 1, (1,), np.float32)

    def __init__(self, config, num_envs):
        self.config, self.num_envs = config, num_envs

    def reset(self, seed, copies):
        none = np.zeros((self.num_envs, 1), np.bool_)
        half, flag = np.full((self.num_envs, 2), 0.5, np.float32), np.ones((self.num_envs, 3), np.int8)
        masks = {"short": np.ones((self.num_envs, 2), np.uint8), "pick": np.ones((self.num_envs, 3), np.uint8)}
        return Step([{"half": half, "flag": flag}], {}, np.zeros(none.shape), none, none, ~none, {0: masks})

    def step(self, actions):
        raise NotImplementedError


def laid_out(name="half"):
    game = Odd(EnvironmentConfig(), 2)
    if name != "half":
        game.observation_spaces = {"a": spaces.Dict({name: spaces.Box(0, 1, (2,), np.float32)})}
    first = game.reset(0, np.arange(2, dtype=np.uint32))
    layout = Layout(game, 0, first)
    return layout, official.ActionObservationSpecs.FromString(layout.specs.SerializeToString()), first


def test_specs_name_types_shapes_and_bounds():
    _, specs, _ = laid_out()
    shapes = {s.name: (official.DataType.Name(s.dtype), list(s.shape)) for s in specs.observations.values()}
    assert shapes == {
        "half": ("FLOAT", [2, 2]),
        "flag": ("INT8", [2, 3]),
        "action_mask.short": ("UINT8", [2, 2]),
        "action_mask.pick": ("UINT8", [2, 3]),
        "reward": ("DOUBLE", [2]),
        "discount": ("DOUBLE", [2]),
        "awaited": ("BOOL", [2]),
    }
    actions = {s.name: s for s in specs.actions.values()}
    assert {name: (official.DataType.Name(s.dtype), list(s.shape)) for name, s in actions.items()} == {
        "short": ("INT32", [2, 2]),
        "pick": ("INT64", [2]),
    }
    bounds = tensor_spec_utils.bounds(actions["short"])
    assert bounds.min.tolist() == [[-5, 0]] * 2
    assert bounds.max.tolist() == [[5, 9]] * 2
    assert not next(s for s in specs.observations.values() if s.name == "half").HasField("min")


def test_values_go_both_ways_as_the_official_library_reads_them():
    layout, specs, first = laid_out()
    actions, seen = spec_manager.SpecManager(specs.actions), spec_manager.SpecManager(specs.observations)
    sent = official.StepRequest(actions=actions.pack({"short": np.array([[-5, 9], [0, 1]], np.int32)}))
    values = layout.read_actions(wire_pb2.StepRequest.FromString(sent.SerializeToString()).actions, lambda leaf: leaf)
    assert values["short"].dtype == np.int16
    assert values["short"].tolist() == [[-5, 9], [0, 1]]
    assert values["pick"].path == "pick"  # what was not sent is asked for
    response = wire_pb2.StepResponse()
    layout.show(response, [*layout.observations, 1], first, np.array([True, False]))
    shown = seen.unpack(official.StepResponse.FromString(response.SerializeToString()).observations)
    assert shown["half"].tolist() == [[0.5, 0.5]] * 2
    assert shown["discount"].tolist() == [0.0, 1.0]
    assert shown["awaited"].tolist() == [True, True]


def test_a_number_that_the_games_dtype_cannot_hold_is_refused():
    layout, specs, _ = laid_out()
    sent = spec_manager.SpecManager(specs.actions).pack({"short": np.full((2, 2), 70_000, np.int32)})
    message = official.StepRequest(actions=sent).SerializeToString()
    with pytest.raises(Refused, match="int16, got 70000"):
        layout.read_actions(wire_pb2.StepRequest.FromString(message).actions, lambda leaf: leaf)


def test_a_game_that_calls_an_observation_reward_is_refused():
    with pytest.raises(Refused, match="reward"):
        laid_out("reward")
