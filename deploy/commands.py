"""What the ``agora`` commands do, with the exit code they end with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from agora import terminal
from agora.ranges import DAY, SHORTEST, range_missed
from agora.terminal import complain
from deploy.errors import EXIT_FAILED, BadExperiment, Fault, LaunchError, log_tail
from deploy.experiment import Experiment
from deploy.launcher import Launcher
from deploy.loading import chosen, load
from deploy.play import Game, play as play_game
from deploy.run_folder import RunFolder, create, reopen
from deploy.serve import Offer, serve as serve_offer
from deploy.services import seats_of

REPORT_SECONDS = 300
MOST_COPIES: Final = 65_536
MOST_BLOCKS: Final = 2**32 - 1
Number = TypeVar("Number", int, float)
SECTIONS: Final[Mapping[str, str]] = {"market": "analysis.market.report"}
"""By the fact of a game that asks for it: the program that writes a section of the report from the trajectory log."""


def run(
    path: Path,
    assignments: Sequence[str],
    runs: Path,
    name: str | None,
    games: Sequence[str],
    modules: Sequence[str],
    *,
    resume: bool,
) -> int:
    """Run an experiment from its file; see ``agora run --help``."""
    console, errors = terminal.console(), terminal.console(stderr=True)
    try:
        experiment = load(path, assignments, name, games, modules)
        folder, experiment = _folder(runs, experiment, name is not None, resume, console)
        return _launch(experiment, folder, console, fresh=not resume)
    except LaunchError as error:
        errors.print(str(error), style="red", soft_wrap=True)
        return error.exit_code


def play(
    environment: str,
    assignments: Sequence[str],
    policy: str,
    seats: Sequence[str],
    games: Sequence[str],
    modules: Sequence[str],
    *,
    copies: int,
    blocks: int,
    seed: int,
    deadline: float,
    log: Path | None,
    max_failed_share: float,
    as_json: bool,
) -> int:
    """Let agents meet; see ``agora play --help``."""
    try:
        game = Game(
            settings=chosen(environment, assignments, games, modules),
            policy=policy,
            seats=seats_of(seats),
            copies=_within("--copies", copies, 1, MOST_COPIES),
            blocks=_within("--blocks", blocks, 1, MOST_BLOCKS),
            seed=_within("--seed", seed, 0, 2**63 - 1),
            deadline=_within("--deadline", deadline, SHORTEST, DAY),
            log=log,
            max_failed_share=_within("--max-failed-share", max_failed_share, 0, 1),
        )
    except LaunchError as error:
        complain(str(error))
        return error.exit_code
    return play_game(game, as_json)


def serve(
    environment: str,
    assignments: Sequence[str],
    policy: str,
    seats: Sequence[str],
    games: Sequence[str],
    modules: Sequence[str],
    agent: str | None,
    listen: str | None,
    doors: Mapping[str, str],
    lobby_tokens: Path | None,
) -> int:
    """Keep a game running; see ``agora serve --help``."""
    try:
        offer = Offer(
            settings=chosen(environment, assignments, games, modules),
            policy=policy,
            seats=seats_of(seats),
            agent=agent,
            listen=listen,
            doors=doors,
            lobby_tokens=lobby_tokens,
        )
    except LaunchError as error:
        complain(str(error))
        return error.exit_code
    return serve_offer(offer)


def _within(flag: str, value: Number, least: float, most: float) -> Number:
    if expected := range_missed(value, least, most):
        raise BadExperiment(flag, [Fault("(flag)", expected, f"{value:,}")])
    return value


def report(run_directory: Path, log: Path | None = None) -> int:
    """Write a run's report; with ``log`` its output goes there instead of here, and it may not take forever.

    Returns:
        The exit code of the page's program; a section that fails is missing on the page, and says why in the output.
    """
    seconds = REPORT_SECONDS if log else None
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        for program in [*_sections(RunFolder(run_directory)), "trainer.report"]:
            command = [sys.executable, "-m", program, str(run_directory)]
            finished = subprocess.run(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, timeout=seconds, check=False
            )
    return finished.returncode


def _sections(folder: RunFolder) -> list[str]:
    """Programs that write sections of a run's report; none where nothing was logged."""
    if not (folder.environment.is_file() and any(folder.trajectories.glob("*.parquet"))):
        return []
    try:
        facts = json.loads(folder.environment.read_text())["facts"]
    except (ValueError, KeyError):
        return []
    return [program for fact, program in SECTIONS.items() if fact in facts]


def _folder(
    runs: Path, experiment: Experiment, named: bool, resume: bool, console: Console
) -> tuple[RunFolder, Experiment]:
    if resume:
        return reopen(runs, experiment)
    return create(runs, experiment, named, lambda text: console.print(text, style="yellow", soft_wrap=True))


def _launch(experiment: Experiment, folder: RunFolder, console: Console, *, fresh: bool) -> int:
    with folder.locked():
        folder.write_config(experiment)
        greeting = f"run {folder.path} · config.yaml holds all settings · output of processes in logs/"
        console.print(greeting, soft_wrap=True)
        try:
            stopped_by = Launcher(experiment, folder, console).run()
        except BadExperiment:
            if fresh:  # nothing was learned yet, and the mended experiment wants the name
                shutil.rmtree(folder.path)
            raise
        if stopped_by is not None:
            again = f"agora run {folder.config} --runs-dir {folder.path.parent} --resume"
            console.print(f"stopped by {stopped_by.name}; continue with:\n  {again}", soft_wrap=True)
            return 128 + stopped_by
        return _report(folder, console)


def _report(folder: RunFolder, console: Console) -> int:
    log = folder.log("report")
    try:
        code = report(folder.path, log)
    except subprocess.TimeoutExpired:
        console.print(f"the report took longer than {REPORT_SECONDS} s", style="red")
        code = EXIT_FAILED
    if code != 0 or not folder.report.exists():
        console.print(f"the run is finished, but its report failed:\n{log_tail(log)}", style="red")
        return EXIT_FAILED
    console.print(f"report: {folder.report}", soft_wrap=True)
    return 0
