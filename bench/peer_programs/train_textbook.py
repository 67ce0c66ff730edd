"""MADDPG as its paper has it, in plain torch: networks of each agent one after the other, one mpe2 environment.

Lowe et al. 2017, arXiv:1706.02275, algorithm 1 and the settings of its appendix; noise is Gaussian, and logits are
drawn to zero as in the authors' code, because sigmoids saturate at this learning rate. Needs torch and mpe2.
``python -m bench.peer_programs.train_textbook``; see ``bench.peer_programs.train_common``.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from mpe2 import simple_spread_v3
from torch import Tensor, nn

from bench.peer_programs.train_common import (
    ACTIONS,
    AGENTS,
    BATCH,
    CYCLES,
    DISCOUNT,
    GAME,
    HIDDEN,
    STEPS_PER_UPDATE,
    TAU,
    WIDTH,
    Floats,
    Meter,
    options,
)  # fmt: skip

MEMORY, RATE, NOISE, LOGIT_COST = 1_000_000, 1e-2, 0.1, 1e-3


def network(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers of 64."""
    hidden = [nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(HIDDEN, outputs))


class Memory:
    """The newest transitions: what all agents saw (n, 3, 18), did (n, 3, 5), earned (n, 3), and saw then."""

    def __init__(self) -> None:
        shapes = ((AGENTS, WIDTH), (AGENTS, ACTIONS), (AGENTS,), (AGENTS, WIDTH))
        self._columns = [np.empty((MEMORY, *shape), np.float32) for shape in shapes]
        self.count = 0

    def add(self, *row: Floats) -> None:
        """Keep one transition."""
        for column, value in zip(self._columns, row, strict=True):
            column[self.count % MEMORY] = value
        self.count += 1

    def sample(self) -> list[Tensor]:
        """A batch, drawn uniformly."""
        drawn = np.random.randint(min(self.count, MEMORY), size=BATCH)
        return [torch.from_numpy(column[drawn]) for column in self._columns]


class Agent:
    """One agent's networks, their targets and their optimisers."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.actor = network(WIDTH, ACTIONS)
        self.critic = network(AGENTS * (WIDTH + ACTIONS), 1)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self._actor_step = torch.optim.Adam(self.actor.parameters(), RATE)
        self._critic_step = torch.optim.Adam(self.critic.parameters(), RATE)

    def learn(self, batch: list[Tensor], following: Tensor) -> None:
        """Equations 6 and 5 of the paper; ``following`` are all targets' next actions (n, 3, 5)."""
        seen, done, earned, then = batch
        with torch.no_grad():
            ahead = self.target_critic(torch.cat([then.flatten(1), following.flatten(1)], 1)).squeeze(1)
            goal = earned[:, self.index] + DISCOUNT * ahead
        value = self.critic(torch.cat([seen.flatten(1), done.flatten(1)], 1)).squeeze(1)
        self._descend(self._critic_step, self.critic, nn.functional.mse_loss(value, goal))
        own = done.clone()
        logits = self.actor(seen[:, self.index])
        own[:, self.index] = logits.sigmoid()
        gain = self.critic(torch.cat([seen.flatten(1), own.flatten(1)], 1)).mean()
        self._descend(self._actor_step, self.actor, LOGIT_COST * logits.square().mean() - gain)

    def _descend(self, optimiser: torch.optim.Optimizer, moved: nn.Module, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(moved.parameters(), 0.5)
        optimiser.step()

    def follow(self) -> None:
        """Move the targets a little."""
        for net, target in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            for new, old in zip(net.parameters(), target.parameters(), strict=True):
                old.data.lerp_(new.data, TAU)


def main() -> None:
    """Train."""
    given = options()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    np.random.seed(given.seed)
    agents, memory = [Agent(i) for i in range(AGENTS)], Memory()
    game = simple_spread_v3.parallel_env(**GAME, continuous_actions=True)

    @torch.no_grad()
    def act(observations: Floats) -> Floats:
        rows = [agent.actor(torch.from_numpy(observations[agent.index])).sigmoid() for agent in agents]
        actions: Floats = torch.stack(rows).numpy()
        return actions

    meter, steps = Meter(given, act), 0
    while meter.goes_on(steps):
        if steps % CYCLES == 0:
            seen = np.stack(list(game.reset(seed=None if steps else given.seed)[0].values()))
        noise = np.random.normal(0.0, NOISE, (AGENTS, ACTIONS))
        done = np.clip(act(seen[:, None])[:, 0] + noise, 0.0, 1.0).astype(np.float32)
        then, earned, *_ = game.step(dict(zip(game.possible_agents, done, strict=True)))
        memory.add(seen, done, np.array(list(earned.values())), np.stack(list(then.values())))
        seen, steps = np.stack(list(then.values())), steps + 1
        if steps % STEPS_PER_UPDATE == 0 and memory.count >= BATCH:
            update(agents, memory)


def update(agents: list[Agent], memory: Memory) -> None:
    """One gradient step of every agent, each on a batch of its own."""
    for agent in agents:
        batch = memory.sample()
        with torch.no_grad():
            following = torch.stack([other.target_actor(batch[3][:, other.index]).sigmoid() for other in agents], 1)
        agent.learn(batch, following)
    for agent in agents:
        agent.follow()


if __name__ == "__main__":
    main()
