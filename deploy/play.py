"""``agora play``: agents meet in a game, nobody learns; prints what each of them earned."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from agora import terminal
from agora.channels import connect
from agora.codec import from_tensor
from agora.errors import Refused, explain
from agora.failures import MAX_FAILED_SHARE, Failures, words
from agora.v1 import environment_pb2, policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc, seat_pb2
from agora.waiting import waiting
from deploy.errors import EXIT_FAILED, BadExperiment, Fault, LaunchError, ProcessFailed
from deploy.experiment import EnvironmentSettings
from deploy.probing import describe_environment
from deploy.services import Services, check_agents

RETRIES = 1
"""How often a service is asked again that did not answer within the deadline."""


@dataclass(frozen=True)
class Game:
    """What is played, and by whom.

    Attributes:
        settings: the environment's name and configuration, and where it comes from.
        policy: who plays agents without a seat: "scripted:NAME", or "onnx:FILE".
        seats: agent to such a policy, or to the address of a running agent service.
        copies: episodes side by side.
        blocks: how often.
        seed: of everything.
        deadline: seconds that a service may take for a decision.
        log: folder in which the trajectories are kept, in ``trajectories``; None: nowhere.
        max_failed_share: if more of the episodes fail, all of it has failed.
    """

    settings: EnvironmentSettings
    policy: str
    seats: dict[str, str]
    copies: int
    blocks: int
    seed: int
    deadline: float
    log: Path | None = None
    max_failed_share: float = MAX_FAILED_SHARE

    @property
    def keeping(self) -> list[str]:
        """Flags of the environment server that say where the log goes."""
        return ["--log-directory", str((self.log / "trajectories").resolve())] if self.log else []


@dataclass
class Earned:
    """What all blocks came to.

    Attributes:
        returns: per agent, its return in every episode; NaN in those that failed.
        summary: the server's.
        failures: episodes that the environment failed in.
    """

    returns: dict[str, list[float]]
    failures: Failures = field(default_factory=Failures)
    summary: pb.CollectSummary = field(default_factory=pb.CollectSummary)


def play(game: Game, as_json: bool) -> int:
    """Play, and print a table or JSON; see ``agora play --help``.

    Returns:
        The exit code.
    """
    errors = terminal.console(stderr=True)
    try:
        earned = asyncio.run(_Table(game, errors).play())
    except LaunchError as error:
        errors.print(str(error), style="red", soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    _show(earned, game, as_json)
    if excess := earned.failures.excess(game.max_failed_share):
        errors.print(f"{excess} (--max-failed-share)", style="red", soft_wrap=True)
        return EXIT_FAILED
    return 0


class _Table:
    """One game's processes, and the game."""

    def __init__(self, game: Game, console: Console) -> None:
        self._game, self._console = game, console

    async def play(self) -> Earned:
        """Start what is needed, play, stop it.

        Raises:
            LaunchError: a process failed, or something asked for is wrong.
        """
        game = self._game
        async with Services(self._say) as services:
            server = await services.start("env_server", "env_server", [*game.settings.imports, *game.keeping])
            log = services.log("env_server")
            about = await describe_environment(server, game.settings, "--set", log, self._say)
            check_agents("--seat", list(game.seats), about["agents"])
            seats = await services.seat({agent: game.seats.get(agent, game.policy) for agent in about["agents"]})
            return await self._collect(server, about["agents"], seats, log)

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", soft_wrap=True)

    async def _collect(self, server: str, agents: Sequence[str], seats: dict[str, str], log: Path) -> Earned:
        game, earned = self._game, Earned({agent: [] for agent in agents})
        config = json.dumps(game.settings.config, default=str)
        request = pb.CollectRequest(
            run="play",
            log=game.log is not None,
            environment=environment_pb2.EnvironmentSpec(
                name=game.settings.name, config_json=config, num_envs=game.copies
            ),
            seats=[seat_pb2.Seat(agent=agent, addresses=[seats[agent]]) for agent in agents],
            seed=game.seed,
            num_blocks=game.blocks,
            deadline_us=int(game.deadline * 1e6),
            fallback=pb.FALLBACK_ENVIRONMENT_DEFAULT,
            retries=RETRIES,
            outcomes_only=True,
        )
        totals = {agent: np.zeros(game.copies) for agent in agents}
        title = TextColumn("{task.description}", markup=False)
        columns = (title, *Progress.get_default_columns()[1:])
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(f"{game.settings.name}: {game.copies} copies", total=game.blocks)

            def what() -> str:
                number = int(progress.tasks[0].completed) + 1
                block = f"block {min(number, game.blocks)} of {game.blocks}"
                most = (1 + RETRIES) * game.deadline
                return f"{block}; it takes as long as the game does, and each decision at most {most:g} s"

            async with waiting(what, self._say):
                async for item in _items(server, request, log):
                    if item.WhichOneof("kind") == "summary":
                        earned.summary.CopyFrom(item.summary)
                        continue
                    for agent, part in zip(agents, item.segment.agents, strict=True):
                        totals[agent] += from_tensor(part.reward).sum(axis=0)
                    if item.segment.last:
                        progress.advance(task)
                        failures = item.segment.failures
                        earned.failures.add(game.copies, map(words, failures))
                        failed = sorted({failure.copy for failure in failures})
                        for agent, total in totals.items():
                            total[failed] = np.nan
                            earned.returns[agent] += total.tolist()
                            total[:] = 0.0
        return earned


