"""Episodes that an environment itself failed in: counted, told with the first cause, and too many of them an end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agora.v1 import rollout_pb2 as pb

MAX_FAILED_SHARE: Final = 0.1
"""Where nothing else is said, a larger share of failed episodes makes the whole fail."""


def words(failure: pb.EpisodeFailure) -> str:
    """A failure in a line: which copy, when, whose, and why."""
    when = "in its reset" if failure.step < 0 else f"in step {failure.step}"
    return f"copy {failure.copy} {when}{f', {failure.agent}' if failure.agent else ''}: {failure.cause}"


@dataclass
class Failures:
    """How many episodes were played, and how many of them failed.

    Attributes:
        episodes: played, those that failed included.
        failed: of them.
        first: the first failure, in words; empty without one.
    """

    episodes: int = 0
    failed: int = 0
    first: str = ""

    def add(self, episodes: int, failures: Iterable[str]) -> None:
        """Count episodes; a failure each for those that failed."""
        self.episodes += episodes
        for text in failures:
            self.failed += 1
            self.first = self.first or text

    def excess(self, share: float) -> str:
        """What is to be told if more than ``share`` of the episodes failed; empty if not."""
        return f"{self}: more than the allowed share of {share:g}" if self.failed > share * self.episodes else ""

    def __str__(self) -> str:
        told = f"{self.failed:,} of {self.episodes:,} episodes failed"
        return f"{told}; the first, {self.first}" if self.failed else told
