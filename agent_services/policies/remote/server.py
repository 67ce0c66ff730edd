"""One model of a server that speaks the Open Inference Protocol over gRPC (MLServer, Triton, KServe and others)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from agent_services.policies.remote import oip_pb2 as pb
from agora.channels import connect, connect_blocking
from agora.errors import Refused
from agora.v1 import policy_pb2

_SERVICE = "/inference.GRPCInferenceService/"
Answer = TypeVar("Answer", bound=Message)


@dataclass
class ModelServer:
    """A model by its name, wherever its server is now.

    Attributes:
        address: HOST:PORT or unix:PATH.
        model: the model's name.
        version: of the model; empty lets the server choose.
        timeout: seconds for each call.
    """

    address: str
    model: str
    version: str
    timeout: float
    _infer: grpc.aio.UnaryUnaryMultiCallable[pb.ModelInferRequest, pb.ModelInferResponse] | None = field(
        default=None, init=False
    )

    def is_ready(self) -> bool:
        """Whether the server says that it is; blocks for at most ``timeout`` seconds.

        Raises:
            Refused: it cannot be reached, or it is no such server.
        """
        return self._ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse).ready

    def metadata(self) -> pb.ModelMetadataResponse:
        """What the model reads and answers; blocks for at most ``timeout`` seconds.

        Raises:
            Refused: the server cannot be reached (retryable), or does not hold the model.
        """
        request = pb.ModelMetadataRequest(name=self.model, version=self.version)
        return self._ask("ModelMetadata", request, pb.ModelMetadataResponse)

    async def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """The model's answer.

        Raises:
            Refused: REASON_UNREACHABLE or REASON_DEADLINE, both retryable, or REASON_MODEL.
        """
        if self._infer is None:
            # Not before: a channel belongs to the event loop in which it is made.
            self._infer = connect(self.address).unary_unary(
                f"{_SERVICE}ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
            )
        try:
            answer = await self._infer(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        return self._checked(answer, pb.ModelInferResponse)

    def _ask(self, method: str, request: Message, kind: type[Answer]) -> Answer:
        with connect_blocking(self.address) as channel:
            call = channel.unary_unary(f"{_SERVICE}{method}", type(request).SerializeToString, kind.FromString)
            try:
                return self._checked(call(request, timeout=self.timeout), kind)
            except grpc.RpcError as error:
                raise self._explain(error) from error

    def _checked(self, answer: object, kind: type[Answer]) -> Answer:
        # For bytes that are not the message, gRPC gives None.
        if not isinstance(answer, kind):
            raise Refused(policy_pb2.REASON_MODEL, self.address, f"a {kind.__name__}", "bytes that are none")
        return answer

    def _explain(self, error: grpc.RpcError) -> Refused:
        code, details = grpc.StatusCode.UNKNOWN, str(error)
        if isinstance(error, grpc.Call | grpc.aio.AioRpcError):
            code, details = error.code(), error.details() or ""
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                expected, got = "a model server that answers", details[:300]
                return Refused(policy_pb2.REASON_UNREACHABLE, self.address, expected, got, retryable=True)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                expected = f"an answer within {self.timeout:g} s"
                return Refused(policy_pb2.REASON_DEADLINE, self.address, expected, "none", retryable=True)
        expected = f"an answer of the model {self.model!r} at {self.address}"
        return Refused(policy_pb2.REASON_MODEL, "model", expected, f"{code.name}: {details[:300]}")
