"""``python -m trainer.report RUN_DIRECTORY [--output FILE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agora.errors import told
from trainer.report.page import write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report and print where it is.

    Returns:
        The exit status: 0, 1 where the page cannot be written, or 2 where there is no run to report.
    """
    parser = argparse.ArgumentParser(prog="python -m trainer.report", description="Write the report of a run.")
    parser.add_argument("run_directory", type=Path, help="the run's folder, for example runs/melbourne")
    parser.add_argument("--output", type=Path, help="the file to write; default: RUN_DIRECTORY/report.html")
    options = parser.parse_args(arguments)
    try:
        path = write_report(options.run_directory, options.output)
    except (FileNotFoundError, NotADirectoryError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, or a folder that may not be written
        print(told(error), file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
