"""What a gateway's client plays."""

import asyncio

import pytest

from agora.errors import Refused
from env_server.gateways.game import find_game
from env_server.settings import GatewaySettings

SETTINGS = GatewaySettings(gateway_config='{"episode_rounds": 3}')


def game(*arguments):
    return asyncio.run(find_game(SETTINGS, *arguments))


def test_the_first_agent_is_the_clients_and_the_others_have_seats():
    part = game().part(None, ["*=127.0.0.1:1,127.0.0.1:2", "station_2=unix:/a=b"])
    assert (part.agent, part.index) == ("station_0", 0)
    both = ["127.0.0.1:1", "127.0.0.1:2"]
    assert {seat.agent: list(seat.addresses) for seat in part.played} == {
        "station_1": both,
        "station_2": ["unix:/a=b"],
        "station_3": both,
    }


def test_the_clients_own_seat_stays_empty():
    part = game().part("station_1", [f"station_{i}=lobby:{i}" for i in range(4)])
    assert [seat.agent for seat in part.played] == ["station_0", "station_2", "station_3"]


@pytest.mark.parametrize(
    ("agent", "seats", "words"),
    [
        ("nobody", ["*=a:1"], "station_0, station_1, station_2, station_3"),
        (None, ["nobody=a:1", "*=a:1"], "nobody"),
        (None, ["*=a:1", "*=a:2"], "at most once"),
        (None, ["station_1=a:1"], "an agent service that plays station_2"),
        (None, ["*="], "AGENT=ADDRESS"),
        (None, ["127.0.0.1:1"], "AGENT=ADDRESS"),
    ],
)
def test_wrong_seats_are_refused_in_words(agent, seats, words):
    with pytest.raises(Refused, match=words):
        game().part(agent, seats)


def test_the_servers_configuration_belongs_to_its_own_game():
    assert game().spec.config_json == SETTINGS.gateway_config
    assert game("charging").spec.config_json == SETTINGS.gateway_config
    assert game("charging", "{}", 5).spec.num_envs == 5
    other = find_game(GatewaySettings(gateway_environment="scml", gateway_config="[]"), "charging")
    assert asyncio.run(other).spec.config_json == "{}"


@pytest.mark.parametrize(("name", "config", "copies"), [("chess", "{}", 1), (None, "[", 1), (None, "{}", 0)])
def test_a_game_that_cannot_be_built_is_refused(name, config, copies):
    with pytest.raises(Refused):
        game(name, config, copies)
