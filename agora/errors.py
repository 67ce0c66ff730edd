"""What can go wrong, and how it crosses the wire.

The tree::

    AgoraError
    ├── Refused             a request is wrong; names the field, what was expected and what came
    │   └── IllegalAction   what somebody did is against the rules of the game
    ├── Unavailable         the other side cannot be reached, or went away
    └── Failed              the work cannot go on, and would fail in the same way if it were started again

A ``Refused`` travels in-band as ``agora.v1.Refusal`` where a stream must live on, and otherwise as a gRPC status whose
details (google.rpc.Status) hold the same message.
"""

from __future__ import annotations

import errno
import logging
import uuid

import grpc
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from agora.v1 import policy_pb2 as pb

log = logging.getLogger(__name__)

Reason = pb.Reason

DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
"""Numbers of operating-system errors by which a disk refuses to be written."""

_STATUS = {
    pb.REASON_PROTOCOL_VERSION: grpc.StatusCode.FAILED_PRECONDITION,
    pb.REASON_NOT_READY: grpc.StatusCode.FAILED_PRECONDITION,
    pb.REASON_SPEC_MISMATCH: grpc.StatusCode.FAILED_PRECONDITION,
    pb.REASON_UNKNOWN_AGENT: grpc.StatusCode.NOT_FOUND,
    pb.REASON_UNKNOWN_POLICY: grpc.StatusCode.NOT_FOUND,
    pb.REASON_VERSION_UNAVAILABLE: grpc.StatusCode.FAILED_PRECONDITION,
    pb.REASON_STALE: grpc.StatusCode.ABORTED,
    pb.REASON_DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    pb.REASON_UNKNOWN_ENVIRONMENT: grpc.StatusCode.NOT_FOUND,
    pb.REASON_HASH: grpc.StatusCode.DATA_LOSS,
    pb.REASON_IMMUTABLE: grpc.StatusCode.ALREADY_EXISTS,
    pb.REASON_UNREACHABLE: grpc.StatusCode.UNAVAILABLE,
    pb.REASON_UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    pb.REASON_INTERNAL: grpc.StatusCode.INTERNAL,
    pb.REASON_CAPACITY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    pb.REASON_LEASE: grpc.StatusCode.ABORTED,
    pb.REASON_TOKEN: grpc.StatusCode.UNAUTHENTICATED,
}


class AgoraError(Exception):
    """Root of everything this package raises."""


class Unavailable(AgoraError):
    """The other side cannot be reached, or went away.

    Attributes:
        address: whom we tried.
    """

    def __init__(self, address: str, why: str) -> None:
        super().__init__(address, why)
        self.address = address
        self.why = why

    def __str__(self) -> str:
        return f"{self.address}: {self.why}"


class Failed(AgoraError):
    """The work cannot go on, and would fail in the same way if it were started again; it never crosses the wire."""


class Refused(AgoraError):
    """A request is wrong.

    Attributes:
        reason: what kind, a value of ``agora.v1.Reason``.
        field: path of the wrong field.
        expected: what was expected there.
        got: what came.
        retryable: whether the same request may succeed later.
    """

    def __init__(
        self, reason: pb.Reason.ValueType, field: str, expected: str, got: str, *, retryable: bool = False
    ) -> None:
        super().__init__(reason, field, expected, got)
        self.reason = reason
        self.field = field
        self.expected = expected
        self.got = got
        self.retryable = retryable

    def __str__(self) -> str:
        kind = pb.Reason.Name(self.reason).removeprefix("REASON_")
        return f"{kind}: {self.field}: expected {self.expected}, got {self.got}"

    def under(self, prefix: str) -> Refused:
        """The same refusal with ``prefix`` before its field."""
        field = f"{prefix}.{self.field}" if self.field else prefix
        return Refused(self.reason, field, self.expected, self.got, retryable=self.retryable)

    @property
    def status_code(self) -> grpc.StatusCode:
        """The gRPC status that stands for this reason."""
        return _STATUS.get(self.reason, grpc.StatusCode.INVALID_ARGUMENT)

    def to_proto(self) -> pb.Refusal:
        """As a message."""
        return pb.Refusal(
            reason=self.reason,
            field=self.field,
            expected=self.expected,
            got=self.got,
            message=str(self),
            retryable=self.retryable,
        )

    @classmethod
    def from_proto(cls, message: pb.Refusal) -> Refused:
        """From a message."""
        return cls(message.reason, message.field, message.expected, message.got, retryable=message.retryable)

    def to_status(self) -> grpc.Status:
        """As a gRPC status with the refusal in its details."""
        detail = any_pb2.Any()
        detail.Pack(self.to_proto())
        code: int = self.status_code.value[0]
        status: grpc.Status = rpc_status.to_status(status_pb2.Status(code=code, message=str(self), details=[detail]))
        return status


class IllegalAction(Refused, ValueError):
    """What somebody did is against the rules of the game; nothing has changed by it.

    Environments raise it for what the caller did. Whatever else they raise is taken for their own fault.

    Args:
        field: whose action, and what of it: "station_0.action[3] of copy 1".
        expected: what is legal there.
        got: what came.
    """

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(pb.REASON_OUT_OF_BOUNDS, field, expected, got)


def incident(error: BaseException, where: str) -> Refused:
    """A fault of this process as its callers are told of it: with a number under which the log has the traceback.

    A disk that refuses to be written is no mystery: callers are told so, and the log which file it was.

    Args:
        error: the fault; its text stays in the log.
        where: what was being done, the refusal's field.
    """
    number = uuid.uuid4().hex[:12]
    if isinstance(error, OSError) and error.errno in DISK:
        log.error("incident %s in %s: %s", number, where, told(error))
        expected = "a disk that this server can write to"
        return Refused(pb.REASON_INTERNAL, where, expected, f"{error.strerror} (incident {number})")
    log.error("incident %s in %s", number, where, exc_info=error)
    return Refused(pb.REASON_INTERNAL, where, "no fault", f"incident {number}")


def refusal_in(error: grpc.RpcError) -> Refused | None:
    """The refusal that a failed call carries in its status details, or None."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return None
    status = rpc_status.from_call(error)  # an AioRpcError has what from_call reads
    for detail in status.details if status else ():
        refusal = pb.Refusal()
        if detail.Unpack(refusal):
            return Refused.from_proto(refusal)
    return None


def explain(error: grpc.RpcError, address: str) -> AgoraError:
    """Turn a failed call into this package's errors."""
    refused = refusal_in(error)
    if refused is not None:
        return refused
    code = error.code() if hasattr(error, "code") else None
    details = error.details() if hasattr(error, "details") else str(error)
    return Unavailable(address, f"{code.name if code else 'UNKNOWN'}: {details}")


def told(error: AgoraError | OSError) -> str:
    """What happened, as a sentence for whoever started the process."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def cause_in(error: BaseException) -> AgoraError | OSError | None:
    """The first failure in a group of them, or the error itself, if it is one that a sentence can tell."""
    if isinstance(error, BaseExceptionGroup):
        causes = [cause_in(part) for part in error.exceptions]
        return None if None in causes else causes[0]
    return error if isinstance(error, AgoraError | OSError) else None
