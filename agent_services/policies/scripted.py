"""Policies that are written, not learned. Prices are in the action's own units, bounds included.

===============  ======================================================================================
``fixed_price``  ``price`` (default: the middle of the bounds), always
``cost_plus``    ``cost`` × (1 + ``markup``), clipped to the bounds
``undercut``     the cheapest rival's last price minus ``step`` (default 0.01), period by period
``random``       uniform in the bounds, or among the legal choices; also where a greedy action is asked for
``haggler``      supply chains: buys what it has sold, sells what it has bought, concedes round by round
===============  ======================================================================================

Those of particle games are listed in ``particles``.

A new script is one new class and one line in ``SCRIPTS``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import numpy as np

from agent_services.policies import particles
from agent_services.policies.negotiators import Haggler
from agora.agents.policy import (
    Array,
    Batch,
    Chosen,
    Decide,
    Decision,
    Head,
    Source,
    Spaces,
    choices_of,
    is_bounded,
    output_width,
)
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

T = TypeVar("T")

PRICES = "last_round_all_prices"
"""The observation leaf (agents, periods) that ``undercut`` reads, in the agents' order."""


@dataclass(frozen=True)
class FixedPrice:
    """The same price always; None is the middle of the bounds."""

    price: float | None = None
    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Constant actions."""
        actions = [_constant(leaf, self.price) for leaf in spaces.action]
        repeated = functools.lru_cache(4)(lambda rows: [Chosen(_repeat(action, rows)) for action in actions])
        return lambda batch: Decision(repeated(batch.rows))


@dataclass(frozen=True)
class CostPlus:
    """Cost and a markup on it."""

    cost: float = 0.0
    markup: float = 0.0
    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Constant actions."""
        return FixedPrice(self.cost * (1.0 + self.markup)).bind(spaces)


@dataclass(frozen=True)
class Undercut:
    """Below the cheapest rival by a step, never out of bounds."""

    step: float = 0.01
    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Prices from the rivals' last ones; observed prices are shares of their bounds, as actions are of theirs."""
        place = next((i for i, x in enumerate(spaces.observation) if x.path in (PRICES, "") and len(x.shape) == 2), -1)
        leaf = spaces.action[0]
        seen = spaces.observation[place] if place >= 0 else None
        if seen is None or len(spaces.action) != 1 or leaf.shape != seen.shape[1:] or leaf.dtype.kind != "f":
            expected = f"an observation {PRICES} (agents, periods) and a real action (periods)"
            got = str([(x.path, list(x.shape)) for x in (*spaces.observation, *spaces.action)])
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "observation_space", expected, got)
        if seen.shape[0] < 2 or not spaces.index < seen.shape[0]:
            expected, got = "rivals, and the agent among them", f"{seen.shape[0]} agents, this is {spaces.index}"
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, PRICES, expected, got)
        rivals = [i for i in range(seen.shape[0]) if i != spaces.index]
        low, width = leaf.low, leaf.high - leaf.low
        seen_width = np.maximum(seen.high - seen.low, np.finfo(seen.dtype).tiny)

        def decide(batch: Batch) -> Decision:
            shares = (batch.observation[place] - seen.low) / seen_width
            prices = low + shares[:, rivals].min(axis=1) * width - leaf.dtype.type(self.step)
            return Decision([Chosen(np.minimum(np.maximum(prices, leaf.low), leaf.high).astype(leaf.dtype))])

        return decide


@dataclass(frozen=True)
class Random:
    """Anything legal, with equal chances."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Keyed draws, so that replicas agree."""

        def decide(batch: Batch) -> Decision:
            return Decision([_draw(i, leaf, batch) for i, leaf in enumerate(spaces.action)])

        return decide


Script = FixedPrice | CostPlus | Undercut | Random | Haggler | particles.Script
SCRIPTS: Mapping[str, type[Script]] = {
    "fixed_price": FixedPrice,
    "cost_plus": CostPlus,
    "undercut": Undercut,
    "random": Random,
    "haggler": Haggler,
    **particles.SCRIPTS,
}
"""Name → class; its fields are the script's parameters."""


def load(source: Source) -> Script:
    """A script by its name; see ``built``."""
    return built("scripted", SCRIPTS, source)


def built(kind: str, scripts: Mapping[str, type[T]], source: Source) -> T:
    """A script of a kind by its name, with its parameters.

    Raises:
        Refused: REASON_CONFIG: no such script, no such parameter, or not a finite number.
    """
    script = scripts.get(source.name)
    if script is None:
        expected = f"{kind}:NAME with NAME out of {', '.join(scripts)}"
        raise Refused(policy_pb2.REASON_CONFIG, "policy", expected, f"{kind}:{source.name}")
    names = [field.name for field in fields(cast(Any, script))]
    for key in source.parameters:
        if key not in names:
            expected = f"one of {names}" if names else f"none for {source.name}"
            raise Refused(policy_pb2.REASON_CONFIG, f"parameter.{key}", expected, key)
    return script(**{key: _number(key, text) for key, text in source.parameters.items()})


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refused(policy_pb2.REASON_CONFIG, f"parameter.{key}", "a finite number", text)
    return value


def _constant(leaf: Leaf, price: float | None) -> Array:
    if choices_of(leaf):
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "action_space", "a Box", f"choices in {leaf.path or 'the leaf'}")
    low, high = (np.broadcast_to(bound, leaf.shape).astype(np.float64) for bound in (leaf.low, leaf.high))
    middle = 0.5 * low + 0.5 * high if is_bounded(leaf) else np.clip(0.0, low, high)
    wanted = np.clip(middle if price is None else np.float64(price), low, high)
    cast = (np.rint(wanted) if leaf.dtype.kind != "f" else wanted).astype(leaf.dtype)
    return np.asarray(np.minimum(np.maximum(cast, leaf.low), leaf.high), leaf.dtype)


def _repeat(action: Array, rows: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(action, (rows, *action.shape)))


def _draw(number: int, leaf: Leaf, batch: Batch) -> Head:
    size, choices = output_width(leaf), choices_of(leaf)
    if not choices:
        low, high = (np.broadcast_to(bound, leaf.shape).ravel().astype(np.float64) for bound in (leaf.low, leaf.high))
        if not is_bounded(leaf):
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "action_space", "finite bounds", leaf.path or "no bounds")
        values = (low + (high - low) * batch.draws.uniform(number, size)).reshape(-1, *leaf.shape)
        cast = (np.rint(values) if leaf.dtype.kind != "f" else values).astype(leaf.dtype)
        return Chosen(np.minimum(np.maximum(cast, leaf.low), leaf.high))
    mask = batch.masks[number]
    if mask is None:  # one draw a choice, for there may be more choices than fit into memory
        counts = np.asarray(choices, np.int64)
        picked = (batch.draws.uniform(number, counts.size) * counts).astype(np.int64)
        values = np.minimum(picked, counts - 1).reshape(-1, *leaf.shape) + leaf.low
        return Chosen(np.ascontiguousarray(values, leaf.dtype))
    uniform = batch.draws.uniform(number, size)
    legal = np.where(mask.reshape(uniform.shape) != 0, uniform, -1.0)
    ends = np.cumsum(choices).tolist()
    columns = [legal[:, e - n : e].argmax(axis=1) for e, n in zip(ends, choices, strict=True)]
    values = np.stack(columns, axis=1).reshape(-1, *leaf.shape) + leaf.low
    return Chosen(np.ascontiguousarray(values, leaf.dtype))
