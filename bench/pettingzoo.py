"""PettingZoo's own tests, passed over the wire by every game here and by every game that can be hosted here.

A hosted game may fail a test by itself: then it is put to the same test in this process, without any service, and if it
fails there too the row says so and holds nothing against the wire. A service plays many episodes with one copy, so for
that a test of seeds compares a fresh copy with one that was played before. Games whose own libraries are not there are
listed by what they lack.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final, get_args

from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.test.seed_test import seed_test
from pettingzoo.test.state_test import state_test

from agora.clients import aec_env, parallel_env
from bench.processes import Service
from bench.report import Row
from env_server.environments.matrix.games import GAMES
from env_server.environments.mpe.config import Source

TITLE = "Games over the wire against PettingZoo's own tests"
FAMILIES: Final = ("mpe2", "pettingzoo.atari", "pettingzoo.butterfly", "pettingzoo.classic", "pettingzoo.sisl")
OWN_CLASS: Final = "own=bench.dm_env_rpc_game:OneSeat"
"""Somebody's own ``Environment``, as the server takes it with ``--game``."""
GAME: Final = re.compile(r"\w+_v\d+")
CYCLES, QUICK_CYCLES = 100, 2
Test = Callable[[], None]
Make = Callable[[], Any]


def run(quick: bool) -> list[Row]:
    """Every game through every test; quick: fewer cycles of each, and one hosted game of each family."""
    hosted, lacking = installed()
    if quick:
        hosted = list({name.rpartition(".")[0]: name for name in hosted}.values())  # the last of each family
    cycles = QUICK_CYCLES if quick else CYCLES
    rows: list[Row] = []
    with Service("env_server", ["--game", OWN_CLASS]) as server:
        for title, (game, config) in own().items():
            rows += _rows(title, _over(server.address, game, config), None, cycles)
        for name in hosted:
            rows += _rows(name, _over(server.address, f"pettingzoo:{name}", None), _alone(name), cycles)
    return [*rows, *(_lacking(what, games) for what, games in lacking.items())]


def own() -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Titles of our own games to their names and configurations: every task, and every kind of seat."""
    custom = {"game": "custom", "payoffs": [[[1, 0, 2], [0, 3, 1]], [[1, 2, 0], [0, 1, 3]]], "rounds": 3}
    return {
        "charging": ("charging", {"episode_rounds": 25}),
        "scml": ("scml", {"days": 4, "levels": 2, "factories": 2, "workers": 1}),
        "market, makers and traders": ("market", {"makers": 2, "traders": 2, "steps": 30}),
        "market, one informed trader": ("market", {"makers": 0, "traders": 1, "informed": True, "steps": 30}),
        **{f"mpe:{task}": (f"mpe:{task}", None) for task in get_args(Source)},
        "mpe:simple_spread, Discrete": ("mpe:simple_spread", {"continuous_actions": False}),
        **{f"matrix, {game}": ("matrix", {"game": game, "rounds": 3}) for game in GAMES},
        "matrix, custom": ("matrix", custom),
        "an Environment class of one's own": (OWN_CLASS.partition("=")[0], None),
    }


def installed() -> tuple[list[str], dict[str, list[str]]]:
    """Modules of published games that can be imported here, and by what they lack those that cannot."""
    hosted, lacking = [], defaultdict(list)
    for name in _published():
        try:
            _import(name).env().close()
            hosted.append(name)
        except ImportError as error:
            lacking[str(error).strip().partition("\n")[0]].append(name)
    return hosted, dict(lacking)


def _published() -> Iterator[str]:
    for family in FAMILIES:
        for module in pkgutil.iter_modules(_import(family).__path__):
            if GAME.fullmatch(module.name):
                yield f"{family}.{module.name}"


def _import(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that games moved to packages of their own
        return importlib.import_module(name)


def _over(address: str, game: str, config: dict[str, Any] | None) -> tuple[Make, Make]:
    """Both forms of a game behind a service."""
    return lambda: parallel_env(address, game, config), lambda: aec_env(address, game, config)


def _alone(name: str) -> tuple[Make | None, Make | None]:
    """Both forms of a hosted game in this process, as far as it has them."""
    module = _import(name)
    return getattr(module, "parallel_env", None), getattr(module, "env", None)


def _tests(parallel: Make, turns: Make, cycles: int) -> Mapping[str, Test]:
    return {
        "parallel_api_test": lambda: parallel_api_test(parallel(), cycles),
        "parallel_seed_test": lambda: parallel_seed_test(parallel, cycles),
        "api_test": lambda: api_test(turns(), cycles),
        "seed_test": lambda: seed_test(turns, cycles),
        "state_test": lambda: state_test(turns(), parallel(), cycles),
    }


def _rows(
    title: str, forms: tuple[Make, Make], alone: tuple[Make | None, Make | None] | None, cycles: int
) -> Iterator[Row]:
    """A row for each test of a game; ``alone``: its forms without a service, if it is hosted."""
    for name, test in _tests(*forms, cycles).items():
        began, told = time.monotonic(), _failure(test)
        seconds = time.monotonic() - began
        reason = _own_failure(alone, name, cycles) if told and alone else ""
        target = "passes" if not told else f"passes, but: {told}"
        if reason:
            target = f"for information: the game {reason}; over the wire: {told}"
        yield Row(f"{title}: {name}", [seconds], "s", target, bool(reason) or not told)


def _failure(test: Test) -> str:
    """What a test says against a game; empty if nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they warn of Dict spaces, unbounded boxes and the like
        try:
            test()
        except Exception as error:
            return " ".join(f"{type(error).__name__}: {error}".split())[:120]
    return ""


def _own_failure(alone: tuple[Make | None, Make | None], name: str, cycles: int) -> str:
    """Why a test cannot apply to a game, whoever plays it; empty if it can."""
    parallel, turns = alone
    if turns is None or (parallel is None and name != "api_test" and name != "seed_test"):
        return "has no such form"
    told = _failure(_tests(parallel or turns, turns, cycles)[name])
    if not told and "seed" in name:
        told = _failure(_tests(_used(parallel or turns, _play), _used(turns, _take_turns), cycles)[name])
    return f"itself fails it: {told}" if told else ""


def _used(make: Make, play: Callable[[Any], None]) -> Make:
    """Makes copies of a game, every second of which was played before."""
    made: list[Any] = []

    def another() -> Any:
        made.append(make())
        if len(made) % 2 == 0:
            play(made[-1])
        return made[-1]

    return another


def _play(game: Any) -> None:
    _, infos = game.reset(seed=1)
    while game.agents:
        actions = {agent: game.action_space(agent).sample(infos[agent].get("action_mask")) for agent in game.agents}
        _, _, _, _, infos = game.step(actions)


def _take_turns(game: Any) -> None:
    game.reset(seed=1)
    for agent in game.agent_iter():
        seen, _, terminated, truncated, info = game.last()
        mask = seen.get("action_mask") if isinstance(seen, dict) else info.get("action_mask")
        game.step(None if terminated or truncated else game.action_space(agent).sample(mask))


def _lacking(what: str, games: list[str]) -> Row:
    names = ", ".join(name.rpartition(".")[2] for name in games)
    return Row(f"not here, {what}: {names}", [float(len(games))], "games", "for information", True)
