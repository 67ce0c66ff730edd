"""Is everything that was learned a finite number? NaN comes back after every resume, so that a run with one must end.

A gradient that is not finite spoils all parameters of its networks at once, and what acts, is published or is resumed
from afterwards is worth nothing. So the last good checkpoint and the last good policies stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from agora.errors import Failed
from trainer.actor import Actor

SHOWN: Final = 6
"""Faults that are told one by one."""


def require(round_number: int, faults: Sequence[str]) -> None:
    """End the run if there are faults.

    Raises:
        Failed: there are; the text names the round and the first ones.
    """
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        told = "; ".join([*faults[:SHOWN], *more])
        hint = "smaller step sizes, or rewards and observations nearer to 1, may help"
        raise Failed(f"round {round_number}: expected finite numbers, got {told} ({hint})")


def loss_faults(losses: Mapping[str, float]) -> list[str]:
    """Losses that are not finite."""
    return [f"{value} for the loss of the {name}" for name, value in losses.items() if not math.isfinite(value)]


def actor_faults(agents: Sequence[str], actors: Sequence[Actor]) -> list[str]:
    """Agents with a policy whose parameters are not all finite."""
    found = []
    for agent, actor in zip(agents, actors, strict=True):
        arrays = [array for layer in actor.layers for array in layer]
        arrays += [] if actor.log_std is None else [actor.log_std]
        broken = sum(int((~np.isfinite(array)).sum()) for array in arrays)
        if broken:
            found.append(
                f"{broken} of {sum(array.size for array in arrays)} parameters of {agent}'s policy that are not"
            )
    return found


def tensor_faults(state: Mapping[str, Any], path: str = "") -> list[str]:
    """Tensors of a nested state that are not finite, by their path."""
    found = []
    for name, value in state.items():
        if isinstance(value, Mapping):
            found += tensor_faults(value, f"{path}{name}/")
        elif isinstance(value, torch.Tensor) and value.is_floating_point() and not torch.isfinite(value).all():
            found.append(
                f"learner/{path}{name} with {int((~torch.isfinite(value)).sum())} of {value.numel()} that are not"
            )
    return found
