"""``agora check``: its flags, and what it prints."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional

if TYPE_CHECKING:
    from agora.conformance.checking import Report

EXIT_REFUSED = 2
Pattern = Annotated[str, tyro.conf.arg(aliases=["-k"])]


@dataclass(frozen=True)
class CheckAgent:
    """Check that an agent service keeps the contract.

    It is dialled at ADDRESS, or dials in itself: with --join the suite listens there and waits for it to join under
    --name with --token. Only what the agent says it can do is asked for.

    Exit codes: 0 nothing failed, 1 something failed, 2 it cannot be reached or a flag is wrong.
    """

    address: Positional[str] = ""
    """HOST:PORT or unix:PATH of the agent service."""
    join: str = ""
    """HOST:PORT to listen on for an agent that dials in."""
    name: str = "agent"
    """The name under which it joins."""
    token: str = ""
    """The token that it shows."""
    spaces_of: tuple[str, str] | None = None
    """ADDRESS GAME: try it on the spaces of this game of a running environment server, before those built in."""
    pattern: Pattern = ""
    """Run only cases whose name (topic.case) contains this."""
    timeout: float = 5.0
    """Seconds to wait for each answer."""
    json: bool = False
    """Print JSON instead of tables."""

    def __call__(self) -> int:
        """Do it."""
        from agora.conformance.checking import check_agent

        return _outcome(check_agent(self), as_json=self.json)


@dataclass(frozen=True)
class CheckEnv:
    """Check that an environment server keeps the contract, on one of its games.

    Exit codes: 0 nothing failed, 1 something failed, 2 it cannot be reached or a flag is wrong.
    """

    address: Positional[str]
    """HOST:PORT or unix:PATH of the environment server."""
    environment: str = "charging"
    """The game."""
    config: str = "{}"
    """The game's configuration, a JSON object; short episodes make a short check."""
    pattern: Pattern = ""
    """Run only cases whose name (topic.case) contains this."""
    timeout: float = 20.0
    """Seconds to wait for each answer; building the game may take longer."""
    json: bool = False
    """Print JSON instead of tables."""

    def __call__(self) -> int:
        """Do it."""
        from agora.conformance.checking import check_env

        return _outcome(check_env(self), as_json=self.json)


Suite = (
    Annotated[CheckAgent, tyro.conf.subcommand("agent", prefix_name=False)]
    | Annotated[CheckEnv, tyro.conf.subcommand("env", prefix_name=False)]
)


def _outcome(checking: Coroutine[Any, Any, Report], *, as_json: bool) -> int:
    """Print what a suite found, or why it could not be run; the exit code."""
    from agora.errors import AgoraError

    try:
        report = asyncio.run(checking)
    except AgoraError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    if as_json:
        print(report.as_json())
    else:
        report.print()
    return report.exit_code
