"""MADDPG: centralised critics Q_i(x, a_1, ..., a_N), one actor per agent that sees its own observation.

Lowe et al. 2017, "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments", arXiv:1706.02275.
"""

from __future__ import annotations

from trainer.algorithms.deterministic import DeterministicLearner


class Maddpg(DeterministicLearner):
    """Equations 5 and 6; x are all observations. Choices are relaxed by straight-through Gumbel-softmax."""
