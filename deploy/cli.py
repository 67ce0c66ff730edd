"""The ``agora`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, UseAppendAction

from agora.conformance.commands import Suite
from agora.failures import MAX_FAILED_SHARE
from agora.terminal import write_what_can_be_written
from deploy.errors import EXIT_FAILED
from deploy.handing_on import COMMANDS, hand_on


@dataclass(frozen=True)
class Run:
    """Run an experiment on this machine until it has converged, or has learned from as many steps as it may.

    Starts the policy registry, the environment servers, an agent service per agent and the trainer as processes,
    shows their progress, restarts what dies, and ends with a table and a report. Ctrl-C stops all of them; --resume
    continues.

    Exit codes: 0 finished, 1 failed, 2 the experiment or a flag is wrong, 128 + N stopped by signal N.
    """

    experiment: Positional[Path]
    """The experiment's file, such as examples/melbourne.yaml."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE: change a setting, such as training.epsilon=0.01; may be given several times."""
    runs_dir: Path = Path("runs")
    """The folder in which runs lie."""
    game: UseAppendAction[tuple[str, ...]] = ()
    """NAME=MODULE:CLASS: a game of your own, under that name; may be given several times. As environment.games in the
    file."""
    pettingzoo_module: UseAppendAction[tuple[str, ...]] = ()
    """A module from which PettingZoo environments may be imported; may be given several times. As
    environment.pettingzoo_modules in the file."""
    name: str | None = None
    """The run's name. Default: the experiment's, with a number added if that run exists."""
    resume: bool = False
    """Continue the run of that name where it stopped; only training.max_environment_steps and training.epsilon may
    differ."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.commands import run

        return run(
            self.experiment,
            self.set,
            self.runs_dir,
            self.name,
            self.game,
            self.pettingzoo_module,
            resume=self.resume,
        )


@dataclass(frozen=True)
class Play:
    """Let agents meet in a game on this machine; nobody learns. Prints what each of them earned.

    Starts an environment server, and an agent service for every agent that has no address of its own. A service that
    does not answer within the deadline is asked once more; then the game's own default answers for it, if it has one.

    Exit codes: 0 finished, 1 failed, 2 a flag is wrong, 130 stopped by Ctrl-C.
    """

    environment: Positional[str]
    """The game, such as scml or charging; agora describe tells of all games and their settings."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE: a setting of the game, such as days=20 or seats='[[service, penguin], [penguin, penguin]]'; may be
    given several times."""
    policy: str = "scripted:random"
    """Who plays agents without a seat: scripted:NAME or onnx:FILE."""
    seat: UseAppendAction[tuple[str, ...]] = ()
    """AGENT=POLICY or AGENT=HOST:PORT, the address of an agent service that runs already; may be given several
    times."""
    game: UseAppendAction[tuple[str, ...]] = ()
    """NAME=MODULE:CLASS: a game of your own, under that name; may be given several times."""
    pettingzoo_module: UseAppendAction[tuple[str, ...]] = ()
    """A module from which PettingZoo environments may be imported; may be given several times."""
    copies: int = 8
    """Episodes played side by side."""
    blocks: int = 1
    """How often they are played."""
    seed: int = 0
    """Of everything that is drawn."""
    deadline: float = 5.0
    """Seconds that a service may take for a decision."""
    log: Path | None = None
    """A folder to keep the trajectories in, in its subfolder trajectories; agora market reads it."""
    max_failed_share: float = MAX_FAILED_SHARE
    """If the environment itself fails in a larger share of the episodes, the exit code is 1."""
    json: bool = False
    """Print JSON instead of a table, with every episode's return; null of those in which the environment failed."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.commands import play

        counts = {"copies": self.copies, "blocks": self.blocks, "seed": self.seed}
        return play(
            self.environment,
            self.set,
            self.policy,
            self.seat,
            self.game,
            self.pettingzoo_module,
            **counts,
            deadline=self.deadline,
            log=self.log,
            max_failed_share=self.max_failed_share,
            as_json=self.json,
        )


