"""Agents whose answers depend on more than their own row, or stand in other places."""

from __future__ import annotations

from typing import Any

import numpy as np

from agora.agents.servicer import AgentServicer
from agora.codec import from_tensor
from agora.errors import Refused
from agora.spaces import from_proto, leaves
from agora.v1 import agent_pb2 as pb
from tests.support.sound_agent import Answers, Requests, Sound, parts, put


class Pushes(Sound):
    """Takes the upper bound or last choice now and then; still legal, so only repeats show it."""

    async def Act(self, request_iterator: Requests, context: Any = None) -> Answers:
        seats: dict[int, Any] = {}

        async def listening() -> Requests:
            async for request in request_iterator:
                for spec in request.hello.agents:
                    try:
                        seats[spec.index] = leaves(from_proto(spec.action_space))
                    except Refused:
                        continue
                yield request

        self.streams += 1
        stream, count = self.streams, 0
        async for answer in AgentServicer.Act(self, listening(), context):
            count += bool(parts(answer))
            if parts(answer) and self.now(answer, stream, count):
                for part in parts(answer):
                    for tensor, leaf in zip(part.action, seats[part.index], strict=True):
                        put(tensor, np.broadcast_to(leaf.high, tuple(tensor.shape)).astype(leaf.dtype))
            yield answer

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        raise NotImplementedError


class OtherOnRepeat(Pushes):
    cases = ("seeds.repeated",)
    wide = True

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        return count % 2 == 0


class DependsOnStream(Pushes):
    cases = ("seeds.streams_agree", "resume.same_frame_on_a_new_stream")
    wide = True

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        return stream % 2 == 0


class DependsOnHistory(Pushes):
    cases = ("seeds.history", "seeds.history_exploring")

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        return count > 5


class DependsOnBatch(Pushes):
    cases = ("seeds.batching", "seeds.batching_exploring")

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        return parts(answer)[0].action[0].shape[0] < 8


class DependsOnOtherAgents(Pushes):
    cases = ("seeds.other_agents", "seeds.other_agents_exploring")

    def now(self, answer: pb.ActResponse, stream: int, count: int) -> bool:
        return len(parts(answer)) > 1


class RowsBackwards(Sound):
    cases = ("seeds.batching", "seeds.batching_exploring")

    def say(self, answer: pb.ActResponse) -> None:
        for part in parts(answer):
            for tensor in part.action:
                put(tensor, from_tensor(tensor)[::-1])


class SortsRows(Sound):
    """Answers in the order of the copies, not of the rows."""

    cases = ("seeds.row_order", "seeds.row_order_exploring")

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            if len(part.copies) % 4 == 0:
                part.copies = np.sort(np.frombuffer(part.copies, "<u4")).tobytes()
        return request


class IgnoresRowSteps(Sound):
    cases = ("seeds.step_forms", "seeds.step_forms_exploring")

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            part.steps = b""
        return request


class SortsAgents(Sound):
    cases = ("several.order_of_the_frame", "several.order_does_not_matter")

    def say(self, answer: pb.ActResponse) -> None:
        if parts(answer):
            ordered = sorted(answer.decisions.agents, key=lambda part: part.index)
            del answer.decisions.agents[:]
            answer.decisions.agents.extend(ordered)


class ForgetsLaterAgents(Sound):
    cases = ("several.agents_share_a_stream",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        if parts(answer):
            del answer.decisions.agents[1:]
