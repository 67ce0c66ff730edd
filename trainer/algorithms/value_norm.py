"""Values in units of their own spread, whatever the size of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

LEAST_VARIANCE: Final = 1e-8


class ValueNorm:
    """Running mean and standard deviation of each agent's returns, without the bias of their start at zero.

    Yu et al. 2021, arXiv:2103.01955, suggestion 1; after van Hasselt et al. 2016, "Learning values across many orders
    of magnitude", arXiv:1602.07714, without rescaling the critic's last layer.
    """

    def __init__(self, agents: int, keep: float) -> None:
        """Nothing is known yet: values are taken as they are.

        Args:
            agents: N.
            keep: β, the share of the old statistics that stays when a batch comes; the first batch counts in full.
        """
        self._keep = keep
        self._sums = torch.zeros(3, agents, dtype=torch.float64)

    def update(self, returns: Tensor, mask: Tensor) -> None:
        """Take in a batch of returns (N, R), of which those count where ``mask`` (N, R) is 1."""
        returns, mask = returns.double(), mask.double()
        count = mask.sum(dim=1)
        moments = torch.stack([(returns * mask).sum(dim=1), (returns.square() * mask).sum(dim=1), count])
        known = count > 0
        self._sums[:, known] = self._keep * self._sums[:, known] + ((1.0 - self._keep) * moments / count)[:, known]

    @property
    def mean(self) -> Tensor:
        """float32 (N, 1)."""
        return self._mean.float()[:, None]

    @property
    def std(self) -> Tensor:
        """float32 (N, 1), at least 1e-4; 1 where nothing is known."""
        variance = self._sums[1] / self._weight - self._mean.square()
        return torch.where(self._sums[2] > 0, variance.clamp_min(LEAST_VARIANCE), 1.0).sqrt().float()[:, None]

    @property
    def _mean(self) -> Tensor:
        return self._sums[0] / self._weight

    @property
    def _weight(self) -> Tensor:
        return self._sums[2].clamp_min(torch.finfo(torch.float64).tiny)

    def normalise(self, returns: Tensor) -> Tensor:
        """Returns (N, R) in units of their spread."""
        return (returns - self.mean) / self.std

    def denormalise(self, values: Tensor) -> Tensor:
        """What ``normalise`` was given, of what it gave."""
        return values * self.std + self.mean

    def state_dict(self) -> dict[str, Tensor]:
        """The running sums."""
        return {"sums": self._sums.clone()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self._sums.copy_(state["sums"])
