"""``agora check``: its flags, and what it prints."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from agora.conformance.options import AgentOptions, EnvironmentOptions
from agora.ranges import DAY, SHORTEST, range_missed

if TYPE_CHECKING:
    from agora.conformance.checking import Report

EXIT_REFUSED = 2
Options = TypeVar("Options", AgentOptions, EnvironmentOptions)


@dataclass(frozen=True)
class CheckAgent(AgentOptions):
    """Check that an agent service keeps the contract.

    It is dialled at ADDRESS, or dials in itself: with --join the suite listens there and waits for it to join under
    --name with --token. Only what the agent says it can do is asked for.

    Exit codes: 0 nothing failed, 1 something failed, 2 it cannot be reached or a flag is wrong.
    """

    def __call__(self) -> int:
        """Do it."""
        from agora.conformance.checking import check_agent

        return _outcome(check_agent, self)


@dataclass(frozen=True)
class CheckEnv(EnvironmentOptions):
    """Check that an environment server keeps the contract, on one of its games.

    Exit codes: 0 nothing failed, 1 something failed, 2 it cannot be reached or a flag is wrong.
    """

    def __call__(self) -> int:
        """Do it."""
        from agora.conformance.checking import check_env

        return _outcome(check_env, self)


Suite = (
    Annotated[CheckAgent, tyro.conf.subcommand("agent", prefix_name=False)]
    | Annotated[CheckEnv, tyro.conf.subcommand("env", prefix_name=False)]
)


def _outcome(check: Callable[[Options], Coroutine[Any, Any, Report]], options: Options) -> int:
    """Print what a suite found, or why it could not be run; the exit code."""
    from agora.errors import AgoraError, Refused
    from agora.v1 import policy_pb2

    try:
        if expected := range_missed(options.timeout, SHORTEST, DAY):
            raise Refused(policy_pb2.REASON_CONFIG, "timeout", expected, f"{options.timeout:,}")
        report = asyncio.run(check(options))
    except AgoraError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    if options.json:
        print(report.as_json())
    else:
        report.print()
    return report.exit_code
