"""Games as learners see them: which there can be no learner for."""

import numpy as np
import pytest
from gymnasium import spaces

from trainer.algorithms.game import MOST_OUTPUTS, Game
from trainer.spec import GameSpec

SEEN = spaces.Box(-1.0, 1.0, (2,), np.float32)


def game(action):
    return Game.of(GameSpec("game", "{}", ("a",), (SEEN,), (action,), spaces.Dict({}), False, {}))


@pytest.mark.parametrize("action", [spaces.Discrete(MOST_OUTPUTS), spaces.MultiDiscrete([2] * (MOST_OUTPUTS // 2))])
def test_as_many_choices_as_a_network_can_weigh(action):
    assert game(action).action_width == MOST_OUTPUTS


@pytest.mark.parametrize("action", [spaces.Discrete(MOST_OUTPUTS + 1), spaces.MultiDiscrete([3, 2**40])])
def test_more_choices_than_a_network_can_weigh_are_refused_before_it_is_built(action):
    with pytest.raises(ValueError, match="action space of a: expected at most 65,536 choices, got"):
        game(action)
