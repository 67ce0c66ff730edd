"""Mean field DDPG: a critic sees its agent's own part of the game and the mean of all others'.

Yang et al. 2018, "Mean Field Multi-Agent Reinforcement Learning", arXiv:1802.05438: neighbours enter Q_i only through
their mean action, Q_i(s_i, a_i, mean a_-i). As in the pricing brief, the mean is that of the last round's actions,
which the observation shows; the critic's width does not grow with the number of agents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.stage.ddpg import DdpgLearner
from trainer.stage.layout import Layout, Leaves
from trainer.stage.replay import Floats


class MeanFieldDdpg(DdpgLearner):
    """Critics Q_i(s_i, a_i) with s_i: own rows of shared leaves, own leaves, others' mean rows of shared leaves.

    An observation's leaf is shared if it has a row for each agent (last prices have); other leaves are the agent's own.
    """

    def look_at(self, layout: Layout) -> None:
        """Every critic sees a state of its own and its agent's action."""
        self.views = layout.agents
        self.state_width = sum(
            2 * _size(leaf.shape[1:]) if layout.shared(leaf) else _size(leaf.shape) for leaf in layout.observation
        )
        self.action_width = layout.action_width

    def critic_state(self, state: Leaves, observations: Sequence[Leaves]) -> Floats:
        """Mean field states, float32 (K, N, S)."""
        return np.stack([self._seen_by(index, seen) for index, seen in enumerate(observations)], axis=1)

    def _seen_by(self, index: int, seen: Leaves) -> Floats:
        own, private, mean = [], [], []
        for leaf in self.layout.observation:
            values = np.asarray(seen[leaf.path], np.float32)
            rows = len(values)
            if not self.layout.shared(leaf):
                private.append(values.reshape(rows, -1))
                continue
            own.append(values[:, index].reshape(rows, -1))
            others = np.delete(values, index, axis=1)
            mean.append(others.mean(axis=1).reshape(rows, -1))
        return np.concatenate(own + private + mean, axis=1)

    def actions(self, joint: Tensor) -> Tensor:
        """The agent's own, (N, B, A)."""
        return torch.diagonal(joint, dim1=0, dim2=2).permute(2, 0, 1)


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))
