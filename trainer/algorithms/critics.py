"""Critics of N agents at once, and how each sees what its agent would gain by another action."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.algorithms.deterministic_config import DeterministicConfig
from trainer.algorithms.game import Game
from trainer.algorithms.sharing import own_first
from trainer.networks import Networks


class Critics(Protocol):
    """Critics Q_i of N agents.

    Attributes:
        networks: being trained.
    """

    networks: Networks

    def __init__(self, game: Game, members: list[int], config: DeterministicConfig, draws: torch.Generator) -> None: ...

    def values(self, networks: Networks, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """Values (N, B).

        Args:
            networks: ``self.networks``, or those that follow them.
            observations: (B, N, O).
            actions: (B, N, A).
            state: (B, S).
        """
        ...

    def values_of_own(self, own: Tensor, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """Values (N, B) where each agent plays its row of ``own`` (N, B, A) and the others as in ``actions``."""
        ...


class JointCritics:
    """Critics Q_i(x, a_1, ..., a_N) with x all observations, and the global state where that is wanted.

    All read the same numbers. Those that share parameters read them in an order of their own, own first, which is the
    same as reading all in one order with rows of the first layer's weights exchanged. So the first layer of all critics
    is one product, and an own action that differs from the one in the input only adds its difference to it.
    """

    def __init__(self, game: Game, members: list[int], config: DeterministicConfig, draws: torch.Generator) -> None:
        n, seen, done = game.size, game.observation_width, game.action_width
        width = n * (seen + done) + (game.state_width if config.state else 0)
        self.networks = _networks(width, members, config, draws)
        self._rows = _rows(own_first(members), seen, done, width)
        self._members, self._agents = self.networks.members[:, None], torch.arange(n)[:, None]
        self._own = torch.stack([n * seen + i * done + torch.arange(done) for i in range(n)])

    def values(self, networks: Networks, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """See ``Critics``."""
        joint = torch.cat([observations.flatten(1), actions.flatten(1), state], dim=1)
        return networks.after_first(self._first(networks, joint)).squeeze(-1)

    def values_of_own(self, own: Tensor, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """See ``Critics``."""
        joint = torch.cat([observations.flatten(1), actions.flatten(1), state], dim=1)
        weight = self._weight(self.networks)
        mine = weight[self._agents, self._own]
        first = torch.baddbmm(self._first(self.networks, joint), own - actions.transpose(0, 1), mine)
        return self.networks.after_first(first).squeeze(-1)

    def _weight(self, networks: Networks) -> Tensor:
        """The first layer's weights (N, in, H) of all critics, for inputs in one order."""
        return networks.weights[0][self._members, self._rows]

    def _first(self, networks: Networks, joint: Tensor) -> Tensor:
        """The first layer's sums (N, B, H) of inputs (B, in)."""
        weight = self._weight(networks)
        n, width, hidden = weight.shape
        bias = networks.biases[0][networks.members].reshape(1, n * hidden)
        sums = torch.addmm(bias, joint, weight.transpose(0, 1).reshape(width, n * hidden))
        return sums.view(-1, n, hidden).transpose(0, 1)


class OwnCritics:
    """Critics Q_i(o_i, a_i), which know nothing of other agents."""

    def __init__(self, game: Game, members: list[int], config: DeterministicConfig, draws: torch.Generator) -> None:
        if config.state:
            raise ValueError("state: expected false for critics of a single agent's observation, got true")
        width = game.observation_width + game.action_width
        self.networks = _networks(width, members, config, draws)

    def values(self, networks: Networks, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """See ``Critics``."""
        return networks(torch.cat([observations, actions], dim=2).transpose(0, 1)).squeeze(-1)

    def values_of_own(self, own: Tensor, observations: Tensor, actions: Tensor, state: Tensor) -> Tensor:
        """See ``Critics``."""
        return self.values(self.networks, observations, own.transpose(0, 1), state)


def _networks(width: int, members: list[int], config: DeterministicConfig, draws: torch.Generator) -> Networks:
    widths = (width, *config.critic_hidden, 1)
    return Networks(len(set(members)), widths, config.activation, draws, members=members)


def _rows(order: Tensor, seen: int, done: int, width: int) -> Tensor:
    """For each agent the row of the weights that reads each input, int64 (N, width).

    Args:
        order: (N, N), in which the weights of agent i expect all agents.
        seen: O.
        done: A.
        width: of the whole input; what follows observations and actions is the same for all.
    """
    n = len(order)
    place = order.argsort(dim=1)  # where the weights of agent i expect agent j
    observed = place[:, :, None] * seen + torch.arange(seen)
    acted = n * seen + place[:, :, None] * done + torch.arange(done)
    rest = torch.arange(n * (seen + done), width).expand(n, -1)
    return torch.cat([observed.flatten(1), acted.flatten(1), rest], dim=1)
