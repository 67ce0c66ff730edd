"""Environments that failed: counted, and told in the log without flooding it."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter

from env_server.environments.pettingzoo.chunk import Failure

log = logging.getLogger(__name__)

FAILURES = Counter("agora_environment_failures", "Episodes that ended because the environment failed.")


class Failures:
    """What failed in one environment's copies; the same fault is told the 1st, 10th, 100th ... time."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._times: Tally[str] = Tally()

    def note(self, failures: Iterable[Failure]) -> None:
        """Count and tell."""
        for failure in failures:
            FAILURES.inc()
            self._times[failure.place] += 1
            times = self._times[failure.place]
            if str(times).rstrip("0") == "1":
                self._tell(failure, times)

    def _tell(self, failure: Failure, times: int) -> None:
        log.error(
            "environment failed source=%s copy=%d agent=%s step=%d times=%d\n%s",
            self._source,
            failure.copy,
            failure.agent or "-",
            failure.step,
            times,
            failure.text.rstrip(),
        )
