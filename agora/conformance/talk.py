"""One Act stream to an agent, in raw messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agora.codec import from_tensor
from agora.conformance.battery import Pair
from agora.conformance.case import expect, expect_equal
from agora.conformance.line import Line, Wire
from agora.conformance.values import Array, legal, tensors
from agora.v1 import agent_pb2 as pb

BLOCK, STEP = 3, 2
ROWS = (0, 1, 2, 3)


class Talk(Line[pb.ActRequest, pb.ActResponse]):
    """A stream and what its hello announced.

    Attributes:
        pairs: spaces by the agent's number.
        welcome: the answer to the hello.
    """

    def __init__(self, wire: Wire[pb.ActRequest], pairs: Mapping[int, Pair], patience: float) -> None:
        super().__init__(wire, pb.ActResponse, patience)
        self.pairs = dict(pairs)
        self.welcome = pb.AgentWelcome()
        self._sequence = 0

    async def say(self, request: pb.ActRequest | pb.DecisionsRequest) -> None:
        """Send a request."""
        if isinstance(request, pb.DecisionsRequest):
            request = pb.ActRequest(decisions=request)
        await self.write(request)

    async def ask(self, request: pb.ActRequest | pb.DecisionsRequest) -> pb.ActResponse:
        """Send a request and wait for its answer."""
        await self.say(request)
        return await self.hear()

    async def decide(self, frame: pb.DecisionsRequest) -> pb.Decisions:
        """Send a frame that must be answered with decisions."""
        return decisions_in(await self.ask(frame))

    async def refused(self, request: pb.ActRequest | pb.DecisionsRequest) -> pb.FrameRefusal:
        """Send what must be refused."""
        return refusal_in(await self.ask(request))

    def frame(
        self,
        rows: Sequence[int] = ROWS,
        agents: Sequence[int] | None = None,
        *,
        key: int = 0,
        deadline: float | None = None,
    ) -> pb.DecisionsRequest:
        """The next frame: a legal observation in every copy of ``rows`` for every agent.

        What a copy shows depends on (``key``, agent, copy) alone.
        """
        self._sequence += 1
        seconds = self.patience if deadline is None else deadline
        frame = pb.DecisionsRequest(
            sequence=self._sequence, block=BLOCK, step=STEP, deadline_us=int(seconds * 1e6), agents=()
        )
        for index in self.pairs if agents is None else agents:
            frame.agents.append(observations(self.pairs[index], index, rows, key))
        return frame


def observations(pair: Pair, index: int, rows: Sequence[int], key: int = 0) -> pb.Observations:
    """One agent's part of a frame."""
    copies = np.asarray(rows, np.uint32)
    seen = [legal(leaf, copies, 1000 * key + 10 * index + number) for number, leaf in enumerate(pair.seen)]
    return pb.Observations(index=index, copies=copies.astype("<u4").tobytes(), observation=tensors(seen))


def decisions_in(answer: pb.ActResponse) -> pb.Decisions:
    """An answer's decisions.

    Raises:
        Failed: it holds none.
    """
    expect(answer.WhichOneof("kind") == "decisions", "decisions", _said(answer))
    return answer.decisions


def refusal_in(answer: pb.ActResponse) -> pb.FrameRefusal:
    """An answer's refusal.

    Raises:
        Failed: it holds none.
    """
    expect(answer.WhichOneof("kind") == "refusal", "a refusal", _said(answer))
    return answer.refusal


def _said(answer: pb.ActResponse) -> str:
    kind = answer.WhichOneof("kind")
    if kind == "refusal":
        return f"the refusal {answer.refusal.refusal.message or answer.refusal.refusal}"
    return f"{kind or 'nothing known'}"


def parts(actions: pb.Actions, rows: int) -> list[Array]:
    """What an agent answered, row by row: the action's leaves, log-probabilities, memory."""
    arrays = [from_tensor(tensor, "action") for tensor in actions.action]
    if actions.HasField("log_prob"):
        arrays.append(from_tensor(actions.log_prob, "log_prob"))
    if actions.memory and rows:
        arrays.append(np.frombuffer(actions.memory, np.uint8).reshape(rows, -1))
    return arrays


def expect_same(got: pb.Decisions, expected: pb.Decisions, what: str) -> None:
    """Fail unless two frames were answered with the same bytes, sequence number and time aside.

    Raises:
        Failed: they were not.
    """
    expect_equal(len(got.agents), len(expected.agents), "agents answered:")
    for mine, theirs in zip(got.agents, expected.agents, strict=True):
        same = mine.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)
        expect(same, f"the same bytes {what}", f"others for agent {theirs.index}")


def expect_rows(got: pb.Actions, whole: pb.Actions, rows: Sequence[int], of: int, what: str) -> None:
    """Fail unless an answer is the rows ``rows`` of an answer to ``of`` rows.

    Raises:
        Failed: it is not.
    """
    for part, all_rows in zip(parts(got, len(rows)), parts(whole, of), strict=True):
        expected = np.ascontiguousarray(all_rows[list(rows)])
        expect(part.shape == expected.shape, f"{what}: shape {list(expected.shape)}", list(part.shape))
        differ = [row for row in range(len(rows)) if part[row].tobytes() != expected[row].tobytes()]
        expect(not differ, f"{what}: the same answer in every row", f"another in row {differ[:1]}")
