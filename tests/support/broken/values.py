"""Agents whose answers are no values of the action space, or not what they say."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor
from agora.v1 import agent_pb2 as pb
from tests.support.sound_agent import Sound, parts, put


class WrongDtype(Sound):
    cases = ("shapes.data_types",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            array = from_tensor(part.action[0])
            put(part.action[0], array.astype(np.float64 if array.dtype == np.float32 else np.float32))


class WrongShape(Sound):
    cases = ("shapes.axes",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            put(part.action[0], from_tensor(part.action[0])[:, None])


class RowMissing(Sound):
    cases = ("shapes.one_row", "shapes.axes")
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            put(part.action[0], from_tensor(part.action[0])[:-1])


class LeafMissing(Sound):
    cases = ("shapes.number_of_leaves",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            del part.action[-1]


def spoil(answer: pb.ActResponse, value: float) -> None:
    for part in parts(answer):
        for tensor in part.action:
            array = from_tensor(tensor).copy()
            if array.dtype.kind == "f" and array.size:
                array.flat[0] = value
                put(tensor, array)


class NotFinite(Sound):
    cases = ("shapes.finite",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        spoil(answer, np.nan)


class OutOfBounds(Sound):
    cases = ("shapes.within_bounds",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        spoil(answer, 1e6)


class IgnoresMask(Sound):
    cases = ("masks.first_choice_only", "masks.last_choice_only", "masks.masks_differ_by_row")
    wide = True

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            del part.action_mask[:]
        return request


class MaskOfFirstRow(Sound):
    """Keeps one row's mask in all rows."""

    cases = ("masks.masks_differ_by_row", "masks.masked_exploration", "masks.several_elements")

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            for mask in part.action_mask:
                if mask.data:
                    mask.data = mask.data[: len(mask.data) // mask.shape[0]] * mask.shape[0]
        return request


class LogProbNotFinite(Sound):
    cases = ("shapes.log_probabilities", "shapes.greedy_has_no_log_probability")

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            put(part.log_prob, np.full_like(from_tensor(part.log_prob), -np.inf))


class GreedyLogProb(Sound):
    cases = ("shapes.greedy_has_no_log_probability",)

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            put(part.log_prob, from_tensor(part.log_prob) - 1)


class NoiseLeavesBounds(Sound):
    cases = ("exploration.stays_within_bounds", "exploration.some_rows_explore")

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            if from_tensor(part.log_prob).any():
                for tensor in part.action:
                    array = from_tensor(tensor)
                    put(tensor, array + array.dtype.type(100))


class AllRowsExplore(Sound):
    cases = ("exploration.no_rows_explore", "exploration.some_rows_explore")

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            if len(part.exploration.rows) > 1:
                part.exploration.rows = b""
        return request


class LongMemory(Sound):
    cases = ("memory.as_long_as_welcomed",)

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            part.memory = b"123"
