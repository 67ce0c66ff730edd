# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m scml_engine league|official``, which ``agora scml`` starts."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from agora.terminal import complain, write_what_can_be_written
from scml_engine.league.errors import EXIT_FAILED, EXIT_REFUSED, RefusedError, Stopped, stoppable
from scml_engine.league.options import League, Official

ENGINE = ("negmas", "pebble", "scml", "scml_agents")
Command = Annotated[League, tyro.conf.subcommand("league")] | Annotated[Official, tyro.conf.subcommand("official")]


def _run(command: League | Official) -> int:
    """Do it; what that takes is imported only now, so that help is quick."""
    if isinstance(command, League):
        from scml_engine.league.run import league

        return league(command)
    from scml_engine.league.official import official

    return official(command)


def main() -> None:
    """Run the command that the arguments ask for, and exit with its code."""
    write_what_can_be_written()
    command: League | Official = tyro.cli(
        Command,
        prog="agora scml",
        description="Tournaments of the supply-chain league.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        with stoppable():
            sys.exit(_run(command))
    except RefusedError as error:
        complain(str(error))
        sys.exit(EXIT_REFUSED)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ENGINE:
            raise
        complain(f"the engine is not installed: {error.name} is missing; make install, or pip install 'agora[scml]'")
        sys.exit(EXIT_FAILED)
    except OSError as error:  # a full disk, or a folder that may not be written
        from agora.errors import told

        complain(told(error))
        sys.exit(EXIT_FAILED)
    except Stopped as stopped:
        sys.exit(128 + stopped.signal)


if __name__ == "__main__":
    main()
