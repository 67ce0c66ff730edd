"""The Agent service on the wire: requests in, the handler's answers out."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator

from agora.agents import metrics
from agora.agents.handler import Handler, Stream
from agora.errors import Refused
from agora.interceptors import Context
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, policy_pb2

log = logging.getLogger(__name__)


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """agora.v1.AgentService."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def Act(
        self, request_iterator: AsyncIterator[pb.ActRequest], context: Context | None = None
    ) -> AsyncIterator[pb.ActResponse]:
        """Answer a stream's hello, then every frame with decisions or a refusal; whoever dialled."""
        stream: Stream | None = None
        try:
            async for request in request_iterator:
                match request.WhichOneof("kind"):
                    case "decisions":
                        yield await self._decide(stream, request.decisions)
                    case "hello":
                        try:
                            stream = await self._open(stream, request.hello)
                        except Refused as error:
                            yield _refuse(0, error)
                            return
                        yield pb.ActResponse(welcome=stream.welcome())
                    case _:
                        unknown = Refused(policy_pb2.REASON_UNSUPPORTED, "kind", "hello or decisions", "nothing known")
                        yield _refuse(0, unknown)
        finally:
            if stream is not None:
                stream.close()

    async def DescribeAgents(self, request: pb.DescribeAgentsRequest, context: Context) -> pb.DescribeAgentsResponse:
        """What the service holds."""
        return self._handler.describe()

    async def _open(self, stream: Stream | None, hello: pb.AgentHello) -> Stream:
        if stream is not None:
            raise Refused(policy_pb2.REASON_NOT_READY, "hello", "one hello", "a second one")
        try:
            return await self._handler.open(hello)
        except Refused:
            raise
        except Exception as error:
            raise _fault("hello") from error

    async def _decide(self, stream: Stream | None, frame: pb.DecisionsRequest) -> pb.ActResponse:
        response = pb.ActResponse()
        try:
            if stream is None:
                raise Refused(policy_pb2.REASON_NOT_READY, "decisions", "a hello first", "a frame")
            await stream.decide(frame, response.decisions)
            return response
        except Refused as error:
            return _refuse(frame.sequence, error)
        except Exception:
            return _refuse(frame.sequence, _fault("decisions"))


def _fault(field: str) -> Refused:
    """What a caller may know of the error that is being handled; the log has the rest."""
    incident = uuid.uuid4().hex[:12]
    log.exception("incident %s in %s", incident, field)
    return Refused(policy_pb2.REASON_INTERNAL, field, "no fault", f"incident {incident}")


def _refuse(sequence: int, error: Refused) -> pb.ActResponse:
    metrics.REFUSED.labels(policy_pb2.Reason.Name(error.reason)).inc()
    return pb.ActResponse(refusal=pb.FrameRefusal(sequence=sequence, refusal=error.to_proto()))
