"""The policies that networks of all agents stand for, one by one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from trainer.actor import Actor, Layers
from trainer.algorithms.game import Floats, Game
from trainer.networks import Activation, Networks


def actors_of(
    game: Game, networks: Networks, activation: Activation, log_std: Sequence[Floats | None] | None = None
) -> list[Actor]:
    """Each agent's policy; padding is cut off.

    Args:
        game: whose agents.
        networks: from observations to actions: through a sigmoid for boxes with bounds, logits for choices.
        activation: of the networks.
        log_std: of each agent's Gaussian; None: there is no spread.
    """
    return [
        Actor(
            observation=game.observation[i],
            action=game.action[i],
            layers=_cut(networks.member(i), game.observation_widths[i], game.action_widths[i]),
            activation=activation,
            bounded=game.continuous and game.bounded,
            log_std=None if log_std is None else log_std[i],
        )
        for i in range(game.size)
    ]


def _cut(layers: Sequence[tuple[Tensor, Tensor]], inputs: int, outputs: int) -> Layers:
    """Layers with the first ``inputs`` and ``outputs`` only."""
    found = [(weight.numpy(), bias.numpy()) for weight, bias in layers]
    found[0] = (found[0][0][:inputs], found[0][1])
    weight, bias = found[-1]
    found[-1] = (weight[:, :outputs], bias[:outputs])
    return found
