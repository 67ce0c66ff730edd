"""From distribution parameters to actions: greedy, or explored with draws that batching and replicas do not change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import (
    Array,
    Batch,
    Categorical,
    Chosen,
    Decision,
    Floats,
    Head,
    Normal,
    choices_of,
    is_bounded,
    output_width,
)
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

_HALF_LOG_TWO_PI = np.float32(0.5 * math.log(2.0 * math.pi))
_TINY = np.float32(np.finfo(np.float32).tiny)


@dataclass(slots=True)
class Explore:
    """How rows depart from their greedy action.

    Attributes:
        noise_scale: standard deviation of Gaussian noise as a share of the width of a Box leaf's bounds.
        temperature: of the softmax over logits.
        epsilon: if positive, share of choices drawn uniformly among the legal ones; the others are greedy.
        rows: bool (n,), which rows explore; None means all.
    """

    noise_scale: float
    temperature: float
    epsilon: float = 0.0
    rows: NDArray[np.bool_] | None = None


class Sampler:
    """Draws the actions of one agent."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = [_BoxLeaf(i, x) if not choices_of(x) else _ChoiceLeaf(i, x) for i, x in enumerate(leaves)]

    def act(self, decision: Decision, batch: Batch, explore: Explore | None) -> tuple[list[Array], Floats]:
        """Actions of all rows.

        Returns:
            The action's leaves, each of its dtype (n, ...), and the log-probability float32 (n,), 0 where greedy.

        Raises:
            Refused: the policy's output is not finite or has a wrong shape, or noise was asked for on a leaf without
                bounds.
        """
        total = np.zeros(batch.rows, np.float32)
        actions = []
        for leaf, head in zip(self._leaves, decision.heads, strict=True):
            action, log_prob = leaf.act(head, batch, explore)
            actions.append(action)
            if log_prob is not None:
                total += log_prob
        if explore is not None and explore.rows is not None:
            total[~explore.rows] = 0.0
        return actions, total


class _BoxLeaf:
    def __init__(self, number: int, leaf: Leaf) -> None:
        self.number, self.leaf = number, leaf
        self.size = output_width(leaf)
        self.low, self.high = leaf.low, leaf.high
        self.bounded = is_bounded(leaf)
        low, high = (np.broadcast_to(b, leaf.shape).ravel().astype(np.float64) for b in (leaf.low, leaf.high))
        self.span = (high - low).astype(np.float32) if self.bounded else np.zeros(self.size, np.float32)
        self.is_float = leaf.dtype.kind == "f"

    def act(self, head: Head, batch: Batch, explore: Explore | None) -> tuple[Array, Floats | None]:
        """Action (n, ...) and log-probability (n,), None where all rows are greedy."""
        if isinstance(head, Chosen):
            return head.action, None
        if not isinstance(head, Normal):
            raise _bad_output("mean", "a Gaussian for a Box leaf", type(head).__name__)
        mean = _checked(head.mean, "mean", batch.rows, self.size)
        log_prob = None
        if explore is not None:
            std = self._std(head, batch.rows, explore)
            if std is not None:
                mean, log_prob = self._add_noise(mean, std, batch, explore)
        values = mean.reshape(batch.rows, *self.leaf.shape)
        if not self.is_float:
            values = np.rint(values)
            return self._whole(values), log_prob
        clipped = np.minimum(np.maximum(values, self.low), self.high)
        return np.ascontiguousarray(clipped, self.leaf.dtype), log_prob

    def _whole(self, values: Floats) -> Array:
        """Values at or beyond a bound are the bound itself, which single precision may not hold."""
        low, high = (np.broadcast_to(bound, values.shape) for bound in (self.low, self.high))
        outside = (values <= low) | (values >= high)
        cast = np.where(outside, np.float32(0), values).astype(self.leaf.dtype)
        return np.ascontiguousarray(np.where(outside, np.where(values <= low, low, high), cast), self.leaf.dtype)

    def _std(self, head: Normal, rows: int, explore: Explore) -> Floats | None:
        noise = np.float32(explore.noise_scale)
        if noise > 0 and not self.bounded:
            expected = f"0: action leaf {self.leaf.path!r} has no finite bounds"
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "exploration.noise_scale", expected, str(noise))
        if head.log_std is None:
            return noise * self.span if noise > 0 else None
        own: Floats = np.exp(_checked(head.log_std, "log_std", rows, self.size))
        if not noise > 0:
            return own
        added = noise * self.span
        total: Floats = np.sqrt(own * own + added * added)
        return total

    def _add_noise(self, mean: Floats, std: Floats, batch: Batch, explore: Explore) -> tuple[Floats, Floats]:
        """Noisy values and the Gaussian's log-density at them, before they are clipped to the bounds."""
        normal = batch.draws.normal(self.number, self.size)
        noisy = mean + std * normal
        if explore.rows is not None:
            noisy = np.where(explore.rows[:, None], noisy, mean)
        mask = batch.masks[self.number]
        certain = std <= 0  # an element without room (low = high)
        if mask is None and not certain.any():
            squares: Floats = np.einsum("ij,ij->i", normal, normal)
            return noisy, np.float32(-0.5) * squares - (np.log(std) + _HALF_LOG_TWO_PI).sum(axis=-1, dtype=np.float32)
        density = np.float32(-0.5) * normal * normal - np.log(np.where(certain, 1.0, std)) - _HALF_LOG_TWO_PI
        ignored = certain if mask is None else certain | (mask.reshape(batch.rows, self.size) == 0)
        return noisy, np.where(ignored, np.float32(0.0), density).sum(axis=1, dtype=np.float32)


