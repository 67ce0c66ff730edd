"""What a case is, and how one ends."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Subject(Protocol):
    """What is checked: an agent or an environment server.

    Attributes:
        patience: seconds to wait for each answer.
    """

    patience: float

    async def rest(self) -> None:
        """Give back what a case took, however it ended."""
        ...


S = TypeVar("S", bound=Subject)
Check = Callable[[S], Awaitable[None]]


SILENCE = "nothing"
"""How the word on what came begins where nothing did."""


class Failed(Exception):
    """The contract is not kept.

    Attributes:
        expected: what the contract says.
        got: what came.
    """

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got


class NotApplicable(Exception):
    """The case asks for something that the other side does not claim to do; the text says what."""


@dataclass(frozen=True)
class Case(Generic[S]):
    """One thing that the contract asks for.

    Attributes:
        topic: the part of the contract.
        name: unique in its topic.
        asked: what is asked, one sentence.
        check: raises ``Failed`` or ``NotApplicable``.
        optional: whether this is a recommendation.
    """

    topic: str
    name: str
    asked: str
    check: Check[S]
    optional: bool = False

    @property
    def id(self) -> str:
        """``topic.name``."""
        return f"{self.topic}.{self.name}"


class Topic(Generic[S]):
    """The cases of one part of the contract."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case[S]] = []

    def case(self, check: Check[S]) -> Check[S]:
        """Add a function: its name is the case's, its docstring says what is asked."""
        return self.add(getattr(check, "__name__", ""), inspect.getdoc(check) or "", check)

    def recommended(self, check: Check[S]) -> Check[S]:
        """Add a function that asks for what the contract only recommends."""
        return self.add(getattr(check, "__name__", ""), inspect.getdoc(check) or "", check, optional=True)

    def add(self, name: str, asked: str, check: Check[S], *, optional: bool = False) -> Check[S]:
        """Add a case under a name of its own."""
        self.cases.append(Case(self.name, name, asked.rstrip("."), check, optional))
        return check


def expect(holds: bool, expected: str, got: object) -> None:
    """Fail unless something holds.

    Raises:
        Failed: it does not.
    """
    if not holds:
        raise Failed(expected, str(got))


def expect_equal(got: object, expected: object, what: str) -> None:
    """Fail unless two values are the same.

    Raises:
        Failed: they are not.
    """
    expect(got == expected, f"{what} {expected}", got)
