"""What every refusal must say."""

from __future__ import annotations

from agora.conformance.case import expect, expect_equal
from agora.v1 import agent_pb2, policy_pb2

Reason = int
"""A value of ``agora.v1.Reason``."""


def expect_words(refusal: policy_pb2.Refusal, reason: Reason | None, field: str | None) -> None:
    """Fail unless a refusal gives a reason and says in words what is wrong.

    Args:
        refusal: what came.
        reason: which reason it must give; None: any.
        field: what its field must be or end with after a dot; None: any.

    Raises:
        Failed: another reason or field, or words are missing.
    """
    known = refusal.reason in policy_pb2.Reason.values() and refusal.reason != policy_pb2.REASON_UNSPECIFIED
    expect(known, "a reason of the contract", refusal.reason)
    if reason is not None:
        expect(refusal.reason == reason, _name(reason), f"{_name(refusal.reason)}: {refusal.message}")
    if field is not None:
        fits = refusal.field == field or refusal.field.endswith(f".{field}")
        expect(fits, f"the field {field}", refusal.field or "none")
    for words in ("field", "expected", "got", "message"):
        expect(bool(getattr(refusal, words)), f"words in {words}", "none")


def _name(reason: Reason) -> str:
    return policy_pb2.Reason.Name(policy_pb2.Reason.ValueType(reason))


def expect_refusal(
    refusal: agent_pb2.FrameRefusal, sequence: int | None, reason: Reason | None, field: str | None
) -> None:
    """The same for a refused hello (sequence 0) or frame; with ``sequence`` None it may have any number.

    Raises:
        Failed: another number, reason or field, or words are missing.
    """
    if sequence is not None:
        expect_equal(refusal.sequence, sequence, "sequence")
    expect_words(refusal.refusal, reason, field)
