"""What the supply-chain game may be told."""

import pytest
from pydantic import ValidationError

from env_server.environments.scml import Scml


def config(**fields):
    return Scml.Config(**fields)


def test_the_default_is_a_chain_of_services():
    assert config(levels=3, factories=2).table == (("service", "service"),) * 3
    mixed = config(seats=[["penguin+12", "service"], ["service"], ["scml_agents.scml2025.standard.team_x.AS0"]])
    environment = Scml(mixed, 1)
    assert environment.agents == ("factory_1", "factory_2")
    assert environment.facts["factories"] == ["0.0", "0.1", "1.0", "2.0"]


@pytest.mark.parametrize(
    ("fields", "where", "words"),
    [
        ({"days": 2}, "days", "more than the 2 levels, got 2"),
        ({"levels": 1}, "levels", "2"),
        ({"seats": [["service"]]}, "seats", "two levels, got 1"),
        ({"seats": [["service"], []]}, "seats", "at least 1"),
        ({"seats": [["penguin"], ["as0"]]}, "seats", "one 'service'"),
        ({"seats": [["service"], ["os.system"]]}, "seats", "pattern"),
        ({"shield": "thick"}, "shield", "'certain'"),
        ({"physics": "moon"}, "physics", "'engine'"),
        ({"track": "../x"}, "track", "pattern"),
        ({"track": ".."}, "track", "pattern"),
        ({"workers": 0}, "workers", "1"),
        ({"patience": 0}, "patience", "greater than 0"),
        ({"day": 3}, "day", "Extra inputs"),
    ],
)
def test_what_cannot_be_played_is_refused_by_field(fields, where, words):
    with pytest.raises(ValidationError) as caught:
        config(**fields)
    assert where in str(caught.value) and words in str(caught.value)


def test_no_copies_are_refused():
    with pytest.raises(ValueError, match="num_envs"):
        Scml(config(), 0)
