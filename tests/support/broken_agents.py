"""A sound agent, and one for every way to break the contract.

An agent here is the project's own servicer around a policy of keyed draws. A defect is a subclass that changes what it
hears (``heard``) or says (``said``); it is known by the cases of the conformance suite that must name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import grpc
import grpc.aio
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agora.agents.handler import Handler
from agora.agents.policy import Batch, Categorical, Chosen, Decision, choices_of, output_width
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.channels import SERVER_OPTIONS, bind
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import from_proto, leaves
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, policy_pb2

Requests = AsyncIterator[pb.ActRequest]
Answers = AsyncIterator[pb.ActResponse]


class Keyed:
    """Draws anything legal, keyed by row."""

    memory_bytes = 0

    def bind(self, spaces):
        def decide(batch: Batch) -> Decision:
            return Decision([head(number, leaf, batch) for number, leaf in enumerate(spaces.action)])

        return decide


def head(number, leaf, batch):
    if choices_of(leaf):
        return Categorical(batch.draws.uniform(100 + number, output_width(leaf)))  # not the draws of exploring
    shares = batch.draws.uniform(number, output_width(leaf)).reshape(batch.rows, *leaf.shape).astype(np.float64)
    return Chosen(np.asarray(leaf.low + (leaf.high - leaf.low) * shares, leaf.dtype))


class Sound(AgentServicer):
    """Keeps the contract."""

    cases: ClassVar[tuple[str, ...]] = ()
    """Which cases must fail; where not ``wide``, no others of their topics."""
    wide: ClassVar[bool] = False
    patience: ClassVar[float] = 5.0
    """Seconds that the suite waits for each answer."""
    health: ClassVar[Any] = health_pb2.HealthCheckResponse.SERVING

    def __init__(self):
        shelf = Shelf("keyed", "test")
        shelf.put(Held(Keyed(), NO_VERSION))
        super().__init__(Handler([shelf]))
        self.streams = 0

    async def heard(self, requests: Requests) -> Requests:
        async for request in requests:
            changed = self.hear(request)
            if changed is not None:
                yield changed

    def hear(self, request):
        return request

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            self.say(answer)
            yield answer

    def say(self, answer):
        """Change an answer in place."""

    async def Act(self, request_iterator, context):
        self.streams += 1
        async for answer in self.said(super().Act(self.heard(request_iterator), context), context):
            yield answer


@asynccontextmanager
async def serving(agent: Sound, listen: str = "127.0.0.1:0"):
    """Serve an agent; its address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(agent, server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    for name in ("", "agora.v1.AgentService"):
        await checker.set(name, agent.health)
    address = bind(server, listen)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0.0)


def parts(answer):
    """The agents of an answer; none of a welcome or refusal."""
    return answer.decisions.agents if answer.WhichOneof("kind") == "decisions" else ()


def put(tensor, array):
    tensor.CopyFrom(to_tensor(np.ascontiguousarray(array)))


class WrongSequence(Sound):
    cases = ("order.number_is_echoed",)
    wide = True

    def say(self, answer):
        if parts(answer):
            answer.decisions.sequence += 1


class ForgetsSequence(Sound):
    """Counts frames itself."""

    cases = ("order.numbers_have_gaps", "order.first_number_is_any", "order.number_zero")
    wide = True

    async def said(self, answers, context):
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

    async def heard(self, requests):
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        async def pump():
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
    patience = 0.4

    async def said(self, answers, context):
        count = 0
        async for answer in answers:
            count += 1
            if count % 5:
                yield answer


class DropsEmptyFrames(Sound):
    cases = ("shapes.no_agents",)
    patience = 0.4

    async def said(self, answers, context):
        async for answer in answers:
            if answer.WhichOneof("kind") != "decisions" or answer.decisions.agents:
                yield answer


class AnswersTwice(Sound):
    cases = ("order.nothing_comes_unasked",)
    wide = True

    async def said(self, answers, context):
        async for answer in answers:
            yield answer
            if parts(answer):
                yield answer


class Late(Sound):
    cases = ("deadlines.answer_before_the_deadline",)
    wide = True

    async def said(self, answers, context):
        async for answer in answers:
            if parts(answer):
                await asyncio.sleep(1.1)
            yield answer


