"""The settings of learners from replay: their limits and their defaults."""

import pytest
from pydantic import ValidationError

from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.deterministic_config import DeterministicConfig
from trainer.algorithms.matd3 import Matd3Config
from trainer.algorithms.off_policy import OffPolicyConfig
from trainer.algorithms.qmix import QmixConfig
from trainer.algorithms.value_based import ValueConfig

LIMITS = [  # the last value that is taken, and the first that is not
    (LearnerConfig, "discount", 0.0, -0.01),
    (LearnerConfig, "discount", 0.999, 1.0),
    (LearnerConfig, "rate_steps", 1, 0),
    (LearnerConfig, "rate_floor", 1e-9, 0.0),
    (LearnerConfig, "rate_floor", 1.0, 1.01),
    (OffPolicyConfig, "averaging", 1e-9, 0.0),
    (OffPolicyConfig, "averaging", 1.0, 1.01),
    (OffPolicyConfig, "batch_size", 1, 0),
    (OffPolicyConfig, "capacity", 1, 0),
    (OffPolicyConfig, "steps_per_update", 1e-9, 0.0),
    (OffPolicyConfig, "warmup", 1, 0),
    (OffPolicyConfig, "reward_scale", 1e-9, 0.0),
    (OffPolicyConfig, "max_staleness", 0, -1),
    (DeterministicConfig, "actor_rate", 1e-9, 0.0),
    (DeterministicConfig, "critic_rate", 1e-9, 0.0),
    (DeterministicConfig, "noise_initial", 0.0, -0.01),
    (DeterministicConfig, "noise_final", 0.0, -0.01),
    (DeterministicConfig, "noise_steps", 1, 0),
    (DeterministicConfig, "logit_limit", 1e-9, 0.0),
    (DeterministicConfig, "logit_penalty", 0.0, -0.01),
    (DeterministicConfig, "relaxation", 1e-9, 0.0),
    (Matd3Config, "target_noise", 0.0, -0.01),
    (Matd3Config, "target_clip", 1e-9, 0.0),
    (ValueConfig, "discount", 0.0, -0.01),
    (ValueConfig, "discount", 0.999, 1.0),
    (ValueConfig, "rate", 1e-9, 0.0),
    (ValueConfig, "rate_steps", 1, 0),
    (ValueConfig, "huber", 1e-9, 0.0),
    (ValueConfig, "batch_size", 1, 0),
    (ValueConfig, "steps_per_update", 1e-9, 0.0),
    (ValueConfig, "warmup", 1, 0),
    (ValueConfig, "epsilon_initial", 1e-9, 0.0),
    (ValueConfig, "epsilon_initial", 1.0, 1.01),
    (ValueConfig, "epsilon_final", 1e-9, 0.0),
    (ValueConfig, "epsilon_final", 1.0, 1.01),
    (ValueConfig, "epsilon_steps", 1, 0),
    (QmixConfig, "mixing_width", 1, 0),
    (QmixConfig, "mixing_scale", 1e-9, 0.0),
]


@pytest.mark.parametrize(
    ("config", "field", "last", "first"), LIMITS, ids=[f"{c.__name__}.{f}={n}" for c, f, _, n in LIMITS]
)
def test_settings_are_taken_up_to_their_limits_and_no_further(config, field, last, first):
    assert getattr(config(**{field: last}), field) == last
    with pytest.raises(ValidationError, match=field):
        config(**{field: first})


def test_what_was_measured_was_measured_with_these_settings():
    """Stored figures name only what departs from the defaults, so another default would be another measurement."""
    common = {"activation": "relu", "rate_floor": 0.05, "averaging": 0.01, "capacity": 500_000, "max_staleness": None}
    common["reward_scale"] = 1.0
    replay = {"discount": 0.95, "rate_steps": None, "batch_size": 1024, "steps_per_update": 100.0, "warmup": 2000}
    assert OffPolicyConfig().model_dump() == common | replay
    deterministic = {
        **{"actor_hidden": (64, 64), "critic_hidden": (128, 128), "share": False, "state": False},
        **{"actor_rate": 0.01, "critic_rate": 0.01, "noise_initial": 0.5, "noise_final": 0.3, "noise_steps": 500_000},
        **{"logit_limit": 4.0, "logit_penalty": 0.01, "relaxation": 1.0},
    }
    assert DeterministicConfig().model_dump() == common | replay | deterministic
    smoothing = {"target_noise": 0.1, "target_clip": 0.25}
    assert Matd3Config().model_dump() == common | replay | deterministic | smoothing
    values = {
        **{"hidden": (64, 64), "share": None, "discount": 0.9, "rate": 0.003, "rate_steps": 1_000_000, "huber": 1.0},
        **{"batch_size": 512, "steps_per_update": 50.0, "warmup": 5000},
        **{"epsilon_initial": 1.0, "epsilon_final": 0.05, "epsilon_steps": 100_000},
    }
    assert ValueConfig().model_dump() == common | values
    assert QmixConfig().model_dump() == common | values | {"mixing_width": 32, "mixing_scale": 10.0}
