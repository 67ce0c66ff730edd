"""IDDPG: every agent learns alone, as if the others were part of its environment. The ablation of MADDPG.

Lillicrap et al. 2016, "Continuous control with deep reinforcement learning", arXiv:1509.02971, once per agent.
"""

from __future__ import annotations

from typing import ClassVar

from trainer.algorithms.critics import Critics, OwnCritics
from trainer.algorithms.deterministic import DeterministicLearner


class Iddpg(DeterministicLearner):
    """Critics Q_i(o_i, a_i)."""

    critics: ClassVar[type[Critics]] = OwnCritics