class WrongDtype(Sound):
    cases = ("shapes.data_types",)
    wide = True

    def say(self, answer):
        for part in parts(answer):
            array = from_tensor(part.action[0])
            put(part.action[0], array.astype(np.float64 if array.dtype == np.float32 else np.float32))


class WrongShape(Sound):
    cases = ("shapes.axes",)
    wide = True

    def say(self, answer):
        for part in parts(answer):
            put(part.action[0], from_tensor(part.action[0])[:, None])


class RowMissing(Sound):
    cases = ("shapes.one_row", "shapes.axes")
    wide = True

    def say(self, answer):
        for part in parts(answer):
            put(part.action[0], from_tensor(part.action[0])[:-1])


class LeafMissing(Sound):
    cases = ("shapes.number_of_leaves",)
    wide = True

    def say(self, answer):
        for part in parts(answer):
            del part.action[-1]


def spoil(answer, value):
    for part in parts(answer):
        for tensor in part.action:
            array = from_tensor(tensor).copy()
            if array.dtype.kind == "f" and array.size:
                array.flat[0] = value
                put(tensor, array)


class NotFinite(Sound):
    cases = ("shapes.finite",)
    wide = True

    def say(self, answer):
        spoil(answer, np.nan)


class OutOfBounds(Sound):
    cases = ("shapes.within_bounds",)
    wide = True

    def say(self, answer):
        spoil(answer, 1e6)


class IgnoresMask(Sound):
    cases = ("masks.first_choice_only", "masks.last_choice_only", "masks.masks_differ_by_row")
    wide = True

    def hear(self, request):
        for part in request.decisions.agents:
            del part.action_mask[:]
        return request


