"""Adam (Kingma and Ba 2015), with a state that is plain tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Adam:
    """Adam over fixed parameters, with PyTorch's default moments."""

    def __init__(self, parameters: list[Tensor], rate: float) -> None:
        self._parameters = parameters
        self._adam = torch.optim.Adam(parameters, lr=rate, fused=True)

    def step(self, loss: Tensor, rate: float) -> None:
        """One step of size ``rate`` down the gradient of ``loss``."""
        self._adam.param_groups[0]["lr"] = rate
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()

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
