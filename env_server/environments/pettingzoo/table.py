"""The table in which a process's copies reach the server through shared memory: what its arrays are."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from agora.spaces import Space, leaves
from env_server.environments.pettingzoo.blueprint import Blueprint, space_of

FLAGS = ("terminated", "truncated", "awaited", "alive")


def seen_key(agent: int, path: str) -> str:
    """Name of a leaf of an agent's observation."""
    return f"observation.{agent}.{path}"


def mask_key(agent: int) -> str:
    """Name of an agent's mask."""
    return f"mask.{agent}"


def state_key(path: str) -> str:
    """Name of a leaf of the global state."""
    return f"state.{path}"


def choices_of(blueprint: Blueprint) -> dict[int, tuple[int, ...]]:
    """Per agent that has a mask, the numbers of its choices."""
    actions = [leaves(space_of(message))[0].choices for message in blueprint.action_spaces]
    return {i: actions[i] for i, masked in enumerate(blueprint.masked) if masked}


def table_space(blueprint: Blueprint, rows: int) -> spaces.Dict:
    """The table of ``rows`` copies as a space: its arrays are (rows, ...)."""
    agents = len(blueprint.agents)
    table: dict[str, Space] = {key: _box(np.dtype(np.uint8), (rows, agents)) for key in FLAGS}
    table["failed"] = _box(np.dtype(np.uint8), (rows,))
    table["reward"] = _box(np.dtype(np.float64), (rows, agents))
    for i, message in enumerate(blueprint.observation_spaces):
        table |= {seen_key(i, leaf.path): _box(leaf.dtype, (rows, *leaf.shape)) for leaf in leaves(space_of(message))}
    for i, choices in choices_of(blueprint).items():
        table[mask_key(i)] = _box(np.dtype(np.uint8), (rows, sum(choices)))
    if blueprint.state_space is not None:
        state = leaves(space_of(blueprint.state_space))
        table |= {state_key(leaf.path): _box(leaf.dtype, (rows, *leaf.shape)) for leaf in state}
    return spaces.Dict(table)


def actions_space(blueprint: Blueprint, rows: int) -> spaces.Dict:
    """The actions for ``rows`` copies as a space: per agent its leaves, (rows, ...)."""
    return spaces.Dict(
        {
            f"{i}.{leaf.path}": _box(leaf.dtype, (rows, *leaf.shape))
            for i, message in enumerate(blueprint.action_spaces)
            for leaf in leaves(space_of(message))
        }
    )


def _box(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Space:
    if dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, dtype.type)
    if dtype.kind == "b":
        return spaces.Box(0, 1, shape, dtype.type)
    limits = np.iinfo(dtype)
    return spaces.Box(limits.min, limits.max, shape, dtype.type)
