"""BenchMARL's MADDPG under the common protocol, or its MAPPO as it comes. Needs benchmarl.

MADDPG's learning rate and noise are its defaults: at rates of 1e-2 and 1e-3 its actions stick to their bounds.
``python -m bench.peer_programs.train_benchmarl --algorithm maddpg|mappo``; see ``bench.peer_programs.train_common``.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch
from benchmarl.algorithms import MaddpgConfig, MappoConfig
from benchmarl.environments import PettingZooTask
from benchmarl.experiment import Callback, Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type

from bench.peer_programs.train_common import (
    BATCH,
    DISCOUNT,
    GAME,
    HIDDEN,
    STEPS_PER_UPDATE,
    TAU,
    Floats,
    Meter,
    options,
    restore_pettingzoo_mpe,
)  # fmt: skip

ROUND = 1000
COMMON = {
    "off_policy_collected_frames_per_batch": ROUND,
    "off_policy_n_optimizer_steps": ROUND // STEPS_PER_UPDATE,
    "off_policy_train_batch_size": BATCH,
    "off_policy_init_random_frames": 0,
    "gamma": DISCOUNT,
    "polyak_tau": TAU,
}


class Enough(Exception):
    """Training time is used up."""


class Reports(Callback):
    """Asks the meter after every round of collecting and learning."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self._given = given

    def __getstate__(self) -> dict[str, Any]:
        return {}  # experiments pickle their callbacks

    def on_setup(self) -> None:
        """Start the clock."""
        policy = self.experiment.algorithm.get_policy_for_loss("agent")

        @torch.no_grad()
        def act(observations: Floats) -> Floats:
            rows = torch.from_numpy(observations).transpose(0, 1)
            seen = TensorDict({("agent", "observation"): rows}, [len(rows)])
            with set_exploration_type(ExplorationType.DETERMINISTIC):
                actions: Floats = policy(seen)["agent", "action"].transpose(0, 1).numpy()
            return actions

        self._meter = Meter(self._given, act)

    def on_train_end(self, training_td: TensorDict, group: str) -> None:
        """Report, or stop."""
        if not self._meter.goes_on(self.experiment.total_frames):
            raise Enough


def main() -> None:
    """Train."""
    given = options()
    torch.set_num_threads(1)
    restore_pettingzoo_mpe()
    config, model = ExperimentConfig.get_from_yaml(), MlpConfig.get_from_yaml()
    config.evaluation, config.loggers, config.create_json, config.render = False, [], False, False
    config.save_folder = os.getcwd()
    if given.algorithm == "maddpg":
        algorithm = MaddpgConfig.get_from_yaml()
        model.num_cells = [HIDDEN, HIDDEN]
        for name, value in COMMON.items():
            setattr(config, name, value)
    else:
        algorithm = MappoConfig.get_from_yaml()
    task = PettingZooTask.SIMPLE_SPREAD.get_task({"task": "simple_spread_v3", **GAME})
    experiment = Experiment(
        task=task, algorithm_config=algorithm, model_config=model, seed=given.seed, config=config,
        callbacks=[Reports(given)],
    )  # fmt: skip
    with contextlib.suppress(Enough):
        experiment.run()


if __name__ == "__main__":
    main()
