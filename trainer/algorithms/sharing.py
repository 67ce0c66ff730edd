"""Which agents share networks, and in what order each agent's critic reads all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.algorithms.game import Game


def members_of(game: Game, share: bool | None) -> list[int]:
    """The number of each agent's network, (N,).

    Args:
        game: whose agents.
        share: whether agents with equal spaces share a network; None: if there are such agents.

    Raises:
        ValueError: agents shall share, but no two have equal spaces.
    """
    groups = game.alike()
    if share is False:
        return list(range(game.size))
    if share and len(groups) == game.size > 1:
        raise ValueError(f"share: expected agents with equal spaces, got {', '.join(game.agents)} with different ones")
    return [number for agent in range(game.size) for number, group in enumerate(groups) if agent in group]


def own_first(members: list[int]) -> Tensor:
    """For each agent the order in which its critic reads all agents, int64 (N, N).

    An agent that shares its critic comes first, then those it shares it with, then the others, so that the same input
    means the same to all who share. Agents with critics of their own read all in one order.
    """
    n = len(members)
    if len(set(members)) == n:
        return torch.arange(n).expand(n, n)
    orders = []
    for agent in range(n):
        around = [(agent + k) % n for k in range(n)]
        orders.append(sorted(around, key=lambda other: (other != agent, members[other] != members[agent])))
    return torch.tensor(orders)
