"""``agora serve``, with real processes."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from agora.clients import gym_env
from bench.processes import ROOT, Service, free_address
from deploy.cli import main

SHORT = ("serve", "charging", "--set", "episode_rounds=3")


class Offer:
    """The command as a process: what it printed until it was ready, and its end."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "deploy.cli", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "COLUMNS": "200"}, **pipes)
        self.said = ""
        while "Ctrl-C stops everything." not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            self.said += line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_keeps_a_game_running_until_it_is_told_to_stop(number):
    with Offer(*SHORT, "--agent", "station_1", "--seat", "station_3=scripted:fixed_price") as offer:
        rows = {row.split()[0]: row.split()[1:] for row in offer.said.splitlines()[1:5]}
        assert rows["station_3"][1] == "scripted:fixed_price" and rows["station_0"][1] == "scripted:random"
        children = offer.children()
        assert len(children) == 4
        line = re.search(r"env = (gym_env\(.*)", offer.said).group(1)
        with eval(line, {"gym_env": gym_env}) as env:
            env.reset(seed=7)
            truncated = [env.step(env.action_space.sample())[3] for _ in range(3)]
        assert truncated == [False, False, True]
        offer.process.send_signal(number)
        assert offer.process.wait(100) == 0
        assert psutil.wait_procs(children, timeout=60)[1] == []


def test_it_opens_the_doors_that_are_asked_for():
    openenv, dm_env = free_address(), free_address()
    with Offer(*SHORT, "--openenv", openenv, "--dm-env-rpc", dm_env) as offer:
        assert f"base_url='http://{openenv}'" in offer.said
        assert f"create_secure_channel_and_connect('{dm_env}')" in offer.said
        with urllib.request.urlopen(f"http://{openenv}/metadata", timeout=20) as answer:
            assert "You are station_0 in the game 'charging'" in json.loads(answer.read())["description"]


def test_a_seat_may_be_a_service_that_runs_already():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        seats = [word for n in (1, 2, 3) for word in ("--seat", f"station_{n}={service.address}")]
        with Offer(*SHORT, *seats) as offer:
            assert offer.said.count("runs already") == 3
            assert len(offer.children()) == 1


def test_an_agent_may_dial_in_to_a_seat(tmp_path):
    listen, tokens = free_address(), tmp_path / "tokens.yaml"
    tokens.write_text("visitor: a-word\n")
    tokens.chmod(0o600)
    program = (
        "from agora import Agent, serve\n"
        "class Cautious(Agent):\n"
        "    def act(self, observation, legal):\n"
        "        return observation['last_round_all_prices'].mean(axis=1)\n"
        f"serve(Cautious(), join={listen!r}, name='visitor', token='a-word')\n"
    )
    seat = ("--seat", "station_2=lobby:visitor", "--lobby-tokens", str(tokens))
    with Offer(*SHORT, *seat, "--agent", "station_0", "--listen", listen) as offer:
        visitor = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
        try:
            line = re.search(r"env = (gym_env\(.*)", offer.said).group(1)
            with eval(line, {"gym_env": gym_env}) as env:
                env.reset(seed=7)
                assert [env.step(env.action_space.sample())[3] for _ in range(3)] == [False, False, True]
        finally:
            visitor.kill()
            visitor.wait()


@pytest.mark.parametrize("victim", ["env_server", "agent_services"])
def test_a_child_that_dies_is_told_and_ends_it_with_1(victim):
    with Offer(*SHORT) as offer:
        children = offer.children()
        next(child for child in children if victim in child.cmdline()).kill()
        _, errors = offer.process.communicate(timeout=100)
        assert offer.process.returncode == 1
        assert "ended with exit code -9" in errors and "listening address" in errors
        assert psutil.wait_procs(children, timeout=60)[1] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seat", "station_9=scripted:random"), "station_9: expected one of station_0, station_1"),
        (("--agent", "station_9"), "station_9: expected one of station_0, station_1"),
        (("--agent", "station_1", "--seat", "station_1=scripted:random"), "expected an agent without a seat"),
        (("--seat", "station_1"), "expected AGENT=POLICY or AGENT=HOST:PORT, got 'station_1'"),
        (("--set", "rounds=1"), "rounds"),
        (("--policy", "scripted:nobody"), "got scripted:nobody"),
        (("--listen", "0.0.0.0:7131"), "loopback"),
        (("--listen", "127.0.0.1:0"), "expected a port that can be told"),
        (("--openenv", "nowhere"), "openenv: expected HOST:PORT, got 'nowhere'"),
    ],
)
def test_mistakes_are_told_in_words_and_end_with_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main((*SHORT, *arguments))
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
