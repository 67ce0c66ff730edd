"""MADDPG: critics see the global state and everybody's actions; actors see their own observation.

Lowe et al. 2017, "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments", arXiv:1706.02275.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trainer.stage.ddpg import DdpgLearner
from trainer.stage.layout import Layout, Leaves, joined
from trainer.stage.replay import Floats


class Maddpg(DdpgLearner):
    """Centralised critics Q_i(x, a_1, ..., a_N), with x the global state."""

    def look_at(self, layout: Layout) -> None:
        """All critics see the same state and all actions."""
        self.views = 1
        self.state_width = layout.state_width
        self.action_width = layout.agents * layout.action_width

    def critic_state(self, state: Leaves, observations: Sequence[Leaves]) -> Floats:
        """The global state's leaves side by side, float32 (K, 1, S)."""
        return joined(self.layout.state, state)[:, None, :]

    def actions(self, joint: Tensor) -> Tensor:
        """Everybody's, (N, B, N * A)."""
        return joint.flatten(-2)