class MaskOfFirstRow(Sound):
    """Keeps one row's mask in all rows."""

    cases = ("masks.masks_differ_by_row", "masks.masked_exploration", "masks.several_elements")

    def hear(self, request):
        for part in request.decisions.agents:
            for mask in part.action_mask:
                if mask.data:
                    mask.data = mask.data[: len(mask.data) // mask.shape[0]] * mask.shape[0]
        return request


class Pushes(Sound):
    """Takes the upper bound or last choice now and then; still legal, so only repeats show it."""

    async def Act(self, request_iterator, context):
        seats: dict[int, Any] = {}

        async def listening():
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

    def now(self, answer, stream, count):
        raise NotImplementedError


class OtherOnRepeat(Pushes):
    cases = ("seeds.repeated",)
    wide = True

    def now(self, answer, stream, count):
        return count % 2 == 0


class DependsOnStream(Pushes):
    cases = ("seeds.streams_agree", "resume.same_frame_on_a_new_stream")
    wide = True

    def now(self, answer, stream, count):
        return stream % 2 == 0


class DependsOnHistory(Pushes):
    cases = ("seeds.history", "seeds.history_exploring")

    def now(self, answer, stream, count):
        return count > 5


class DependsOnBatch(Pushes):
    cases = ("seeds.batching", "seeds.batching_exploring")

    def now(self, answer, stream, count):
        return parts(answer)[0].action[0].shape[0] < 8


class DependsOnOtherAgents(Pushes):
    cases = ("seeds.other_agents", "seeds.other_agents_exploring")

    def now(self, answer, stream, count):
        return len(parts(answer)) > 1


class RowsBackwards(Sound):
    cases = ("seeds.batching", "seeds.batching_exploring")

    def say(self, answer):
        for part in parts(answer):
            for tensor in part.action:
                put(tensor, from_tensor(tensor)[::-1])


class SortsRows(Sound):
    """Answers in the order of the copies, not of the rows."""

    cases = ("seeds.row_order", "seeds.row_order_exploring")

    def hear(self, request):
        for part in request.decisions.agents:
            if len(part.copies) % 4 == 0:
                part.copies = np.sort(np.frombuffer(part.copies, "<u4")).tobytes()
        return request


class IgnoresRowSteps(Sound):
    cases = ("seeds.step_forms", "seeds.step_forms_exploring")

    def hear(self, request):
        for part in request.decisions.agents:
            part.steps = b""
        return request


class SortsAgents(Sound):
    cases = ("several.order_of_the_frame", "several.order_does_not_matter")

    def say(self, answer):
        if parts(answer):
            ordered = sorted(answer.decisions.agents, key=lambda part: part.index)
            del answer.decisions.agents[:]
            answer.decisions.agents.extend(ordered)


class ForgetsLaterAgents(Sound):
    cases = ("several.agents_share_a_stream",)
    wide = True

    def say(self, answer):
        if parts(answer):
            del answer.decisions.agents[1:]


class HangsUpOnBadFrames(Sound):
    cases = ("errors.torn_copies", "errors.not_a_number", "errors.many_refusals")
    wide = True

    async def said(self, answers, context):
        async for answer in answers:
            if answer.WhichOneof("kind") == "refusal":
                return
            yield answer


class CrashesOnBadFrames(Sound):
    cases = ("errors.torn_copies", "errors.not_a_number", "errors.many_refusals")
    wide = True

    async def said(self, answers, context):
        async for answer in answers:
            if answer.WhichOneof("kind") == "refusal":
                await context.abort(grpc.StatusCode.UNKNOWN, "Traceback (most recent call last)")
            yield answer


class Refusing(Sound):
    """Changes refusals of frames."""

    def say(self, answer):
        if answer.WhichOneof("kind") == "refusal" and answer.refusal.sequence:
            self.refuse(answer.refusal)

    def refuse(self, refusal):
        raise NotImplementedError


class WrongReason(Refusing):
    cases = ("errors.other_data_type", "errors.not_a_number", "errors.unknown_agent")
    wide = True

    def refuse(self, refusal):
        refusal.refusal.reason = policy_pb2.REASON_SHAPE


class SaysNotWhere(Refusing):
    cases = ("errors.wrong_leaf_is_named", "errors.wrong_agent_is_named")
    wide = True

    def refuse(self, refusal):
        refusal.refusal.field = "decisions"


class RefusesWithoutWords(Refusing):
    cases = ("errors.torn_copies",)
    wide = True

    def refuse(self, refusal):
        refusal.refusal.expected = ""


class RefusesUnderNoNumber(Refusing):
    cases = ("errors.torn_copies",)
    wide = True

    def refuse(self, refusal):
        refusal.sequence = 0


class TakesAnyNumber(Sound):
    """Answers observations that are not finite."""

    cases = ("errors.not_a_number", "errors.infinite", "errors.noise_without_number", "errors.infinite_temperature")

    def say(self, answer):
        if answer.refusal.refusal.reason == policy_pb2.REASON_NOT_FINITE:
            answer.decisions.sequence = answer.refusal.sequence


class TakesAnyBounds(Sound):
    cases = ("errors.above_the_bounds", "errors.below_the_bounds")
    wide = True

    def say(self, answer):
        if answer.refusal.refusal.reason == policy_pb2.REASON_OUT_OF_BOUNDS:
            answer.decisions.sequence = answer.refusal.sequence


class MixesVersions(Sound):
    cases = ("versions.one_version_a_frame",)

    def say(self, answer):
        for number, part in enumerate(parts(answer)):
            part.version.step = number


class WaitsTooLong(Sound):
    """Refuses a version that does not come when nobody waits any more."""

    cases = ("versions.least_version_never_comes", "versions.exact_version_never_comes")

    async def said(self, answers, context):
        async for answer in answers:
            if answer.refusal.refusal.reason == policy_pb2.REASON_VERSION_UNAVAILABLE:
                await asyncio.sleep(1.1)
            yield answer


class ActsInAnyVersion(Sound):
    cases = (
        "versions.least_version_never_comes",
        "versions.exact_version_never_comes",
        "versions.one_missing_version_refuses_the_frame",
    )

    def hear(self, request):
        for part in request.decisions.agents:
            part.policy.ClearField("min_version")
            part.policy.ClearField("exact_version")
        return request


class TakesAnyVersion(Sound):
    cases = (
        "negotiation.foreign_versions_are_refused",
        "negotiation.no_version_is_refused",
        "negotiation.empty_hello_is_refused",
    )

    def hear(self, request):
        if request.WhichOneof("kind") == "hello":
            request.hello.protocol_versions[:] = [1]
        return request


class IgnoresSecondHello(Sound):
    cases = ("negotiation.second_hello_is_refused",)
    patience = 0.4

    async def heard(self, requests):
        greeted = False
        async for request in requests:
            if not (request.WhichOneof("kind") == "hello" and greeted):
                yield request
            greeted = greeted or request.WhichOneof("kind") == "hello"


class StaysAfterRefusedHello(Sound):
    cases = ("negotiation.foreign_versions_are_refused", "negotiation.no_agents_are_refused")
    wide = True
    patience = 0.4

    async def said(self, answers, context):
        async for answer in answers:
            yield answer
        await asyncio.sleep(60.0)


class TellsOneMemoryOnly(Sound):
    cases = ("negotiation.memory_is_told_for_every_agent",)

    def say(self, answer):
        if answer.WhichOneof("kind") == "welcome":
            del answer.welcome.memory_bytes[1:]


class LongMemory(Sound):
    cases = ("memory.as_long_as_welcomed",)

    def say(self, answer):
        for part in parts(answer):
            part.memory = b"123"


class HangsOnFrames(Sound):
    cases = ("shapes.plays_some_spaces", "shapes.one_row")
    wide = True
    patience = 0.1

    async def said(self, answers, context):
        async for answer in answers:
            if answer.WhichOneof("kind") != "welcome":
                await asyncio.sleep(60.0)
            yield answer


class HangsOnHello(Sound):
    cases = ("shapes.plays_some_spaces", "shapes.one_row")
    wide = True
    patience = 0.1

    async def said(self, answers, context):
        await asyncio.sleep(60.0)
        async for answer in answers:
            yield answer


class LogProbNotFinite(Sound):
    cases = ("shapes.log_probabilities", "shapes.greedy_has_no_log_probability")

    def say(self, answer):
        for part in parts(answer):
            put(part.log_prob, np.full_like(from_tensor(part.log_prob), -np.inf))


class GreedyLogProb(Sound):
    cases = ("shapes.greedy_has_no_log_probability",)

    def say(self, answer):
        for part in parts(answer):
            put(part.log_prob, from_tensor(part.log_prob) - 1)


class RefusesRepeats(Sound):
    """Takes a number that comes twice for a mistake."""

    cases = ("order.repeated_number_is_answered_again", "order.flight_is_answered_each_by_its_own")

    async def said(self, answers, context):
        seen: set[int] = set()
        async for answer in answers:
            if parts(answer):
                number = answer.decisions.sequence
                if number in seen:
                    stale = Refused(policy_pb2.REASON_STALE, "sequence", "a new one", str(number))
                    answer = pb.ActResponse(refusal=pb.FrameRefusal(sequence=number, refusal=stale.to_proto()))
                seen.add(number)
            yield answer


class OneStreamOnly(Sound):
    """Serves streams one after the other."""

    cases = ("order.streams_keep_their_numbers_apart",)
    patience = 0.4

    def __init__(self):
        super().__init__()
        self.lock = asyncio.Lock()

    async def Act(self, request_iterator, context):
        async with self.lock:
            async for answer in super().Act(request_iterator, context):
                yield answer


class FailsAtTheEnd(Sound):
    """Takes a stream's end for an error."""

    cases = ("resume.end_without_a_hello", "resume.end_after_the_welcome", "resume.end_with_frames_in_flight")

    async def said(self, answers, context):
        async for answer in answers:
            yield answer
        await context.abort(grpc.StatusCode.UNKNOWN, "the other side has gone")


class NoiseLeavesBounds(Sound):
    cases = ("exploration.stays_within_bounds", "exploration.some_rows_explore")

    def say(self, answer):
        for part in parts(answer):
            if from_tensor(part.log_prob).any():
                for tensor in part.action:
                    array = from_tensor(tensor)
                    put(tensor, array + array.dtype.type(100))


class AllRowsExplore(Sound):
    cases = ("exploration.no_rows_explore", "exploration.some_rows_explore")

    def hear(self, request):
        for part in request.decisions.agents:
            if len(part.exploration.rows) > 1:
                part.exploration.rows = b""
        return request


class NotHealthy(Sound):
    cases = ("describe.healthy",)
    health = health_pb2.HealthCheckResponse.NOT_SERVING


class DescribesOtherVersions(Sound):
    cases = ("describe.what_acts_is_held",)

    async def DescribeAgents(self, request, context):
        described = await super().DescribeAgents(request, context)
        described.policies[0].version.epoch = 7
        return described


DEFECTS = {
    kind.__name__: kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Sound)
    and kind.cases
}  # fmt: skip
