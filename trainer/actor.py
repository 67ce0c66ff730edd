"""A trained policy on its way out: dense layers, and what their outputs mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from agora.agents.policy import choices_of
from agora.spaces import Leaf
from trainer.networks import Activation

Floats = NDArray[np.float32]
Layers = Sequence[tuple[Floats, Floats]]

Doubles = NDArray[np.float64]

ACTIVATIONS: Final[Mapping[Activation, Callable[[Doubles], Doubles]]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * expit(x),
    "tanh": np.tanh,
}


@dataclass(frozen=True)
class Actor:
    """One agent's policy.

    Attributes:
        observation: leaves of the observation, read side by side.
        action: the action's one leaf.
        layers: weights (in, out) and biases (out,), in order.
        activation: after every layer but the last.
        bounded: whether outputs go through a sigmoid onto the action's bounds; else they are the mean itself. Choices'
            outputs are logits.
        log_std: of a Gaussian policy, (size of the action,), in the action's own units; None if it has no spread.
    """

    observation: tuple[Leaf, ...]
    action: Leaf
    layers: Layers
    activation: Activation
    bounded: bool = False
    log_std: Floats | None = None

    @property
    def output(self) -> str:
        """What comes out: "logits" of choices, or the "mean" of a box."""
        return "logits" if choices_of(self.action) else "mean"

    @property
    def low(self) -> Floats:
        """A box's lower bounds, (size,)."""
        return np.broadcast_to(self.action.low, self.action.shape).astype(np.float32).ravel()

    @property
    def width(self) -> Floats:
        """A box's upper bounds less its lower ones, (size,)."""
        return np.broadcast_to(self.action.high, self.action.shape).astype(np.float32).ravel() - self.low

    def __call__(self, seen: Mapping[str, NDArray[Any]]) -> Doubles:
        """Outputs (K, size) at observation leaves (K, ...), in double precision: what an export is checked against."""
        rows = len(next(iter(seen.values())))
        parts = [seen[leaf.path].reshape(rows, -1) for leaf in self.observation]
        values: Doubles = np.concatenate(parts, axis=1).astype(np.float64)
        for number, (weight, bias) in enumerate(self.layers):
            values = values @ weight.astype(np.float64) + bias
            if number < len(self.layers) - 1:
                values = ACTIVATIONS[self.activation](values)
        outputs: Doubles = self.low + self.width * expit(values) if self.bounded else values
        return outputs
