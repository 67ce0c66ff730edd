"""XuanCe's MADDPG under the common protocol, with its sixteen environments in one process. Needs xuance.

It learns where the count of steps, which moves by 16, is a multiple of its frequency: 96 is the nearest to 100. Rates
of learning, noise, activations and sharing of parameters are its own settings for this game.
``python -m bench.peer_programs.train_xuance``; see ``bench.peer_programs.train_common``.
"""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace

import numpy as np
import torch
from xuance.common import get_arguments
from xuance.environment import make_envs
from xuance.torch.agents import MADDPG_Agents

from bench.peer_programs.train_common import (
    ACTIONS,
    AGENTS,
    BATCH,
    DISCOUNT,
    HIDDEN,
    TAU,
    Floats,
    Meter,
    options,
    restore_pettingzoo_mpe,
)  # fmt: skip

COPIES, EVERY, ROUNDS = 16, 96, 60
PROTOCOL = {
    "actor_hidden_size": [HIDDEN, HIDDEN], "critic_hidden_size": [HIDDEN, HIDDEN], "batch_size": BATCH,
    "gamma": DISCOUNT, "tau": TAU, "parallels": COPIES, "training_frequency": EVERY,
}  # fmt: skip


def main() -> None:
    """Train."""
    given = options()
    torch.set_num_threads(1)
    restore_pettingzoo_mpe()
    asked = Namespace(seed=given.seed, env_seed=given.seed, render=False, **PROTOCOL)
    config = get_arguments("maddpg", "mpe", "simple_spread_v3", parser_args=asked)
    agents = MADDPG_Agents(config, make_envs(config))

    def act(observations: Floats) -> Floats:
        rows = [dict(zip(agents.agent_keys, row, strict=True)) for row in observations.swapaxes(0, 1)]
        answers = agents.get_actions(obs_dict=rows, test_mode=True)["actions"]
        actions = [[answer[name] for answer in answers] for name in agents.agent_keys]
        return np.array(actions, np.float32).reshape(AGENTS, len(rows), ACTIONS)

    meter = Meter(given, act)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        while meter.goes_on(agents.current_step):
            agents.train(ROUNDS)


if __name__ == "__main__":
    main()
