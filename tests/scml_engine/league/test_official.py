"""The engine's own tournament."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from negmas.helpers import get_class, get_full_type_name
from scml_agents.scml2024.standard.team_penguin import PenguinAgent

from scml_engine.league.entrants import entrant
from scml_engine.league.errors import RefusedError
from scml_engine.league.official import official
from scml_engine.league.options import Official
from scml_engine.league.pool import ENVIRONMENT

ROOT = Path(__file__).parents[3]


def test_a_small_tournament(tmp_path):
    home = {**os.environ, "HOME": str(tmp_path / "home")}
    words = ["official", "--policies", "penguin,penguin+123", "--configs", "1", "--steps", "5", "--json"]
    command = [sys.executable, "-m", "scml_engine", *words, "--runs-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=home, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "official" / "official.json").read_text())
    assert {row["policy"] for row in found["rows"]} == {"penguin", "penguin+123"}
    # One configuration, in which two competitors change seats once: each has a score in both worlds.
    assert [row["n"] for row in found["rows"]] == [2, 2]
    assert found["failed"] == 0
    assert found["winners"] == [found["rows"][0]["policy"]]
    assert json.loads((tmp_path / "official" / "run.json").read_text())["kind"] == "official"
    assert (tmp_path / "official" / "official_logs" / "output.log").exists()
    assert not list((tmp_path / "home").rglob("*.csv"))


@pytest.mark.parametrize("policy", ["penguin", "as0", "penguin+2", "penguin+123"])
def test_entrants_are_found_again_by_name(policy):
    found = entrant(policy)
    assert get_class(get_full_type_name(found)) is found
    assert cloudpickle.loads(cloudpickle.dumps(found)) is found


def test_repaired_entrants_are_no_published_penguins():
    made = entrant("penguin+12")
    assert made is not PenguinAgent
    assert issubclass(made, PenguinAgent)
    assert made.repairs == {1, 2}
    assert entrant("penguin") is PenguinAgent


def test_policies_from_outside_have_no_entrant():
    with pytest.raises(RefusedError, match="--policies: expected policies that play inside the engine, got 'random'"):
        entrant("random")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"policies": "penguin,as0:certain"}, "--policies: expected policies without shields, which need our worlds"),
        ({"policies": "penguin"}, "--competitors-per-world: expected from 2 to the number of policies, 1, got 2"),
        ({"competitors_per_world": 3}, "--competitors-per-world: expected from 2 to"),
        ({"parallelism": "loky"}, "--parallelism: expected serial, parallel or parallel:FRACTION, got 'loky'"),
        ({"parallelism": "parallel:2"}, "--parallelism"),
        ({"configs": 0}, "--configs: expected 1 to 10,000, got 0"),
        ({"steps": 4}, "--steps: expected 5 to 500, got 4"),
        ({"seed": -1}, "--seed: expected 0 to 4,294,967,295, got -1"),
    ],
)
def test_what_is_refused(monkeypatch, tmp_path, changes, complaint):
    for name, value in {**ENVIRONMENT, "NEGMAS_RAND_SEED": "0"}.items():
        monkeypatch.setenv(name, value)  # as in a command that has begun anew
    with pytest.raises(RefusedError) as refused:
        official(Official(**{"policies": "penguin,as0", "runs_dir": tmp_path, **changes}))
    assert complaint in str(refused.value)
    assert not list(tmp_path.iterdir())
