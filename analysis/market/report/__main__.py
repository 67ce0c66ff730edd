"""``python -m analysis.market.report RUN_DIRECTORY``: write ``sections/market.json`` into the run's folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agora.errors import told
from analysis.market.report.section import write_section


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the section.

    Returns:
        The exit status: 0, or 1 where the folder has no market's log, or one that cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m analysis.market.report", description="Write a market's section.")
    parser.add_argument("run_directory", type=Path, help="the run's folder, for example runs/market")
    try:
        write_section(parser.parse_args(arguments).run_directory)
    except OSError as error:
        print(told(error), file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
