"""The suite against real processes, as an outside author runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agora.conformance.agent import CASES as AGENT_CASES
from agora.conformance.env import CASES as ENV_CASES
from bench.processes import ROOT, Service, free_address, wait_healthy

SHORT = '{"episode_rounds": 4}'


def start(*arguments):
    command = [sys.executable, "-m", "agora.conformance", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def check(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def counts(*arguments):
    code, out, err = check(*arguments, "--json")
    assert code == 0, out or err
    return json.loads(out)["counts"]


@pytest.fixture(scope="module")
def agent():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service


@pytest.fixture(scope="module")
def server():
    with Service("env_server") as service:
        yield service


def test_there_are_enough_cases_and_each_says_what_it_asks():
    assert len(AGENT_CASES) >= 75
    assert len(ENV_CASES) >= 45
    for cases in (AGENT_CASES, ENV_CASES):
        assert len({case.id for case in cases}) == len(cases)
        assert all(case.asked for case in cases)


def test_the_scripted_service_keeps_the_contract(agent):
    found = counts("agent", agent.address)
    assert found["failed"] == found["advice"] == 0
    assert sum(found.values()) == len(AGENT_CASES)
    assert found["passed"] >= 180


def test_the_command_of_the_launcher(agent):
    agora = Path(sys.executable).parent / "agora"
    words = [agora, "check", "agent", agent.address, "--timeout", "10", "-k", "order.number_zero"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[-1] == "1 passed, 0 failed, 0 not applicable"


def test_the_spaces_of_a_running_game(agent, server):
    code, out, err = check("agent", agent.address, "--spaces-of", server.address, "charging", "-k", "several")
    assert code == 0, out + err
    assert "plays charging.station_0, box" in out


def test_the_environment_server_keeps_the_contract(server):
    found = counts("env", server.address, "--config", SHORT)
    assert found["failed"] == found["advice"] == 0
    assert sum(found.values()) == len(ENV_CASES)
    assert found["passed"] >= 105


def test_an_agent_that_dials_in(server):
    address = free_address()
    agent = ROOT / "examples" / "agents" / "python" / "cautious.py"
    command = [sys.executable, str(agent), "--join", address, "--name", "visitor", "--token", "word"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        lobby = ["--join", address, "--name", "visitor", "--token", "word"]
        found = counts("agent", *lobby, "--spaces-of", server.address, "charging")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    assert found["failed"] == 0
    assert found["passed"] >= 140


def test_nobody_there():
    code, out, err = check("agent", "127.0.0.1:1", "--timeout", "0.5")
    assert (code, out) == (2, "")
    assert "127.0.0.1:1: nobody answers within 0.5 s" in err


def test_another_service_there(agent):
    code, _, err = check("env", agent.address)
    assert code == 2
    assert "UNIMPLEMENTED" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agent"], "expected either ADDRESS or --join, got none"),
        (["agent", "127.0.0.1:1", "--join", "127.0.0.1:2"], "expected either ADDRESS or --join"),
        (["agent", "--join", "127.0.0.1:0"], "token: expected the token that the agent shows, got none"),
        (["agent", "127.0.0.1:1", "-k", "no such case"], "expected a part of a case's name, got no such case"),
    ],
)
def test_wrong_flags(arguments, words):
    code, _, err = check(*arguments)
    assert code == 2
    assert words in err


def test_an_unknown_game(server):
    code, _, err = check("env", server.address, "--environment", "chess")
    assert code == 2
    assert "UNKNOWN_ENVIRONMENT" in err


def test_an_agent_that_plays_none_of_the_spaces(server):
    agent = ROOT / "examples" / "agents" / "python" / "cautious.py"
    address = free_address()
    process = subprocess.Popen([sys.executable, str(agent), "--listen", address], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        code, _, err = check("agent", address, "--timeout", "20")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    assert code == 2
    assert "name its game by --spaces-of ADDRESS GAME" in err


DIES = """
import asyncio, os, sys
from tests.support.sound_agent import Sound, serving

class Dies(Sound):
    def say(self, answer):
        if answer.WhichOneof("kind") == "refusal":
            os._exit(3)

async def main():
    async with serving(Dies(), sys.argv[1]):
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_an_agent_that_dies_of_a_bad_frame_fails_the_rest():
    address = free_address()
    agent = subprocess.Popen([sys.executable, "-c", DIES, address], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_healthy(address, process=agent)
        code, out, _ = check("agent", address, "--timeout", "1", "-k", "errors.", "--json")
        assert agent.wait(10) == 3
    finally:
        agent.kill()
    first, *rest = json.loads(out)["cases"]
    assert code == 1
    assert (first["id"], first["verdict"]) == ("errors.unknown_agent", "failed")
    assert {case["verdict"] for case in rest} <= {"failed", "not applicable"}
