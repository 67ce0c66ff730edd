"""What every transition must look like."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from agora.codec import from_tensor
from agora.conformance.case import expect, expect_equal
from agora.conformance.env.subject import Server
from agora.conformance.values import choices, expect_leaves
from agora.spaces import Leaf
from agora.v1 import environment_pb2 as pb, tensor_pb2

FLAGS = ("terminated", "truncated", "awaited", "alive")


def expect_flags(shown: pb.Transition, copies: int, agents: int) -> None:
    """Fail unless rewards are float64 (B, N) and finite, and the flags are bool (B, N).

    Raises:
        Failed: they are not.
    """
    rewards = from_tensor(shown.rewards, "rewards")
    expect_equal((rewards.dtype.name, rewards.shape), ("float64", (copies, agents)), "rewards:")
    expect(bool(np.isfinite(rewards).all()), "finite rewards", rewards.tolist())
    for name in FLAGS:
        array = from_tensor(getattr(shown, name), name)
        expect_equal((array.dtype.name, array.shape), ("bool", (copies, agents)), f"{name}:")


def expect_views(server: Server, shown: pb.Transition, copies: int, played: Collection[int] = ()) -> None:
    """Fail unless all observations and the state are values of their spaces, and played agents show nothing.

    Raises:
        Failed: something is missing, or there is too much.
        Refused: a leaf has a wrong dtype, shape or bounds.
    """
    expect_equal(len(shown.agents), len(server.pairs), "agents shown:")
    for index, (view, pair) in enumerate(zip(shown.agents, server.pairs, strict=True)):
        if index in played:
            expect(not view.observation and not view.action_mask, f"nothing of played agent {index}", "its view")
            continue
        expect_leaves(view.observation, pair.seen, copies, f"agents[{index}].observation")
        if view.action_mask:
            expect_equal(len(view.action_mask), len(pair.done), f"agents[{index}]: masks:")
            for number, (mask, leaf) in enumerate(zip(view.action_mask, pair.done, strict=True)):
                _expect_mask(mask, leaf, copies, f"agents[{index}].action_mask[{number}]")
    expect_leaves(shown.state, server.state, copies, "state")


def _expect_mask(tensor: tensor_pb2.Tensor, leaf: Leaf, copies: int, field: str) -> None:
    if not tensor.data and tensor.data_type == tensor_pb2.DATA_TYPE_UNSPECIFIED:
        return  # no restriction
    mask = from_tensor(tensor, field)
    shape = (copies, sum(choices(leaf))) if choices(leaf) else (copies, *leaf.shape)
    expect_equal((mask.dtype.name, mask.shape), ("uint8", shape), f"{field}:")


def expect_consistent(shown: pb.Transition) -> None:
    """Fail unless whoever is awaited takes part, and nobody whose part ended is awaited.

    Raises:
        Failed: it is otherwise.
    """
    flags = {name: from_tensor(getattr(shown, name), name) for name in FLAGS}
    expect(not (flags["awaited"] & ~flags["alive"]).any(), "awaited agents to be alive", "one that is not")
    ended = flags["terminated"] | flags["truncated"]
    expect(not (ended & flags["awaited"]).any(), "nobody awaited whose part ended", "one who is")
