"""``python -m agora.conformance agent|env``: see ``--help``."""

from __future__ import annotations

import sys

import tyro

from agora.conformance.commands import Suite

if __name__ == "__main__":
    command = tyro.cli(
        Suite,
        prog="python -m agora.conformance",
        description="Check that an agent or an environment server keeps the contract.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    sys.exit(command())
