"""What a stochastic policy's outputs mean: choices, or Gaussians that are clipped to their bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainer.algorithms.game import Floats, Game
from trainer.algorithms.losses.ppo import clipped_gaussian_log_prob, entropy_of_choices, entropy_of_gaussian
from trainer.algorithms.relaxation import masked

TINY = float(np.finfo(np.float32).tiny)


class Distribution(Protocol):
    """The actions of N agents as draws, given their networks' outputs (N, R, A)."""

    parameters: list[Tensor]
    """What is learned beside the networks, one row per network."""

    def sample(self, outputs: Tensor, draws: np.random.Generator) -> Tensor:
        """Actions (N, R, A) as in ``Trajectories``, as agent services draw them."""
        ...

    def greedy(self, outputs: Tensor) -> Tensor:
        """The most likely choices, or means within their bounds."""
        ...

    def log_prob(self, outputs: Tensor, actions: Tensor, legal: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-probabilities of actions (N, R, A), of which ``legal`` ones were possible, and entropies; both (N, R)."""
        ...

    def log_std(self, agent: int) -> Floats | None:
        """Of an agent's Gaussian, (size of its action,), in the action's units; None for choices."""
        ...


def distribution(game: Game, members: Sequence[int], std: float) -> Distribution:
    """What fits a game that ``misfit`` has nothing against.

    Args:
        game: the game.
        members: number of each agent's network.
        std: a Gaussian's standard deviation at first, as a share of the bounds; in the action's units without bounds.
    """
    return Choices(game) if game.discrete else Gaussians(game, members, std)


def misfit(game: Game) -> str | None:
    """Why no distribution fits a game, as "expected X, got Y"; None if one does."""
    if not (game.discrete or game.continuous):
        return "expected actions of one kind, got boxes and choices"
    whole = [agent for agent, leaf in zip(game.agents, game.action, strict=True) if leaf.dtype.kind != "f"]
    if game.continuous and whole:
        return f"expected boxes of real numbers, got whole ones from {', '.join(whole)}"
    return None


class Choices:
    """One or several choices per agent, each drawn from a softmax over its legal logits."""

    def __init__(self, game: Game) -> None:
        """Lay out the parts (N, P, C) of all agents' actions, padded to the most and the widest."""
        self.parameters: list[Tensor] = []
        self._parts = max(len(choices) for choices in game.choices)
        widest = max(max(choices) for choices in game.choices)
        columns = np.full((game.size, self._parts, widest), game.action_width)
        for i, choices in enumerate(game.choices):
            starts = np.cumsum([0, *choices[:-1]])
            for part, (start, count) in enumerate(zip(starts, choices, strict=True)):
                columns[i, part, :count] = np.arange(start, start + count)
        self._columns = torch.from_numpy(columns.reshape(game.size, 1, -1))
        self._width = game.action_width
        self._real = torch.from_numpy((columns < game.action_width).astype(np.float32)[:, None])
        self._straight = bool(self._real.all())

    def _spread(self, values: Tensor) -> Tensor:
        """Numbers (N, R, A) as parts (N, R, P, C); 0 in padding."""
        if not self._straight:
            values = torch.nn.functional.pad(values, (0, 1))
            values = values.gather(2, self._columns.expand(-1, values.shape[1], -1))
        return values.reshape(*values.shape[:2], self._parts, -1)

    def _gather(self, parts: Tensor) -> Tensor:
        """The inverse of ``_spread``."""
        flat = parts.flatten(2)
        if self._straight:
            return flat
        n, rows, _ = flat.shape
        padded = flat.new_zeros(n, rows, self._width + 1)
        return padded.scatter_(2, self._columns.expand(-1, rows, -1), flat)[..., : self._width]

    def log_probs(self, outputs: Tensor, legal: Tensor | None) -> Tensor:
        """Of all choices, (N, R, P, C); far below all others where one is illegal or padding."""
        scores = self._spread(outputs)
        if not (self._straight and legal is None):
            scores = masked(scores, self._real if legal is None else self._real * self._spread(legal))
        # Over neighbours in memory a softmax of few choices is ten times slower.
        return scores.movedim(-1, 0).contiguous().log_softmax(dim=0).movedim(0, -1)

    def sample(self, outputs: Tensor, draws: np.random.Generator) -> Tensor:
        """See ``Distribution``; the most likely choice after Gumbel noise is a draw from the softmax."""
        log_probs = self.log_probs(outputs, None)
        uniform = torch.from_numpy(draws.random(log_probs.shape, np.float32)).clamp_min_(TINY)
        return self._chosen(log_probs - torch.log(-torch.log(uniform)))

    def greedy(self, outputs: Tensor) -> Tensor:
        """See ``Distribution``."""
        return self._chosen(self.log_probs(outputs, None))

    def _chosen(self, scores: Tensor) -> Tensor:
        best = torch.zeros_like(scores).scatter_(-1, scores.argmax(dim=-1, keepdim=True), 1.0)
        return self._gather(best)

    def log_prob(self, outputs: Tensor, actions: Tensor, legal: Tensor | None) -> tuple[Tensor, Tensor]:
        """See ``Distribution``."""
        log_probs = self.log_probs(outputs, legal)
        exists = self._real[..., 0]  # every part has a first choice
        entropy = (entropy_of_choices(log_probs) * exists).sum(dim=-1)
        return (log_probs * self._spread(actions)).sum(dim=(-2, -1)), entropy

    def log_std(self, agent: int) -> None:
        """See ``Distribution``."""


class Gaussians:
    """Independent Gaussians whose spread does not depend on what is seen; draws are clipped to the bounds."""

    def __init__(self, game: Game, members: Sequence[int], std: float) -> None:
        """See ``distribution``."""
        self._low, self._high = (torch.from_numpy(bound)[:, None] for bound in (game.low, game.high))
        self._bounded = game.bounded
        self._counts = torch.from_numpy(game.real)[:, None] & (self._high > self._low)
        self._width = torch.where(self._counts & game.bounded, self._high - self._low, 1.0)
        self._sizes, self._members = game.action_widths, torch.tensor(members)
        self._spread = torch.full((max(members) + 1, 1, game.action_width), math.log(std), requires_grad=True)
        self.parameters = [self._spread]

    def _mean(self, outputs: Tensor) -> Tensor:
        return torch.addcmul(self._low, self._width, torch.sigmoid(outputs)) if self._bounded else outputs

    @property
    def _log_std(self) -> Tensor:
        """(N, 1, A), in the actions' units."""
        return self._spread[self._members] + self._width.log()

    def sample(self, outputs: Tensor, draws: np.random.Generator) -> Tensor:
        """See ``Distribution``."""
        noise = torch.from_numpy(draws.standard_normal(outputs.shape, np.float32))
        return self._clipped(torch.addcmul(self._mean(outputs), self._log_std.exp(), noise))

    def greedy(self, outputs: Tensor) -> Tensor:
        """See ``Distribution``."""
        return self._clipped(self._mean(outputs))

    def _clipped(self, values: Tensor) -> Tensor:
        return torch.clamp(values, self._low, self._high)

    def log_prob(self, outputs: Tensor, actions: Tensor, legal: Tensor | None) -> tuple[Tensor, Tensor]:
        """See ``Distribution``; nothing is illegal. Entropies are those before clipping."""
        log_std = self._log_std
        each = clipped_gaussian_log_prob(actions, self._mean(outputs), log_std, self._low, self._high)
        entropy = (entropy_of_gaussian(log_std) * self._counts).sum(dim=-1)
        return torch.where(self._counts, each, 0.0).sum(dim=-1), entropy.expand(actions.shape[:2])

    def log_std(self, agent: int) -> Floats:
        """See ``Distribution``."""
        return self._log_std[agent, 0, : self._sizes[agent]].detach().numpy().copy()