async def _items(server: str, request: pb.CollectRequest, log: Path) -> Any:
    """The answers; games without a default action end with the first service that fails.

    Raises:
        BadExperiment: the server or a service refused something.
        ProcessFailed: the server failed, or is gone.
    """
    async with connect(server) as channel:
        stub = rollout_pb2_grpc.RolloutServiceStub(channel)
        while True:
            try:
                async for item in stub.Collect(request):
                    yield item
                return
            except grpc.aio.AioRpcError as error:
                problem = explain(error, server)
                if not isinstance(problem, Refused) or problem.reason == policy_pb2.REASON_INTERNAL:
                    raise ProcessFailed("env_server", str(problem), log) from None
                if problem.reason != policy_pb2.REASON_UNSUPPORTED or request.fallback == pb.FALLBACK_ABORT:
                    raise BadExperiment("play", [Fault(problem.field, problem.expected, problem.got)]) from None
                request.fallback = pb.FALLBACK_ABORT


def _show(earned: Earned, game: Game, as_json: bool) -> None:
    summary = earned.summary
    seconds = summary.duration_us / 1e6
    facts = {
        "episodes": game.copies * summary.blocks,
        "steps": summary.environment_steps,
        "seconds": seconds,
        "substituted": summary.substituted_actions,
        "reconnects": summary.reconnects,
        "failed": earned.failures.failed,
        "first_failure": earned.failures.first,
    }
    if as_json:
        told = {agent: [None if np.isnan(v) else v for v in values] for agent, values in earned.returns.items()}
        print(json.dumps({**facts, "returns": told}, indent=2))
        return
    table = Table("agent", "played by", box=None, padding=(0, 2, 0, 0))
    for heading in ("mean return", "± 95 %"):
        table.add_column(heading, justify="right")
    for agent, returns in earned.returns.items():
        values = [value for value in returns if not np.isnan(value)] or [float("nan")]
        spread = f"{1.96 * np.std(values, ddof=1) / np.sqrt(len(values)):.2g}" if len(values) > 1 else "-"
        table.add_row(agent, game.seats.get(agent, game.policy), f"{np.mean(values):.4g}", spread)
    console = terminal.console(file=sys.stdout)
    console.print(table)
    rate = summary.environment_steps / seconds if seconds else 0.0
    console.print(
        f"{facts['episodes']} episodes, {facts['steps']} steps in {seconds:.1f} s ({rate:,.0f} a second), "
        f"{facts['substituted']} default answers, {facts['reconnects']} reconnects",
        highlight=False,
    )
    if earned.failures.failed:
        text = f"{earned.failures}; the means leave them out"
        console.print(text, style="red", soft_wrap=True)
