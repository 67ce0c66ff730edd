"""Experience in which nothing is the same for all, and what a learner drew of it."""

import numpy as np
import torch

from trainer.algorithms.memory import Memory
from trainer.algorithms.trajectories import Trajectories


def mixed_experience(game, steps=4, copies=8, seed=0):
    """Some end, some are cut off, some do not act, and what is legal differs from step to step and agent to agent."""
    draws = np.random.default_rng(seed)
    shape = (steps, copies, game.size)
    real = np.broadcast_to(game.real, (*shape, game.action_width))
    legal = real & (draws.random(real.shape) < 0.6)
    first = draws.integers(0, game.action_widths, shape)
    np.put_along_axis(legal, first[..., None], True, axis=-1)  # one at least
    if game.discrete:
        actions = np.eye(game.action_width, dtype=np.float32)[first]
    else:
        actions = draws.uniform(game.low, game.high, real.shape).astype(np.float32)
    seen = draws.normal(size=(steps + 1, copies, game.size, game.observation_width)).astype(np.float32)
    acted = draws.random(shape) < 0.7
    acted[0, 0] = False  # a row in which nobody does
    return Trajectories(
        observations=seen * (np.arange(game.observation_width) < np.array(game.observation_widths)[:, None]),
        state=draws.normal(size=(steps + 1, copies, game.state_width)).astype(np.float32),
        actions=actions,
        legal=legal if game.discrete else None,
        log_probs=np.zeros(shape, np.float32),
        rewards=draws.normal(size=shape).astype(np.float32),
        terminated=draws.random(shape) < 0.3,
        truncated=draws.random(shape) < 0.3,
        acted=acted,
    )


class Drawn:
    """What was drawn from replays while it watched: batches, and the generators' states right after."""

    def __init__(self, monkeypatch):
        self.seen, draw = [], Memory.draw

        def spy(memory, size, draws):
            batch = draw(memory, size, draws)
            self.seen.append((batch, draws.get_state()))
            return batch

        monkeypatch.setattr(Memory, "draw", spy)

    def pop(self):
        """The last batch in doubles, by field, and a generator that goes on where its draw ended."""
        batch, state = self.seen.pop()
        draws = torch.Generator()
        draws.set_state(state)
        return {name: value.double() for name, value in vars(batch).items()}, draws