@dataclass(frozen=True)
class Serve:
    """Keep a game and its agents running on this machine, for clients that act for one of the agents.

    Starts an environment server, and an agent service for every other agent that has no address of its own. Prints
    where they are, with lines to paste, and stays until Ctrl-C or SIGTERM; then it stops them. Every client plays a
    game of its own, with these agents.

    Exit codes: 0 told to stop, 1 a process failed or ended, 2 a flag is wrong.
    """

    environment: Positional[str]
    """The game, such as scml or charging; agora describe tells of all games and their settings."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE: a setting of the game, such as episode_rounds=20; may be given several times."""
    policy: str = "scripted:random"
    """Who plays agents without a seat: scripted:NAME or onnx:FILE."""
    seat: UseAppendAction[tuple[str, ...]] = ()
    """AGENT=POLICY or AGENT=HOST:PORT, the address of an agent service that runs already; may be given several
    times."""
    game: UseAppendAction[tuple[str, ...]] = ()
    """NAME=MODULE:CLASS: a game of your own, under that name; may be given several times."""
    pettingzoo_module: UseAppendAction[tuple[str, ...]] = ()
    """A module from which PettingZoo environments may be imported; may be given several times."""
    agent: str | None = None
    """Whom clients act for. Default: the first agent without a seat."""
    listen: str | None = None
    """HOST:PORT or unix:PATH of the environment server. Default: a free port on loopback."""
    dm_env_rpc: str | None = None
    """HOST:PORT of an endpoint for dm_env_rpc clients. Default: none."""
    openenv: str | None = None
    """HOST:PORT of an endpoint for OpenEnv and MCP clients. Default: none."""
    lobby_tokens: Path | None = None
    """YAML file of lines NAME: TOKEN. Agents that dial in to the environment server with one of them may be seated, as
    --seat AGENT=lobby:NAME."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.commands import serve

        doors = {"dm-env-rpc": self.dm_env_rpc, "openenv": self.openenv}
        asked = {flag: address for flag, address in doors.items() if address is not None}
        return serve(
            self.environment,
            self.set,
            self.policy,
            self.seat,
            self.game,
            self.pettingzoo_module,
            self.agent,
            self.listen,
            asked,
            self.lobby_tokens,
        )


@dataclass(frozen=True)
class Describe:
    """Tell what runs at an address: its health, its services, and what they hold."""

    address: Positional[str]
    """HOST:PORT or unix:PATH; runs/NAME/processes.json lists those of a run."""
    json: bool = False
    """Print JSON instead of tables."""
    timeout: float = 60.0
    """Seconds that each answer may take; building a game for the first time may compile it. Nothing at the
    address is told after 5 s."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.describe import describe

        return describe(self.address, as_json=self.json, timeout=self.timeout)


@dataclass(frozen=True)
class Check:
    """Check that an agent or an environment server keeps the contract, by cases that send what no client would."""

    suite: tyro.conf.OmitArgPrefixes[Suite]
    """What is checked."""

    def __call__(self) -> int:
        """Do it."""
        return self.suite()


@dataclass(frozen=True)
class Report:
    """Write a run's report.html anew."""

    run: Positional[Path]
    """The run's folder, such as runs/melbourne."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.commands import report

        return report(self.run)


@dataclass(frozen=True)
class Scml:
    """Play and judge the supply-chain league on its own engine.

    league compares policies on the same worlds; official plays the engine's own tournament; audit counts unsafe
    decisions of a run; analyze shows runs in the browser. agora scml COMMAND --help tells more.
    """

    command: Positional[Literal["league", "official", "audit", "analyze"]]
    """What to do; all that follows is handed on to it."""

    def __call__(self) -> int:
        """Do it."""
        hand_on("scml", self.command, ())


@dataclass(frozen=True)
class Market:
    """Look at a run of the order-book market.

    facts tells which stylised facts its episodes have; quality measures spreads, depth and prices, and what agents
    earned; replay writes a page that replays an episode. agora market COMMAND --help tells more.
    """

    command: Positional[Literal["facts", "quality", "replay"]]
    """What to do; all that follows is handed on to it."""

    def __call__(self) -> int:
        """Do it."""
        hand_on("market", self.command, ())


@dataclass(frozen=True)
class Version:
    """Print the release."""

    def __call__(self) -> int:
        """Do it."""
        from agora.version import software

        print(software())
        return 0


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Describe, tyro.conf.subcommand("describe")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Scml, tyro.conf.subcommand("scml")]
    | Annotated[Market, tyro.conf.subcommand("market")]
    | Annotated[Version, tyro.conf.subcommand("version")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments ask for, and exit with its code."""
    write_what_can_be_written()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if len(words) > 1 and words[1] in COMMANDS.get(words[0], {}):
        hand_on(words[0], words[1], words[2:])  # with --help and flags that are none of ours
    command: Run | Play | Serve | Describe | Check | Report | Scml | Market | Version = tyro.cli(
        Command,
        prog="agora",
        description="Multi-agent economies as services.",
        args=words,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        code = command()
    except OSError as error:  # a full disk, or a folder that may not be written
        from agora.errors import told

        print(f"agora: {told(error)}", file=sys.stderr)
        code = EXIT_FAILED
    sys.exit(code)


if __name__ == "__main__":
    main()
