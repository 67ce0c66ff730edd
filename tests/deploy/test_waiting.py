"""No wait is longer than it says, and what is waited for is said."""

import asyncio
import sys

import psutil
import pytest

from agora import waiting as module
from agora.waiting import waiting
from bench.processes import Service, free_address
from deploy import services
from deploy.cli import main
from deploy.errors import ProcessFailed
from deploy.services import Services

SLEEPS = (sys.executable, "-c", "import time; print('compiling', flush=True); time.sleep(600)")


def test_a_service_that_never_works_is_named_told_of_and_given_up(monkeypatch):
    monkeypatch.setattr(services, "PYTHON", SLEEPS)
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    said = []

    async def start():
        async with Services(said.append, start_seconds=3.0) as running:
            await running.start("env_server", "env_server", [])

    with pytest.raises(ProcessFailed, match=r"(?s)env_server: does not work at 127.*within 3 s.*compiling"):
        asyncio.run(asyncio.wait_for(start(), 60))
    assert "waiting for env_server at 127.0.0.1:" in said[0] and "at most 3 s" in said[0]
    ours = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in ours if SLEEPS[-1] in child.cmdline()]  # other tests' services run on


def test_a_long_wait_is_told_again_and_again_and_a_short_one_never():
    said, heard = [], asyncio.Event()

    def say(text):
        said.append(text)
        if len(said) == 3:
            heard.set()

    async def wait():
        async with waiting(lambda: "nothing", said.append):
            pass
        assert said == []
        async with waiting(lambda: f"number {len(said)}", say, first=0.001):
            await asyncio.wait_for(heard.wait(), 60)

    asyncio.run(wait())
    assert [text.split(" (")[0] for text in said] == [f"waiting for number {n}" for n in range(3)]


def test_play_says_what_it_waits_for(monkeypatch, capsys):
    """An episode of a game that takes its time."""
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.05)
    with pytest.raises(SystemExit) as ended:
        main(("play", "charging", "--set", "episode_rounds=300", "--copies", "2", "--blocks", "2"))
    assert ended.value.code == 0
    said = capsys.readouterr().err
    assert "waiting for env_server at 127.0.0.1:" in said
    assert "waiting for block 1 of 2" in said


@pytest.mark.parametrize("command", ["play", "serve"])
def test_a_web_proxy_does_not_stop_a_game_on_this_machine(command, monkeypatch, capsys):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Service("agent_services", ["--policy", "scripted:random"]) as taken:
        flags = ("--listen", taken.address) if command == "serve" else ("--copies", "2")
        with pytest.raises(SystemExit) as ended:
            main((command, "matrix", *flags))
    if command == "play":
        assert ended.value.code == 0 and "2 episodes" in capsys.readouterr().out
    else:  # it gets as far as to be told that the address is taken
        assert ended.value.code == 2 and "an address that is free" in capsys.readouterr().err


def test_a_seat_where_nobody_answers_ends_after_the_time_that_is_told(monkeypatch, capsys):
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.05)
    with pytest.raises(SystemExit) as ended:
        main(("play", "matrix", "--seat", f"player_0={free_address()}", "--copies", "2", "--deadline", "0.5"))
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "no answer within 0.5 s" in said
    assert "waiting for block 1 of 1; it takes as long as the game does, and each decision at most 1 s" in said
