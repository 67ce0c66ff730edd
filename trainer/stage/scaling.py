"""Fixed affine scales, found once from the first experience: scales that move make rewards move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NARROW = 1e-6
"""Columns whose standard deviation is below this share of the largest are not stretched."""


@dataclass(frozen=True)
class Scaling:
    """y = (x - shift) * factor for batches (V, B, ...) of V views.

    Attributes:
        shift: float32 (V, 1, ...).
        factor: float32 (V, 1, ...), positive.
    """

    shift: Tensor
    factor: Tensor

    @classmethod
    def identity(cls, views: int, *shape: int) -> Scaling:
        """What changes nothing."""
        return cls(torch.zeros(views, 1, *shape), torch.ones(views, 1, *shape))

    @classmethod
    def of(cls, values: NDArray[np.float32], spread: float, centred: bool = True) -> Scaling:
        """What brings values (K, V, ...) to a standard deviation of ``spread``, and to mean zero if ``centred``."""
        exact = values.astype(np.float64)
        deviation = exact.std(axis=0)
        deviation = np.where(deviation > NARROW * max(float(deviation.max()), NARROW), deviation, spread)
        mean = exact.mean(axis=0) if centred else np.zeros_like(deviation)
        shift, factor = mean.astype(np.float32), (spread / deviation).astype(np.float32)
        return cls(torch.from_numpy(shift).unsqueeze(1), torch.from_numpy(factor).unsqueeze(1))

    def __call__(self, values: Tensor) -> Tensor:
        """Scaled values."""
        return (values - self.shift) * self.factor

    def inverse(self, values: Tensor) -> Tensor:
        """What was scaled."""
        return values / self.factor + self.shift

    def state_dict(self) -> dict[str, Tensor]:
        """Both tensors."""
        return {"shift": self.shift, "factor": self.factor}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Scaling:
        """The scaling that gave ``state_dict``."""
        return cls(state["shift"].clone(), state["factor"].clone())
