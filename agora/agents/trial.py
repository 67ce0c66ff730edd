"""A policy's trial before it acts: legal observations in, finite and row-wise independent answers out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from agora.agents.policy import Array, Batch, Decide, Decision, Draws, Policy, Spaces
from agora.agents.sampling import Explore, Sampler
from agora.errors import Refused
from agora.randomness import generator
from agora.spaces import Leaf
from agora.v1 import policy_pb2

ROWS = 64
_MOST = 0.9
_FAR = 10.0
"""How far random values reach where a leaf has no bound."""


async def try_out(policy: Policy, spaces: Spaces, exact: bool = True) -> Decide:
    """Run a policy on random legal rows and on the bounds themselves; this also warms it up.

    Args:
        policy: what is tried.
        spaces: of the agent that it is to act for.
        exact: whether answers may not change by a bit with the rows beside them; else most must be nearly the same.

    Returns:
        The policy, bound to the spaces.

    Raises:
        Refused: the policy does not fit the spaces, its output is not finite or has a wrong shape, or a row's answer
            changes with the rows beside it.
    """
    decide, sampler = await asyncio.to_thread(policy.bind, spaces), Sampler(spaces.action)
    observation = [_legal(leaf, number) for number, leaf in enumerate(spaces.observation)]
    memory = np.zeros((ROWS, policy.memory_bytes), np.uint8)

    async def answers(rows: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> list[Array]:
        some = [values[rows] for values in observation]
        batch = Batch(some, [None] * len(spaces.action), memory[rows], Draws(0, 0, spaces.index, 0, rows))
        decision = await asyncio.to_thread(decide, batch)
        if not isinstance(decision, Decision):
            decision = await decision
        actions, log_prob = sampler.act(decision, batch, Explore(0.0, 1.0))
        after = np.zeros_like(batch.memory) if decision.memory is None else decision.memory
        if after.shape != batch.memory.shape:
            expected, got = f"{list(batch.memory.shape)} bytes", str(list(after.shape))
            raise Refused(policy_pb2.REASON_MODEL, "memory", expected, got)
        # Bytes cannot be nearly the same: what they mean is the policy's own affair.
        return [*actions, log_prob, *([after] if exact else [])]

    everything = np.arange(ROWS, dtype=np.uint32)
    _compare(await answers(everything), await answers(everything[::-1][: ROWS // 2].copy()), exact)
    return decide


def _compare(all_rows: Sequence[Array], last_half_backwards: Sequence[Array], exact: bool) -> None:
    for whole, part in zip(all_rows, last_half_backwards, strict=True):
        same = whole[::-1][: len(part)]
        if same.tobytes() != part.tobytes() and (exact or not _most_are_close(same, part)):
            expected = "answers that depend on their own row alone"
            raise Refused(policy_pb2.REASON_MODEL, "model", expected, "another answer beside other rows")


def _most_are_close(some: Array, others: Array) -> bool:
    """Nearly the same numbers; of choices, which such numbers may tip over, nearly all the same."""
    rows = np.isclose(some, others, rtol=1e-3, atol=1e-5).reshape(len(some), -1).all(axis=1)
    return bool(rows.mean() > _MOST)


def _legal(leaf: Leaf, number: int) -> Array:
    """Random legal values (ROWS, ...); the first row is the lower bound, the second the upper one."""
    shape = (ROWS, *leaf.shape)
    low = np.maximum(np.broadcast_to(leaf.low, leaf.shape).astype(np.float64), -_FAR)
    high = np.maximum(np.minimum(np.broadcast_to(leaf.high, leaf.shape).astype(np.float64), _FAR), low)
    if leaf.choices:
        low, high = (np.broadcast_to(b, leaf.shape).astype(np.float64) for b in (leaf.low, leaf.high))
    values = low + (high - low) * generator(0, number).random(shape)
    values[0], values[1] = low, high
    if leaf.dtype.kind != "f":
        return np.asarray(np.rint(values), leaf.dtype)
    return np.asarray(np.minimum(np.maximum(values.astype(leaf.dtype), leaf.low), leaf.high))
