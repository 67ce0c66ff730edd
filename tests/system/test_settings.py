"""All settings, whichever room they are of, refuse numbers that messages, arrays and files cannot carry."""

from __future__ import annotations

import importlib
import math
import pkgutil
import typing
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

import deploy
import env_server
import trainer
from agora.ranges import DAY
from agora.settings import Seconds, Settings
from env_server.environments.market.book.records import SelfTrade
from env_server.environments.market.book.rules import Rules
from trainer.settings import TrainingSettings

UNCARRIED = (math.inf, -math.inf, math.nan, 2**63, -(2**63) - 1, 10**400)


def _subclasses(of: type[Settings]) -> Iterator[type[Settings]]:
    for one in of.__subclasses__():
        yield one
        yield from _subclasses(one)


def _all() -> list[type[Settings]]:
    for room in (env_server, trainer, deploy):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return sorted(set(_subclasses(Settings)), key=lambda one: f"{one.__module__}.{one.__qualname__}")


def _numbers(annotation: object) -> set[type]:
    """The number types that a field takes, in a union or a sequence too."""
    if annotation in (int, float):
        return {typing.cast("type", annotation)}
    return {found for part in typing.get_args(annotation) for found in _numbers(part)}


FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for model in _all()
    for name, field in model.model_fields.items()
    if _numbers(field.annotation)
]


def _refused(model: type[Settings], name: str, value: float) -> bool:
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return any(found["loc"][0] == name for found in error.errors())
    return False


def test_there_are_settings_of_every_room() -> None:
    found = {model.__module__.partition(".")[0] for model in _all()}
    assert found >= {"env_server", "trainer", "deploy"}
    assert len(FIELDS) > 150


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_number_is_finite_and_of_at_most_64_bits(model: type[Settings], name: str) -> None:
    assert [value for value in UNCARRIED if not _refused(model, name, value)] == []


def test_whole_numbers_in_a_sequence_are_looked_at_too() -> None:
    class Sizes(Settings):
        sizes: tuple[int, ...] = ()

    assert Sizes(sizes=(2**63 - 1, -(2**63))).sizes == (2**63 - 1, -(2**63))
    with pytest.raises(ValidationError, match=r"a whole number from -2\*\*63 to 2\*\*63 - 1 for 1"):
        Sizes(sizes=(1, 2**63))


def test_members_of_an_enumeration_are_whole_numbers_as_well() -> None:
    assert Rules(self_trade=SelfTrade.ALLOWED).self_trade is SelfTrade.ALLOWED


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"rate": math.inf}, "a finite number for rate"),
        ({"deep": [1.0, {"er": -math.inf}]}, "a finite number for deep.1.er"),
        ({"steps": 2**63}, r"a whole number from -2\*\*63 to 2\*\*63 - 1 for steps"),
    ],
)
def test_what_nobody_knows_the_form_of_yet_is_looked_through(written: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        TrainingSettings(learner=written)


@pytest.mark.parametrize(("seconds", "taken"), [(0, False), (1e-3, True), (DAY, True), (DAY + 1, False)])
def test_nothing_waits_for_more_than_a_day(seconds: float, taken: bool) -> None:
    class Patience(Settings):
        patience: Seconds = 1.0

    assert _refused(Patience, "patience", seconds) is not taken
