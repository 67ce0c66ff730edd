"""Agents that do with memory what they like. Their sound kin draws anew from what it remembers."""

from __future__ import annotations

import numpy as np

from agora.agents.policy import Batch, Chosen, Decide, Decision, Head, Spaces, choices_of, output_width
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb
from tests.support.sound_agent import Sound, head

BYTES = 4


class Remembering:
    """Real actions turn with the bytes that were remembered; each row remembers other ones."""

    memory_bytes = BYTES

    def bind(self, spaces: Spaces) -> Decide:
        def decide(batch: Batch) -> Decision:
            heads = [_turned(number, leaf, batch) for number, leaf in enumerate(spaces.action)]
            return Decision(heads, (1 + 254 * batch.draws.uniform(50, BYTES)).astype(np.uint8))

        return decide


def _turned(number: int, leaf: Leaf, batch: Batch) -> Head:
    if choices_of(leaf):
        return head(number, leaf, batch)
    shares = batch.draws.uniform(number, output_width(leaf)).astype(np.float64) / 2
    shares += batch.memory.sum(axis=1, keepdims=True) / (510 * BYTES)
    return Chosen(np.asarray(leaf.low + (leaf.high - leaf.low) * shares.reshape(batch.rows, *leaf.shape), leaf.dtype))


class Remembers(Sound):
    """Sound."""

    policy = Remembering


class MemoryOfFirstRow(Remembers):
    """Reads one row's memory in all rows."""

    cases = ("memory.belongs_to_its_row",)

    def hear(self, request: pb.ActRequest) -> pb.ActRequest:
        for part in request.decisions.agents:
            if part.memory and len(part.memory) % BYTES == 0:
                part.memory = part.memory[:BYTES] * (len(part.memory) // BYTES)
        return request


class MemoryOfStream(Remembers):
    """Reads memory in another way on another stream."""

    cases = ("memory.carried_to_another_stream",)

    def hear(self, request: pb.ActRequest) -> pb.ActRequest:
        for part in request.decisions.agents:
            part.memory = bytes((byte + self.streams) % 256 if byte else 0 for byte in part.memory)
        return request


class ZerosAreSomething(Remembers):
    """Tells a row that brings zeros from one that brings nothing."""

    cases = ("memory.zeros_are_none",)

    def hear(self, request: pb.ActRequest) -> pb.ActRequest:
        for part in request.decisions.agents:
            if part.memory and not any(part.memory):
                part.memory = b"\xff" * len(part.memory)
        return request
