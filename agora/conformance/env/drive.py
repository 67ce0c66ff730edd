"""One session with an environment server, in raw messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agora.codec import from_tensor
from agora.conformance.battery import Pair
from agora.conformance.case import expect
from agora.conformance.line import Line, Wire
from agora.conformance.refusals import Reason, expect_words
from agora.conformance.values import Array, choices, legal, tensors
from agora.spaces import Leaf
from agora.v1 import environment_pb2 as pb


class Drive(Line[pb.ConnectRequest, pb.ConnectResponse]):
    """A session.

    Attributes:
        pairs: spaces of the agents, in their order.
        copies: how many.
        opened: the answer to open.
    """

    def __init__(self, wire: Wire[pb.ConnectRequest], pairs: Sequence[Pair], copies: int, patience: float) -> None:
        super().__init__(wire, pb.ConnectResponse, patience)
        self.pairs, self.copies = pairs, copies
        self.opened = pb.DescribeEnvironmentResponse()

    async def ask(self, request: pb.ConnectRequest, seconds: float | None = None) -> pb.ConnectResponse:
        """Send a request and wait for its answer."""
        await self.write(request)
        return await self.hear(seconds)

    async def refused(self, request: pb.ConnectRequest, reason: Reason | None = None, field: str | None = None) -> None:
        """Fail unless a request is refused in words."""
        answer = await self.ask(request)
        expect(answer.WhichOneof("kind") == "refusal", "a refusal", answer.WhichOneof("kind"))
        expect_words(answer.refusal, reason, field)

    async def reset(self, seed: int = 1) -> pb.Transition:
        """Start episodes."""
        return transition_in(await self.ask(reset(seed)))

    async def step(self, actions: pb.StepEnvironment) -> pb.Transition:
        """Act."""
        return transition_in(await self.ask(pb.ConnectRequest(step=actions)))

    def actions(self, now: pb.Transition, key: int = 0, rows: Sequence[int] | None = None) -> pb.StepEnvironment:
        """Legal actions of all agents: functions of (``key``, agent, copy) and the masks alone.

        Args:
            now: what the session showed last.
            key: names the draw.
            rows: numbers that key the copies; None: their places.
        """
        numbers = np.asarray(range(self.copies) if rows is None else rows, np.uint32)
        answer = pb.StepEnvironment()
        for index, (pair, view) in enumerate(zip(self.pairs, now.agents, strict=True)):
            mine = answer.agents.add()
            if not view.observation:
                continue  # played by a service
            values = [legal(leaf, numbers, 100 * key + 10 * index + i) for i, leaf in enumerate(pair.done)]
            for number, mask in enumerate(view.action_mask):
                if pair.done[number].choices and mask.data:
                    values[number] = _allowed(values[number], from_tensor(mask), pair.done[number])
            mine.action.extend(tensors(values))
        return answer

    async def play(self, seed: int, steps: int, key: int = 0) -> list[pb.Transition]:
        """A reset and up to ``steps`` steps, until nobody is awaited."""
        shown = [await self.reset(seed)]
        for number in range(steps):
            if not awaited(shown[-1]).any():
                break
            shown.append(await self.step(self.actions(shown[-1], key + number)))
        return shown


def _allowed(values: Array, mask: Array, leaf: Leaf) -> Array:
    """The drawn choices, moved on to the next legal ones."""
    flat, start = values.reshape(len(values), -1) - leaf.low, 0
    for element, count in enumerate(choices(leaf)):
        part = mask[:, start : start + count]
        distance = (np.arange(count)[None, :] - flat[:, element : element + 1]) % count
        flat[:, element] = np.where(part != 0, distance, count).argmin(axis=1)
        start += count
    return np.asarray(flat + leaf.low, leaf.dtype).reshape(values.shape)


def reset(seed: int, copies: bytes = b"") -> pb.ConnectRequest:
    """A request to start episodes."""
    return pb.ConnectRequest(reset=pb.ResetEnvironment(seed=seed, copies=copies))


def transition_in(answer: pb.ConnectResponse) -> pb.Transition:
    """An answer's transition.

    Raises:
        Failed: it holds none.
    """
    got = answer.refusal.message if answer.WhichOneof("kind") == "refusal" else answer.WhichOneof("kind")
    expect(answer.WhichOneof("kind") == "transition", "a transition", got)
    return answer.transition


def awaited(shown: pb.Transition) -> NDArray[np.bool_]:
    """Whose action is needed, bool (B, N)."""
    return from_tensor(shown.awaited, "awaited")


def same_bytes(got: Sequence[pb.Transition], expected: Sequence[pb.Transition], what: str) -> None:
    """Fail unless two sessions showed the same bytes.

    Raises:
        Failed: they did not.
    """
    expect(len(got) == len(expected), f"{len(expected)} transitions {what}", len(got))
    for number, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        same = mine.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
        expect(same, f"the same bytes {what}", f"others in transition {number}")
