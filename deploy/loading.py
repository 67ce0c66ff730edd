"""From a file and ``--set`` flags to an ``Experiment``, or to an error that says what to mend."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_jsonable_python

from deploy.errors import BadExperiment, Fault
from deploy.experiment import EnvironmentSettings, Experiment


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, and a key given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                why = f"the key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load(
    path: Path,
    assignments: Sequence[str] = (),
    name: str | None = None,
    games: Sequence[str] = (),
    modules: Sequence[str] = (),
) -> Experiment:
    """Read an experiment.

    Args:
        path: a YAML file.
        assignments: ``a.b.c=value`` in order, values in YAML.
        name: the run's name; default: what the file says, or the file's own name.
        games: NAME=MODULE:CLASS, added to ``environment.games``.
        modules: added to ``environment.pettingzoo_modules``.

    Raises:
        BadExperiment: unreadable, not YAML, unknown keys or wrong values.
    """
    values = {"name": path.stem, **_read(path)}
    changed = [_assign(values, assignment) for assignment in assignments]
    if name is not None:
        values["name"] = name
    _add_imports(values, games, modules)
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        raise BadExperiment(str(path), [_fault(e, changed) for e in error.errors(include_url=False)]) from None


def chosen(
    environment: str, assignments: Sequence[str], games: Sequence[str], modules: Sequence[str]
) -> EnvironmentSettings:
    """The game that flags ask for: its name, ``a.b=value`` texts of its configuration, and what it is imported from.

    Raises:
        BadExperiment: a flag has another form.
    """
    values: dict[str, Any] = {"environment": {"name": environment, "config": assigned(assignments)}}
    _add_imports(values, games, modules)
    try:
        return EnvironmentSettings.model_validate(values["environment"])
    except ValidationError as error:
        raise BadExperiment("agora", [_fault(e, ()) for e in error.errors(include_url=False)]) from None


def _add_imports(values: dict[str, Any], games: Sequence[str], modules: Sequence[str]) -> None:
    """Put ``--game`` and ``--pettingzoo-module`` where the experiment has them."""
    for game in games:
        name, equals, place = game.partition("=")
        if not equals:
            raise BadExperiment("--game", [Fault("(flag)", "NAME=MODULE:CLASS", repr(game))])
        known = _environment(values).setdefault("games", {})
        if isinstance(known, dict) and known.setdefault(name, place) != place:
            raise BadExperiment("--game", [Fault(name, f"one class, {known[name]}", place)])
    if modules:
        known = _environment(values).setdefault("pettingzoo_modules", [])
        if isinstance(known, list):
            known += [module for module in dict.fromkeys(modules) if module not in known]


def _environment(values: dict[str, Any]) -> dict[str, Any]:
    environment = values.setdefault("environment", {})
    return environment if isinstance(environment, dict) else {}  # what it is otherwise is told by validation


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """The mapping that ``a.b=value`` texts make, values in YAML.

    Raises:
        BadExperiment: one of them is not of that form.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        _assign(values, assignment)
    return values


def _read(path: Path) -> dict[str, Any]:
    try:
        values = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadExperiment(str(path), [Fault("(file)", "a file to read", error.strerror or str(error))]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadExperiment(str(path), [Fault("(file)", "YAML", _one_line(error))]) from None
    if not isinstance(values, dict):
        raise BadExperiment(str(path), [Fault("(file)", "keys and values", _shown(values))])
    return values


def _parse(text: str) -> Any:
    """What a text says in YAML.

    Raises:
        yaml.YAMLError: it cannot be read, or says what no message can carry: itself within itself, keys of other kinds
            than text and numbers, hundreds of levels.
    """
    loader = _Loader(text)
    try:
        values = loader.get_single_data()
        json.dumps(values, default=str)
        to_jsonable_python(values)
    except RecursionError:
        raise yaml.YAMLError("more levels than can be read") from None
    except (ValueError, TypeError, OverflowError) as error:  # "2020-13-45" is a date to YAML, and there is none
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()
    return values


def _assign(values: dict[str, Any], assignment: str) -> tuple[str, ...]:
    key, equals, text = assignment.partition("=")
    path = tuple(key.split("."))
    if not equals or not all(path):
        fault = Fault("(flag)", "KEY=VALUE, such as training.epsilon=0.01", assignment)
        raise BadExperiment(f"--set {assignment}", [fault])
    try:
        value = _parse(text)
    except yaml.YAMLError as error:
        raise BadExperiment(f"--set {assignment}", [Fault(key, "a YAML value", _one_line(error))]) from None
    target: Any = values
    for number, part in enumerate(path[:-1]):
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            fault = Fault(".".join(path[: number + 1]), "a mapping to set a key in", _shown(target))
            raise BadExperiment(f"--set {assignment}", [fault])
    target[path[-1]] = value
    return path


def _fault(error: ErrorDetails, changed: Sequence[tuple[str, ...]]) -> Fault:
    path = tuple(str(part) for part in error["loc"])
    hint = "from --set" if any(path[: len(c)] == c for c in changed) else ""
    if error["type"] == "extra_forbidden":
        known = _fields_under(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        guess = f"did you mean {near[0]}?" if near else ""
        hint = "; ".join(filter(None, (guess, hint)))
        return Fault(".".join(path), f"one of {', '.join(known)}", "an unknown key", hint)
    got = "nothing" if error["type"] == "missing" else _shown(error["input"])
    return Fault(".".join(path), _expectation(error), got, hint)


def _expectation(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "a value"
        case "string_pattern_mismatch":
            return f"text of the form {error['ctx']['pattern']}"
        case _:
            return error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")


def _fields_under(path: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Experiment
    parts = iter(path)
    for part in parts:
        annotation = model.model_fields[part].annotation
        if NoneType in get_args(annotation):  # it may be left out
            annotation = get_args(annotation)[0]
        if get_args(annotation):  # a mapping of models: the next part is its key
            next(parts)
            annotation = get_args(annotation)[1]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
