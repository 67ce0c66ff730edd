"""AgileRL's MADDPG under the common protocol, with its eight environments in processes. Needs agilerl.

Its own rule for learning every 100 steps with 8 environments is every 12 steps of all of them, 96 steps. Learning rates
and noise are its defaults: at an actor's rate of 1e-2 its actions stick to their bounds.
``python -m bench.peer_programs.train_agilerl``; see ``bench.peer_programs.train_common``.
"""

from __future__ import annotations

import numpy as np
import torch
from agilerl.algorithms import MADDPG
from agilerl.components.data import MultiAgentTransition, transition_to_tensordict
from agilerl.components.replay_buffer import ReplayBuffer
from agilerl.utils.utils import make_multi_agent_vect_envs
from mpe2 import simple_spread_v3

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
)  # fmt: skip

COPIES, MEMORY = 8, 1_000_000
EVERY = STEPS_PER_UPDATE // COPIES
NETWORKS = {
    "encoder_config": {"hidden_size": [HIDDEN], "min_mlp_nodes": 16},
    "head_config": {"hidden_size": [HIDDEN], "min_hidden_layers": 1},
}


def learner(seed: int) -> MADDPG:
    """A MADDPG with two hidden layers of 64."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    game = simple_spread_v3.parallel_env(**GAME, continuous_actions=True)
    names = game.possible_agents
    return MADDPG(
        [game.observation_space(name) for name in names], [game.action_space(name) for name in names],
        agent_ids=names, vect_noise_dim=COPIES, batch_size=BATCH,
        learn_step=STEPS_PER_UPDATE, gamma=DISCOUNT, tau=TAU, net_config=NETWORKS,
    )  # fmt: skip


def main() -> None:
    """Train."""
    given = options()
    torch.set_num_threads(1)
    agent, memory = learner(given.seed), ReplayBuffer(max_size=MEMORY)
    copies = make_multi_agent_vect_envs(simple_spread_v3.parallel_env, COPIES, **GAME, continuous_actions=True)

    def act(observations: Floats) -> Floats:
        agent.set_training_mode(False)
        actions = agent.get_action(dict(zip(agent.agent_ids, observations, strict=True)))[0]
        agent.set_training_mode(True)
        return np.stack(list(actions.values()))

    seen, info = copies.reset(seed=given.seed)  # returns when all processes have started, which is not counted
    meter, rounds = Meter(given, act), 0
    agent.set_training_mode(True)
    while meter.goes_on(rounds * COPIES):
        actions, kept = agent.get_action(obs=seen, infos=info)
        then, earned, ended, cut, info = copies.step(actions)
        row = transition_to_tensordict(
            MultiAgentTransition(obs=seen, action=kept, reward=earned, next_obs=then, done=ended)
        )
        row.batch_size = torch.Size([COPIES])
        memory.add(row)
        seen, rounds = then, rounds + 1
        if rounds % EVERY == 0 and len(memory) >= BATCH:
            agent.learn(memory.sample(BATCH))
        over = np.any([ended[name] | cut[name] for name in agent.agent_ids], axis=0)
        agent.reset_action_noise(np.flatnonzero(over).tolist())
    copies.close()


if __name__ == "__main__":
    main()
