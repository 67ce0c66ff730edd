"""Multilayer perceptrons of N agents side by side: every layer of all agents is one batched product.

Small networks are bound by the cost of calling an operation, not by arithmetic, so N agents cost little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, Self

import torch
from torch import Tensor

Activation = Literal["relu", "silu", "tanh"]
# What needs only its result for its gradient is computed in place of the sums.
ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "relu": torch.relu_,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh_,
}


NARROW: Final = 16
"""Products with fewer columns than this are several times as fast the other way round."""


class _Narrow(torch.autograd.Function):
    """A layer with few outputs: bias (M, 1, out) + hidden (M, B, in) @ weight (M, in, out), by transposed products."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        sums = torch.baddbmm(bias.transpose(1, 2), weight.transpose(1, 2).contiguous(), hidden.transpose(1, 2))
        return sums.transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        grad = grad.contiguous()
        of_hidden, of_weight, of_bias = ctx.needs_input_grad
        back = weight.transpose(1, 2)
        return (
            (grad * back if grad.shape[-1] == 1 else torch.bmm(grad, back)) if of_hidden else None,
            torch.bmm(grad.transpose(1, 2), hidden).transpose(1, 2) if of_weight else None,
            grad.sum(dim=1, keepdim=True) if of_bias else None,
        )


class Networks:
    """N perceptrons of one shape with parameters of their own, through which M batches of inputs go.

    Weights are drawn uniformly as in Glorot and Bengio (2010, "Understanding the difficulty of training deep
    feedforward neural networks"), biases are zero.

    Attributes:
        weights: float32 (N, in, out) per layer.
        biases: float32 (N, 1, out) per layer.
        members: (M,), which network each batch of inputs goes through.
    """

    def __init__(
        self,
        count: int,
        widths: Sequence[int],
        activation: Activation,
        generator: torch.Generator,
        last_gain: float = 1.0,
        members: Sequence[int] | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            count: N.
            widths: of input, hidden layers and output.
            activation: after every layer but the last.
            generator: what the weights are drawn from.
            last_gain: factor of the last layer's weights; small values start all outputs near zero.
            members: network of each of M batches, for agents that share parameters; None: each has its own, M = N.
        """
        self._activation = ACTIVATIONS[activation]
        self.members = torch.arange(count) if members is None else torch.tensor(members)
        self._own = members is None
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            gain = last_gain if layer == len(widths) - 2 else 1.0
            bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
            draw = torch.rand(count, fan_in, fan_out, generator=generator)
            self.weights.append(((2.0 * draw - 1.0) * bound).requires_grad_())
            self.biases.append(torch.zeros(count, 1, fan_out, requires_grad=True))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs float32 (M, B, out) of inputs float32 (M, B, in)."""
        alone = len(self.weights[0]) == 1 and len(inputs) > 1
        hidden = inputs.reshape(1, -1, inputs.shape[-1]) if alone else inputs  # one large product, not M small ones
        outputs = self._rest(self._layer(hidden, 0, alone), alone)
        return outputs.reshape(*inputs.shape[:2], -1) if alone else outputs

    def after_first(self, sums: Tensor) -> Tensor:
        """Outputs float32 (M, B, out) of the first layer's sums float32 (M, B, width)."""
        return self._rest(sums, len(self.weights[0]) == 1 == len(sums))

    def _rest(self, hidden: Tensor, alone: bool) -> Tensor:
        for layer in range(1, len(self.weights)):
            hidden = self._layer(self._activation(hidden), layer, alone)
        return hidden

    def _layer(self, hidden: Tensor, layer: int, alone: bool) -> Tensor:
        weight, bias = self.weights[layer], self.biases[layer]
        if not (self._own or alone):
            weight, bias = weight[self.members], bias[self.members]
        if weight.shape[-1] < NARROW:
            narrow: Tensor = _Narrow.apply(hidden, weight, bias)  # type: ignore[no-untyped-call]
            return narrow
        return torch.baddbmm(bias, hidden, weight)

    @property
    def parameters(self) -> list[Tensor]:
        """All weights, then all biases."""
        return self.weights + self.biases

    def copy(self) -> Self:
        """The same networks with parameters of their own, which take no gradient."""
        twin = object.__new__(type(self))
        twin._activation, twin.members, twin._own = self._activation, self.members, self._own
        twin.weights = [weight.detach().clone() for weight in self.weights]
        twin.biases = [bias.detach().clone() for bias in self.biases]
        return twin

    def follow(self, leader: Networks, rate: float) -> None:
        """Move towards another's parameters: self <- (1 - rate) * self + rate * leader (Polyak averaging)."""
        followed = [parameter.detach() for parameter in leader.parameters]
        torch._foreach_lerp_(self.parameters, followed, rate)

    def differentiable(self, wanted: bool) -> None:
        """Whether parameters take gradients; switching that off saves half of a backward pass through them."""
        for parameter in self.parameters:
            parameter.requires_grad_(wanted)

    def member(self, index: int) -> list[tuple[Tensor, Tensor]]:
        """The layers that batch ``index`` goes through: weight (in, out) and bias (out,)."""
        index = int(self.members[index])
        layers = zip(self.weights, self.biases, strict=True)
        return [(weight[index].detach(), bias[index, 0].detach()) for weight, bias in layers]

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all parameters by number."""
        return {str(number): parameter.detach().clone() for number, parameter in enumerate(self.parameters)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over parameters.

        Raises:
            ValueError: another number of parameters, or another shape.
        """
        if len(state) != len(self.parameters):
            raise ValueError(f"networks: expected {len(self.parameters)} parameters, got {len(state)}")
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters):
                value = state[str(number)]
                if value.shape != parameter.shape:
                    raise ValueError(
                        f"networks[{number}]: expected shape {list(parameter.shape)}, got {list(value.shape)}"
                    )
                parameter.copy_(value)
