"""The commands of docs/scml.md, as somebody pastes them."""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
AGORA = Path(sys.executable).with_name("agora")


def commands():
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs" / "scml.md").read_text(), re.DOTALL).group(1)
    return {words[2] if words[1] == "scml" else words[1]: words[1:] for words in map(shlex.split, block.splitlines())}


def test_a_first_league_its_audit_the_analyzer_and_two_services(tmp_path):
    said = commands()
    assert list(said) == ["league", "audit", "analyze", "play"]
    for name in ("league", "audit", "play"):
        done = subprocess.run([AGORA, *said[name]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "runs" / "first" / "league.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == ["penguin", "penguin+123", "penguin:certain", "as0"]
    tallies = json.loads((tmp_path / "runs" / "first" / "audit.json").read_text())["tallies"]
    assert {tally["policy"] for tally in tallies if tally["focal"]} == {"penguin", "penguin+123", "as0"}

    with subprocess.Popen(
        [AGORA, *said["analyze"], "--listen", "127.0.0.1:0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as server:
        address = re.search(r"http://\S+", server.stdout.readline()).group()
        page = urllib.request.urlopen(address).read().decode()
        server.send_signal(signal.SIGINT)
    assert "first" in page
