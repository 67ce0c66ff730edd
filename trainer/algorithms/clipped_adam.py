"""Adam with a longest gradient (Pascanu et al. 2013, arXiv:1211.5063)."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.optimiser import Adam


class ClippedAdam(Adam):
    """Adam of gradients that are cut to a longest norm, for each network by itself."""

    def __init__(self, parameters: list[Tensor], rate: float, longest: float) -> None:
        """Each parameter has one row per network."""
        super().__init__(parameters, rate)
        self._longest = longest

    def step(self, loss: Tensor, rate: float) -> None:
        """See ``Adam``."""
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        squares = torch.stack([gradient.square().flatten(1).sum(dim=1) for gradient in gradients])
        factor = (self._longest / squares.sum(dim=0).sqrt().clamp_min(1e-12)).clamp_max(1.0)
        torch._foreach_mul_(gradients, [factor.reshape(-1, *[1] * (g.dim() - 1)) for g in gradients])
        self._adam.step()
