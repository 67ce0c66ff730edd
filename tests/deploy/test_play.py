"""``agora play``, with real processes."""

import json

import pytest

from bench.processes import Service
from deploy.cli import main
from deploy.services import is_address

SHORT = ("play", "charging", "--set", "episode_rounds=3", "--copies", "4")


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code


def test_everybody_plays_and_the_same_seed_pays_the_same(capsys):
    found = []
    for _ in range(2):
        assert run(*SHORT, "--blocks", "2", "--seed", "7", "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    first = found[0]
    assert first["episodes"] == 8 and first["steps"] == 24 and first["substituted"] == 0
    assert set(first["returns"]) == {f"station_{i}" for i in range(4)}
    assert all(len(values) == 8 for values in first["returns"].values())
    assert first["returns"] == found[1]["returns"]


def test_a_seat_may_be_a_service_that_runs_already(capsys):
    with Service("agent_services", ["--policy", "scripted:fixed_price", "--parameter", "price=0.9"]) as service:
        assert run(*SHORT, "--seat", f"station_1={service.address}", "--policy", "scripted:fixed_price") == 0
    out = capsys.readouterr().out
    assert service.address in out and "scripted:fixed_price" in out and "4 episodes, 12 steps" in out


def test_a_game_may_be_ones_own(capsys):
    game = ("--game", "one_seat=bench.dm_env_rpc_game:OneSeat", "--set", "episode_steps=5")
    assert run("play", "one_seat", *game, "--policy", "scripted:fixed_price", "--copies", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    # The middle of the bounds is 0, and the mean of an action is what the game pays.
    assert told["steps"] == 15 and told["returns"] == {"driver": [0.0, 0.0, 0.0]}


FAULTY = ("play", "faulty", "--game", "faulty=tests.support.tiny_game:Faulty", "--copies", "2")


@pytest.mark.parametrize("fault", ["build", "reset", "step"])
def test_a_fault_of_the_game_ends_with_1_and_the_servers_last_words(fault, capsys):
    """The server's log goes with it: what is needed of it is said."""
    assert run(*FAULTY, "--set", f"fault={fault}", "--set", "kind=KeyError") == 1
    said = capsys.readouterr().err
    assert "env_server: " in said and "KeyError: 'a secret of the game'" in said and "incident" in said


def test_one_episode_has_a_mean_and_no_spread(capsys):
    assert run("play", "matrix", "--copies", "1") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("player_")]
    assert rows and all(row[-1] == "-" and float(row[-2]) == float(row[-2]) for row in rows)


def test_a_seat_may_be_at_an_address_of_ipv6():
    assert is_address("[::1]:9") and is_address("localhost:9")
    assert not is_address("scripted:random") and not is_address("http://127.0.0.1:80")


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--copies", "0", "1 to 65,536"),
        ("--copies", "1000000000000", "1 to 65,536"),
        ("--blocks", "0", "1 to 4,294,967,295"),
        ("--blocks", "100000000000000000000", "1 to 4,294,967,295"),
        ("--seed", "-1", "0 to 9,223,372,036,854,775,807"),
        ("--seed", "99999999999999999999", "0 to 9,223,372,036,854,775,807"),
        ("--deadline", "0", "0.001 to 86,400"),
        ("--deadline", "-1", "0.001 to 86,400"),
        ("--deadline", "nan", "0.001 to 86,400"),
        ("--deadline", "inf", "0.001 to 86,400"),
        ("--max-failed-share", "nan", "0 to 1"),
        ("--max-failed-share", "2", "0 to 1"),
    ],
)
def test_numbers_that_cannot_be_are_told_before_anything_starts(flag, value, expected, capsys):
    assert run("play", "matrix", flag, value) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{flag}: (flag): expected {expected}, got ") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seat", "station_9=scripted:random"), "station_9: expected one of station_0, station_1"),
        (("--seat", "station_1"), "expected AGENT=POLICY or AGENT=HOST:PORT, got 'station_1'"),
        (("--set", "episode_rounds=-1"), "episode_rounds"),
        (("--set", "rounds=1"), "rounds"),
        (("--policy", "scripted:nobody"), "got scripted:nobody"),
    ],
)
def test_mistakes_are_told_in_words_and_end_with_2(arguments, words, capsys):
    assert run(*SHORT, *arguments) == 2
    assert words in capsys.readouterr().err
