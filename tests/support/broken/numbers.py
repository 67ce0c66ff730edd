"""Agents that answer under wrong numbers, in a wrong order, too late, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from agora.errors import Refused
from agora.v1 import agent_pb2 as pb, policy_pb2
from tests.support.sound_agent import Answers, Requests, Sound, parts


class WrongSequence(Sound):
    cases = ("order.number_is_echoed",)
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        if parts(answer):
            answer.decisions.sequence += 1


class ForgetsSequence(Sound):
    """Counts frames itself."""

    cases = ("order.numbers_have_gaps", "order.first_number_is_any", "order.number_zero")
    wide = True

    async def said(self, answers: Answers, context: Any) -> Answers:
        count = 0
        async for answer in answers:
            if parts(answer):
                count += 1
                answer.decisions.sequence = count
            yield answer


class OutOfOrder(Sound):
    """Answers what is in flight backwards."""

    cases = (
        "order.flight_is_answered_in_order",
        "order.flight_is_answered_each_by_its_own",
        "order.refusals_keep_the_order",
    )

    async def heard(self, requests: Requests) -> Requests:
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        async def pump() -> None:
            async for request in requests:
                await waiting.put(request)
            await waiting.put(None)

        pumping = asyncio.create_task(pump())
        yield await waiting.get()
        try:
            while (request := await waiting.get()) is not None:
                await asyncio.sleep(0.02)
                batch = [request, *(waiting.get_nowait() for _ in range(waiting.qsize()))]
                for one in reversed(batch):
                    if one is None:
                        return
                    yield one
        finally:
            pumping.cancel()


class DropsFrames(Sound):
    """Every fifth frame of a stream gets no answer."""

    cases = ("order.flight_is_answered_in_order",)
    wide = True
    patience = 1.0

    async def said(self, answers: Answers, context: Any) -> Answers:
        count = 0
        async for answer in answers:
            count += 1
            if count % 5:
                yield answer


class DropsEmptyFrames(Sound):
    cases = ("shapes.no_agents",)
    patience = 1.0

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if answer.WhichOneof("kind") != "decisions" or answer.decisions.agents:
                yield answer


class AnswersTwice(Sound):
    cases = ("order.nothing_comes_unasked",)
    wide = True

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            yield answer
            if parts(answer):
                yield answer


class RefusesRepeats(Sound):
    """Takes a number that comes twice for a mistake."""

    cases = ("order.repeated_number_is_answered_again", "order.flight_is_answered_each_by_its_own")

    async def said(self, answers: Answers, context: Any) -> Answers:
        seen: set[int] = set()
        async for answer in answers:
            if parts(answer):
                number = answer.decisions.sequence
                if number in seen:
                    stale = Refused(policy_pb2.REASON_STALE, "sequence", "a new one", str(number))
                    answer = pb.ActResponse(refusal=pb.FrameRefusal(sequence=number, refusal=stale.to_proto()))
                seen.add(number)
            yield answer


class Late(Sound):
    cases = ("deadlines.answer_before_the_deadline",)
    wide = True

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if parts(answer):
                await asyncio.sleep(1.1)
            yield answer


class HangsOnFrames(Sound):
    cases = ("shapes.plays_some_spaces", "shapes.one_row")
    wide = True
    patience = 0.1

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if answer.WhichOneof("kind") != "welcome":
                await asyncio.sleep(60.0)
            yield answer


class HangsOnHello(Sound):
    cases = ("shapes.plays_some_spaces", "shapes.one_row")
    wide = True
    patience = 0.1

    async def said(self, answers: Answers, context: Any) -> Answers:
        await asyncio.sleep(60.0)
        async for answer in answers:
            yield answer


class OneStreamOnly(Sound):
    """Serves streams one after the other."""

    cases = ("order.streams_keep_their_numbers_apart",)

    def __init__(self) -> None:
        super().__init__()
        self.lock = asyncio.Lock()

    async def Act(self, request_iterator: Requests, context: Any = None) -> Answers:
        async with self.lock:
            async for answer in super().Act(request_iterator, context):
                yield answer


class FailsAtTheEnd(Sound):
    """Takes a stream's end for an error."""

    cases = ("resume.end_without_a_hello", "resume.end_after_the_welcome", "resume.end_with_frames_in_flight")

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            yield answer
        await context.abort(grpc.StatusCode.UNKNOWN, "the other side has gone")
