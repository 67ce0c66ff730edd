"""Adam (Kingma and Ba 2015), with a state that is plain tensors, and a longest gradient where one is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor
from torch.optim.adam import adam

FIRST: Final = 0.9
SECOND: Final = 0.999
EPSILON: Final = 1e-8
"""PyTorch's defaults."""


class Adam:
    """Adam over fixed parameters, with PyTorch's default moments."""

    def __init__(self, parameters: list[Tensor], longest: float | None = None) -> None:
        """Over parameters with one row per network.

        Args:
            parameters: what is optimised.
            longest: norm to which the gradient of each network is cut (Pascanu et al. 2013, arXiv:1211.5063).
        """
        self._parameters, self._longest = parameters, longest
        self._moments: dict[int, dict[str, Tensor]] = {}

    def step(self, loss: Tensor, rate: float) -> None:
        """One step of size ``rate`` down the gradient of ``loss``."""
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self._longest is not None:
            self._cut(self._longest)
        self._descend(rate)

    @torch.no_grad()
    def _descend(self, rate: float) -> None:
        """The update itself, without what ``torch.optim.Adam.step`` has around it: a twelfth of a learner's time."""
        moved = [number for number, parameter in enumerate(self._parameters) if parameter.grad is not None]
        for number in moved:
            if number not in self._moments:
                self._moments[number] = _fresh(self._parameters[number])
        state = [self._moments[number] for number in moved]
        adam(
            [self._parameters[number] for number in moved],
            [gradient for number in moved if (gradient := self._parameters[number].grad) is not None],
            [of["exp_avg"] for of in state],
            [of["exp_avg_sq"] for of in state],
            [],
            [of["step"] for of in state],
            fused=True,
            amsgrad=False,
            beta1=FIRST,
            beta2=SECOND,
            lr=rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def _cut(self, longest: float) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        squares = torch.stack([gradient.square().flatten(1).sum(dim=1) for gradient in gradients])
        factor = (longest / squares.sum(dim=0).sqrt().clamp_min(1e-12)).clamp_max(1.0)
        torch._foreach_mul_(gradients, [factor.reshape(-1, *[1] * (g.dim() - 1)) for g in gradients])

    def state_dict(self) -> dict[str, Tensor]:
        """Steps taken and moments per parameter; empty before the first step."""
        return {
            f"{number}_{name}": value.clone()
            for number, moments in sorted(self._moments.items())
            for name, value in moments.items()
        }

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self._moments = {}
        for key, value in saved.items():
            number, _, name = key.partition("_")
            self._moments.setdefault(int(number), {})[name] = value.clone()


def _fresh(parameter: Tensor) -> dict[str, Tensor]:
    """Steps taken and moments, as PyTorch's Adam has them."""
    return {
        "step": torch.zeros((), dtype=torch.float32),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }
