"""Agents that refuse in a wrong way, or do not refuse."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from agora.v1 import agent_pb2 as pb, policy_pb2
from tests.support.sound_agent import Answers, Sound


class HangsUpOnBadFrames(Sound):
    cases = ("errors.torn_copies", "errors.not_a_number", "errors.many_refusals")
    wide = True

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if answer.WhichOneof("kind") == "refusal":
                return
            yield answer


class CrashesOnBadFrames(Sound):
    cases = ("errors.torn_copies", "errors.not_a_number", "errors.many_refusals")
    wide = True

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if answer.WhichOneof("kind") == "refusal":
                await context.abort(grpc.StatusCode.UNKNOWN, "Traceback (most recent call last)")
            yield answer


class Refusing(Sound):
    """Changes refusals of frames."""

    def say(self, answer: pb.ActResponse) -> None:
        if answer.WhichOneof("kind") == "refusal" and answer.refusal.sequence:
            self.refuse(answer.refusal)

    def refuse(self, refusal: pb.FrameRefusal) -> None:
        raise NotImplementedError


class WrongReason(Refusing):
    cases = ("errors.other_data_type", "errors.not_a_number", "errors.unknown_agent")
    wide = True

    def refuse(self, refusal: pb.FrameRefusal) -> None:
        refusal.refusal.reason = policy_pb2.REASON_SHAPE


class SaysNotWhere(Refusing):
    cases = ("errors.wrong_leaf_is_named", "errors.wrong_agent_is_named")
    wide = True

    def refuse(self, refusal: pb.FrameRefusal) -> None:
        refusal.refusal.field = "decisions"


class RefusesWithoutWords(Refusing):
    cases = ("errors.torn_copies",)
    wide = True

    def refuse(self, refusal: pb.FrameRefusal) -> None:
        refusal.refusal.expected = ""


class RefusesUnderNoNumber(Refusing):
    cases = ("errors.torn_copies",)
    wide = True

    def refuse(self, refusal: pb.FrameRefusal) -> None:
        refusal.sequence = 0


class TakesAnyNumber(Sound):
    """Answers observations that are not finite."""

    cases = ("errors.not_a_number", "errors.infinite", "errors.noise_without_number", "errors.infinite_temperature")

    def say(self, answer: pb.ActResponse) -> None:
        if answer.refusal.refusal.reason == policy_pb2.REASON_NOT_FINITE:
            answer.decisions.sequence = answer.refusal.sequence


class TakesAnyBounds(Sound):
    cases = ("errors.above_the_bounds", "errors.below_the_bounds")
    wide = True

    def say(self, answer: pb.ActResponse) -> None:
        if answer.refusal.refusal.reason == policy_pb2.REASON_OUT_OF_BOUNDS:
            answer.decisions.sequence = answer.refusal.sequence
