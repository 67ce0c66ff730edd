"""``agora`` with a fake behind every command."""

import sys
from functools import partial
from pathlib import Path

from deploy import commands, launcher
from deploy.cli import main
from deploy.topology import Topology


def report(run_directory: Path, log: Path | None = None) -> int:
    (run_directory / "report.html").write_text("<html></html>")
    return 0


if __name__ == "__main__":
    fake = (sys.executable, str(Path(__file__).with_name("fake.py")))
    launcher.Topology = partial(Topology, python=fake)  # type: ignore[assignment,misc]
    commands.report = report
    main()
