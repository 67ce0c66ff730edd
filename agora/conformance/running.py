"""Runs cases one after the other; whatever the other side does, every case ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import grpc
import grpc.aio

from agora.conformance.case import SILENCE, Case, Failed, NotApplicable, S
from agora.errors import Refused, explain


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    ADVICE = "advice"
    """A recommendation is not followed; that is no failure."""


@dataclass(frozen=True)
class Outcome:
    """One case's end.

    Attributes:
        id: ``topic.name`` of the case.
        asked: what was asked.
        verdict: how it ended.
        expected: what the contract says; for a case that is not applicable, why.
        got: what came.
        seconds: how long it took.
    """

    id: str
    asked: str
    verdict: Verdict
    expected: str = ""
    got: str = ""
    seconds: float = 0.0

    @property
    def hung(self) -> bool:
        """Whether the case failed because an answer did not come."""
        return self.verdict is not Verdict.PASSED and self.got.startswith(SILENCE)


def chosen(cases: Iterable[Case[S]], pattern: str) -> list[Case[S]]:
    """The cases whose id contains a pattern."""
    return [case for case in cases if pattern in case.id]


async def run_cases(cases: Sequence[Case[S]], subject: S, limit: float) -> AsyncIterator[Outcome]:
    """Run cases in their order; each may take ``limit`` seconds.

    As long as answers do not come, they are waited for less and less, down to a quarter of the subject's patience.
    """
    patience = subject.patience
    for case in cases:
        outcome = await _run(case, subject, limit)
        subject.patience = max(subject.patience / 2, patience / 4) if outcome.hung else patience
        yield outcome


async def _run(case: Case[S], subject: S, limit: float) -> Outcome:
    start = time.perf_counter()
    verdict, expected, got = await _verdict(case, subject, limit)
    await subject.rest()
    if verdict is Verdict.FAILED and case.optional:
        verdict = Verdict.ADVICE
    return Outcome(case.id, case.asked, verdict, expected, got, time.perf_counter() - start)


async def _verdict(case: Case[S], subject: S, limit: float) -> tuple[Verdict, str, str]:
    try:
        async with asyncio.timeout(limit):
            await case.check(subject)
    except NotApplicable as error:
        return Verdict.NOT_APPLICABLE, str(error), ""
    except Failed as error:
        return Verdict.FAILED, error.expected, error.got
    except TimeoutError:
        return Verdict.FAILED, f"the case to end within {limit:g} s", f"{SILENCE} more"
    except grpc.RpcError as error:
        return Verdict.FAILED, "a call that goes on", str(explain(error, "the other side"))
    except Refused as error:
        return Verdict.FAILED, f"{error.field}: {error.expected}", error.got
    except Exception as error:  # an answer may be malformed in ways that no case looks for
        return Verdict.FAILED, "a well-formed answer", repr(error)
    return Verdict.PASSED, "", ""