class _ChoiceLeaf:
    def __init__(self, number: int, leaf: Leaf) -> None:
        self.number, self.leaf = number, leaf
        self.choices = choices_of(leaf)
        self.size = sum(self.choices)
        ends = np.cumsum(self.choices).tolist()
        self.parts = [slice(end - count, end) for end, count in zip(ends, self.choices, strict=True)]
        self.start = leaf.low if leaf.dtype == np.int64 else np.int8(0)

    def act(self, head: Head, batch: Batch, explore: Explore | None) -> tuple[Array, Floats | None]:
        """Action (n, ...) and log-probability (n,), None where all rows are greedy."""
        if isinstance(head, Chosen):
            return head.action, None
        if not isinstance(head, Categorical):
            raise _bad_output("logits", "logits for a leaf of choices", type(head).__name__)
        logits = _checked(head.logits, "logits", batch.rows, self.size)
        mask = batch.masks[self.number]
        if mask is not None:
            logits = np.where(mask.reshape(batch.rows, self.size) != 0, logits, np.float32(-np.inf))
        picked = np.empty((batch.rows, len(self.parts)), np.int64)
        if explore is None:
            for i, part in enumerate(self.parts):
                picked[:, i] = logits[:, part].argmax(axis=1)
            return self._action(picked), None
        return self._explore(logits, picked, batch, explore)

    def _soft(self, logits: Floats, explore: Explore) -> Floats:
        """Logits of the distribution that choices are drawn from."""
        if not explore.epsilon > 0:
            tempered: Floats = logits / np.float32(explore.temperature or 1.0)
            return tempered
        mixed = np.empty_like(logits)
        for part in self.parts:
            legal = np.isfinite(logits[:, part])
            odds = explore.epsilon * legal / legal.sum(axis=1, keepdims=True)
            np.put_along_axis(
                odds,
                logits[:, part].argmax(axis=1)[:, None],
                (1.0 - explore.epsilon) + explore.epsilon / legal.sum(axis=1, keepdims=True),
                axis=1,
            )
            with np.errstate(divide="ignore"):  # what is not legal has no odds
                mixed[:, part] = np.log(odds)
        return mixed

    def _explore(
        self, logits: Floats, picked: NDArray[np.int64], batch: Batch, explore: Explore
    ) -> tuple[Array, Floats]:
        """Gumbel-max: the argmax of logits plus Gumbel noise is a draw from their softmax."""
        scaled = self._soft(logits, explore)
        uniform = np.maximum(batch.draws.uniform(self.number, self.size), _TINY)
        noisy = scaled - np.log(-np.log(uniform))
        if explore.rows is not None:
            noisy = np.where(explore.rows[:, None], noisy, scaled)
        log_prob = np.zeros(batch.rows, np.float32)
        for i, part in enumerate(self.parts):
            picked[:, i] = noisy[:, part].argmax(axis=1)
            here = np.ascontiguousarray(scaled[:, part])
            here = here - here.max(axis=1, keepdims=True)
            chosen = np.take_along_axis(here, picked[:, i : i + 1], axis=1)[:, 0]
            log_prob += chosen - np.log(np.exp(here).sum(axis=1))
        return self._action(picked), log_prob

    def _action(self, picked: NDArray[np.int64]) -> Array:
        shifted = picked.reshape(len(picked), *self.leaf.shape) + self.start
        return np.ascontiguousarray(shifted, self.leaf.dtype)


def _checked(values: Any, name: str, rows: int, width: int) -> Floats:
    if not isinstance(values, np.ndarray) or values.shape != (rows, width) or values.dtype != np.float32:
        got = f"{getattr(values, 'dtype', type(values).__name__)} {list(getattr(values, 'shape', ()))}"
        raise _bad_output(name, f"float32 {[rows, width]}", got)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise _bad_output(name, "finite numbers", f"{values[row].tolist()} in row {row}")
    return values


def _bad_output(name: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, f"model.outputs.{name}", expected, got)
