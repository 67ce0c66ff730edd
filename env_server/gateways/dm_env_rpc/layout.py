"""Numbers, names and types under which a joined client's actions and observations travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agora.errors import Refused
from agora.spaces import Leaf, leaves
from agora.v1 import policy_pb2
from env_server.environments.base import Array, Environment, Step, Values
from env_server.gateways.dm_env_rpc import wire_pb2 as pb
from env_server.gateways.dm_env_rpc.tensors import Kind, fill, kind_of, read

Read = Callable[[Step, Array], Array]
"""One observation, (B, ...), out of a step and who of the copies' agents has been terminated, bool (B,)."""


@dataclass(frozen=True)
class Action:
    """One action tensor.

    Attributes:
        name: in the specs.
        leaf: of the agent's action space.
        kind: how it travels.
        shape: of the tensor.
    """

    name: str
    leaf: Leaf
    kind: Kind
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Observation:
    """One observation tensor.

    Attributes:
        kind: how it travels.
        read: finds it.
        shape: of the tensor.
    """

    kind: Kind
    read: Read
    shape: tuple[int, ...]


class Layout:
    """What one agent's client may send and ask for.

    One copy travels as it is; several copies are a first axis of every tensor. Observations are the leaves of the
    agent's observation, ``reward`` (float64), ``discount`` (float64, 0 once the agent was terminated), ``action_mask``
    where the game has masks, and with several copies ``awaited`` (bool): in which of them the next action counts.

    Attributes:
        specs: as they are sent.
        actions, observations: by their numbers in the specs.
    """

    def __init__(self, environment: Environment, index: int, first: Step) -> None:
        """Lay out for the agent at ``index``; ``first`` is what a reset showed.

        Raises:
            Refused: a space has a dtype that cannot travel, or two observations of one name.
        """
        agent = environment.agents[index]
        self._batch = () if environment.num_envs == 1 else (environment.num_envs,)
        self.specs = pb.ActionObservationSpecs()
        self.actions: dict[int, Action] = {}
        self.observations: dict[int, Observation] = {}
        self._names: set[str] = set()
        for leaf in leaves(environment.action_spaces[agent]):
            self._add_action(leaf)
        for leaf in leaves(environment.observation_spaces[agent]):
            self._add_observation(leaf.path or "observation", leaf, _leaf_reader(index, leaf.path))
        for path, mask in first.action_masks.get(index, {}).items():
            name = f"action_mask.{path}" if path else "action_mask"
            if name not in self._names:  # some games show their agents the mask themselves
                self._add_observation(name, _mask(mask), _mask_reader(index, path))
        self._add_observation("reward", _scalar(np.float64), lambda step, over: step.rewards[:, index])
        discount = _scalar(np.float64, 0.0, 1.0)
        self._add_observation("discount", discount, lambda step, over: 1.0 - over)
        if self._batch:
            self._add_observation("awaited", _scalar(np.bool_), lambda step, over: step.awaited[:, index])

    def _add_action(self, leaf: Leaf) -> None:
        name, uid = leaf.path or "action", len(self.actions) + 1
        kind = kind_of(leaf.dtype, name)
        self.actions[uid] = Action(name, leaf, kind, (*self._batch, *leaf.shape))
        self._describe(self.specs.actions[uid], name, leaf, kind)

    def _add_observation(self, name: str, leaf: Leaf, find: Read) -> None:
        if name in self._names:
            expected = "observations whose names the gateway does not need itself"
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "environment", expected, repr(name))
        self._names.add(name)
        kind, uid = kind_of(leaf.dtype, name), len(self.observations) + 1
        self.observations[uid] = Observation(kind, find, (*self._batch, *leaf.shape))
        self._describe(self.specs.observations[uid], name, leaf, kind)

    def _describe(self, spec: pb.TensorSpec, name: str, leaf: Leaf, kind: Kind) -> None:
        shape = (*self._batch, *leaf.shape)
        spec.name, spec.dtype = name, kind.data_type
        spec.shape.extend(shape)
        for bound, message in ((leaf.low, spec.min), (leaf.high, spec.max)):
            if not _is_open(bound, leaf.dtype):
                fill(message, kind, np.broadcast_to(bound, shape) if np.ndim(bound) else bound)

    def check(self, request: pb.StepRequest, *, acts: bool) -> None:
        """Refuse numbers that the specs do not have, of observations and, if it ``acts``, of actions.

        Raises:
            Refused: with the number in its words.
        """
        for uid in request.requested_observations:
            if uid not in self.observations:
                _unknown("requested_observations", uid, self.observations)
        for uid in request.actions if acts else ():
            if uid not in self.actions:
                _unknown("actions", uid, self.actions)

    def read_actions(self, given: Mapping[int, pb.Tensor], default: Callable[[Leaf], Array]) -> Values:
        """The agent's action, (B, ...); ``default`` stands for what was not sent.

        Raises:
            Refused: a tensor of another type or shape.
        """
        values = {}
        for uid, action in self.actions.items():
            leaf = action.leaf
            if uid in given:
                array = read(given[uid], action.kind, action.shape, f"actions[{uid}] ({action.name})")
                values[leaf.path] = _narrow(array if self._batch else array[None], leaf, action.name)
            else:
                values[leaf.path] = default(leaf)
        return values

    def show(self, response: pb.StepResponse, uids: Iterable[int], step: Step, terminated: Array) -> None:
        """Write the observations that were asked for."""
        for uid in dict.fromkeys(uids):
            tensor, seen = response.observations[uid], self.observations[uid]
            fill(tensor, seen.kind, seen.read(step, terminated))
            tensor.shape.extend(seen.shape)


def _unknown(field: str, uid: int, known: Mapping[int, Any]) -> None:
    expected = "numbers of the specs: " + ", ".join(map(str, known))
    raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, expected, str(uid))


def _leaf_reader(index: int, path: str) -> Read:
    return lambda step, over: step.observations[index][path]


def _mask_reader(index: int, path: str) -> Read:
    return lambda step, over: step.action_masks[index][path]


def _scalar(dtype: type[np.generic], low: float = -np.inf, high: float = np.inf) -> Leaf:
    return Leaf("", np.dtype(dtype), (), np.nan_to_num(np.asarray(low)), np.nan_to_num(np.asarray(high)))


def _mask(mask: Array) -> Leaf:
    return Leaf("", mask.dtype, mask.shape[1:], np.zeros((), np.uint8), np.ones((), np.uint8))


def _is_open(bound: Array, dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "b" or (dtype.kind == "f" and bool((np.abs(bound) >= np.finfo(dtype).max).all()))


def _narrow(values: Array, leaf: Leaf, name: str) -> Array:
    """Values of a wider dtype as the leaf's own."""
    if values.dtype == leaf.dtype:
        return values
    narrow: Array = values.astype(leaf.dtype)
    if leaf.dtype.kind != "f" and not np.array_equal(narrow, values):
        got = str(values[narrow != values][0])
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, f"actions ({name})", f"numbers of {leaf.dtype}", got)
    return narrow
