"""Adam (Kingma and Ba 2015), with a state that is plain tensors, and a longest gradient where one is wanted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Adam:
    """Adam over fixed parameters, with PyTorch's default moments."""

    def __init__(self, parameters: list[Tensor], rate: float, longest: float | None = None) -> None:
        """Over parameters with one row per network.

        Args:
            parameters: what is optimised.
            rate: the step size.
            longest: norm to which the gradient of each network is cut (Pascanu et al. 2013, arXiv:1211.5063).
        """
        self._parameters, self._longest = parameters, longest
        self._adam = torch.optim.Adam(parameters, lr=rate, fused=True)

    def step(self, loss: Tensor, rate: float) -> None:
        """One step of size ``rate`` down the gradient of ``loss``."""
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._longest is not None:
            self._cut(self._longest)
        self._adam.step()

    def _cut(self, longest: float) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        squares = torch.stack([gradient.square().flatten(1).sum(dim=1) for gradient in gradients])
        factor = (longest / squares.sum(dim=0).sqrt().clamp_min(1e-12)).clamp_max(1.0)
        torch._foreach_mul_(gradients, [factor.reshape(-1, *[1] * (g.dim() - 1)) for g in gradients])

    def state_dict(self) -> dict[str, Tensor]:
        """Steps taken and moments per parameter; empty before the first step."""
        state = self._adam.state
        return {
            f"{number}_{name}": value.clone()
            for number, parameter in enumerate(self._parameters)
            for name, value in state.get(parameter, {}).items()
        }

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self._adam.state.clear()
        for key, value in saved.items():
            number, _, name = key.partition("_")
            self._adam.state[self._parameters[int(number)]][name] = value.clone()
