"""The ``agora`` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import Service
from deploy.addresses import Addresses
from deploy.cli import main

FAKE = Path(__file__).with_name("fake.py")


def exit_code(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


def test_version(capsys):
    assert exit_code("version") == 0
    assert capsys.readouterr().out.startswith("agora ")


def test_help_names_the_exit_codes(capsys):
    assert exit_code("run", "--help") == 0
    assert "128 + N stopped by signal N" in capsys.readouterr().out


def test_version_is_quick():
    code = (
        "import sys; from deploy.cli import main\ntry: main(['version'])\nexcept SystemExit: print(sorted(sys.modules))"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [slow for slow in ("grpc", "torch", "numba", "pydantic", "numpy") if f"'{slow}'" in modules]


def test_bad_flags_and_files_end_with_2(capsys, tmp_path):
    assert exit_code("run") == 2
    assert exit_code("run", str(tmp_path / "none.yaml")) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_runs_that_are_taken_missing_or_different(capsys, tmp_path):
    file, runs = tmp_path / "small.yaml", ("--runs-dir", str(tmp_path / "runs"))
    file.write_text("seed: 3")
    (tmp_path / "runs" / "small").mkdir(parents=True)
    assert exit_code("run", str(file), *runs, "--name", "small") == 2
    assert "continue it with --resume" in capsys.readouterr().err
    assert exit_code("run", str(file), *runs, "--resume") == 2
    assert "expected a run to continue" in capsys.readouterr().err
    (tmp_path / "runs" / "small" / "config.yaml").write_text("{name: small, seed: 4, training: {epsilon: 0.5}}")
    assert exit_code("run", str(file), *runs, "--resume") == 2
    error = capsys.readouterr().err
    assert "seed: expected 4, got 3" in error and "epsilon:" not in error


def test_report_passes_the_exit_code_on(tmp_path):
    assert exit_code("report", str(tmp_path)) != 0


def test_describe_what_is_not_there(capsys):
    assert exit_code("describe", "127.0.0.1:1", "--timeout", "0.5") == 1
    error = capsys.readouterr().err
    assert "127.0.0.1:1" in error and "python -m env_server" in error


@pytest.mark.parametrize("address", ["localhost", "", "127.0.0.1:x:", "127.0.0.1:99999", "::1:9", "http://localhost:9"])
def test_what_is_no_address_is_not_dialled(address, capsys):
    assert exit_code("describe", address) == 2
    said = capsys.readouterr().err
    assert said == f"CONFIG: address: expected HOST:PORT, [IPV6]:PORT or unix:PATH, got {address!r}\n"
    assert exit_code("check", "env", address) == 2 and "expected HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("describe",), ("check", "agent"), ("check", "env")])
@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_waits_that_cannot_be_are_told(command, seconds, capsys):
    assert exit_code(*command, "127.0.0.1:1", "--timeout", seconds) == 2
    assert f"expected 0.001 to 86,400, got {float(seconds):,}" in capsys.readouterr().err


def test_letters_that_the_terminal_has_not_are_replaced(tmp_path):
    command = [sys.executable, "-m", "deploy.cli", "play", "matrix", "--seat", f"player_0=onnx:{tmp_path}/[b]:x:é.onnx"]
    played = subprocess.run(
        command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, timeout=300
    )
    assert played.returncode == 2 and "/[b]:x:?.onnx" in played.stderr and "Traceback" not in played.stderr
    played = subprocess.run(
        command[:-2], env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, timeout=300
    )
    assert played.returncode == 0 and "? 95 %" in played.stdout


@pytest.fixture
def environment_server():
    address = Addresses("tcp").address("env_server")
    process = subprocess.Popen([sys.executable, str(FAKE), "env_server", "--listen", address])
    yield address
    process.kill()
    process.wait()


def test_describe(capsys, environment_server):
    assert exit_code("describe", environment_server, "--json", "--timeout", "10") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["health"] == "SERVING"
    assert "agora.v1.EnvironmentService" in found["services"]
    assert [agent["id"] for agent in found["environments"][0]["agents"]] == ["station_0", "station_1"]
    assert exit_code("describe", environment_server) == 0
    assert "station_1" in capsys.readouterr().out


def test_describe_every_game_of_a_real_server(capsys):
    with Service("env_server", ["--game", "one_seat=bench.dm_env_rpc_game:OneSeat"]) as server:
        assert exit_code("describe", server.address, "--json", "--timeout", "300") == 0
        found = {game["name"]: game for game in json.loads(capsys.readouterr().out)["environments"]}
        assert exit_code("describe", server.address, "--timeout", "300") == 0
    assert set(found) == {"charging", "market", "matrix", "mpe", "one_seat", "pettingzoo", "scml"}
    needs = found.pop("pettingzoo")
    assert "environment.config.source" in needs["refused"] and needs["config_schema"]["required"] == ["source"]
    assert all(game["agents"] and "properties" in game["config_schema"] for game in found.values())
    out = capsys.readouterr().out
    assert "environment pettingzoo needs settings" in out and "MODULE?KEY=VALUE" in out and "maker_0" in out


def games(*classes):
    return [word for game in classes for word in ("--game", f"{game.lower()}=tests.support.tiny_game:{game}")]


def test_describe_tells_games_that_fail_from_those_that_need_settings(capsys):
    with Service("env_server", games("Tiny", "Unbuilt", "Needy")) as server:
        assert exit_code("describe", server.address, "--json", "--timeout", "300") == 0
        found = {game["name"]: game for game in json.loads(capsys.readouterr().out)["environments"]}
        assert exit_code("describe", server.address, "--timeout", "300") == 0
    out = capsys.readouterr().out
    assert found["tiny"]["agents"] and not found["unbuilt"]["needs_settings"] and found["needy"]["needs_settings"]
    assert "environment unbuilt cannot be described: INTERNAL" in out and "the server's log tells more" in out
    assert "environment needy needs settings: CONFIG: environment.config.who" in out


def test_describe_says_which_game_a_server_went_away_with(capsys):
    with Service("env_server", games("Tiny", "Deadly")) as server:
        assert exit_code("describe", server.address, "--timeout", "300") == 1
    assert "the server went away while it described its game deadly" in capsys.readouterr().err


def test_describe_says_whom_it_waited_for(capsys):
    """A server that is frozen: it accepts calls and says nothing."""
    with Service("env_server", []) as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        assert exit_code("describe", server.address, "--timeout", "0.5") == 1
        os.kill(server.process.pid, signal.SIGCONT)
    assert f"{server.address}: nothing there within 0.5 s" in capsys.readouterr().err
