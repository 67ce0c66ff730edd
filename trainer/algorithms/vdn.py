"""VDN: what the team's joint action is worth is the sum of what agents value their own choices at.

Sunehag et al. 2017, "Value-Decomposition Networks For Cooperative Multi-Agent Learning", arXiv:1706.05296.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trainer.algorithms.losses.q_learning import additive_value
from trainer.algorithms.value_based import ValueLearner
from trainer.networks import Networks


class Vdn(ValueLearner):
    """Section 3; the team's reward is the sum of the agents'."""

    def mix(self, q: Tensor, state: Tensor, networks: Sequence[Networks]) -> Tensor:
        """The sum."""
        return additive_value(q)
