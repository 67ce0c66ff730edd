"""PettingZoo's own tests, passed over the wire by every game here and every MPE environment hosted here."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from mpe2.all_modules import mpe_environments
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.test.seed_test import seed_test
from pettingzoo.test.state_test import state_test

from agora.clients import aec_env, parallel_env
from bench.processes import Service
from bench.report import Row

TITLE = "Games over the wire against PettingZoo's own tests"
OWN: dict[str, dict[str, Any] | None] = {
    "charging": {"episode_rounds": 25},
    "scml": {"days": 4, "levels": 2, "factories": 2, "workers": 1},
}
CYCLES, QUICK_CYCLES = 100, 10


def run(quick: bool) -> list[Row]:
    """Every game through every test; quick: fewer cycles of each."""
    hosted = {f"pettingzoo:mpe2.{name.rpartition('/')[2]}": None for name in mpe_environments}
    cycles = QUICK_CYCLES if quick else CYCLES
    rows = []
    with Service("env_server") as server:
        for game, config in (OWN | hosted).items():
            for name, test in _tests(server.address, game, config, cycles).items():
                rows.append(_row(f"{game}: {name}", test))
    return rows


def _tests(address: str, game: str, config: dict[str, Any] | None, cycles: int) -> dict[str, Callable[[], None]]:
    def parallel() -> Any:
        return parallel_env(address, game, config)

    def turns() -> Any:
        return aec_env(address, game, config)

    return {
        "parallel_api_test": lambda: parallel_api_test(parallel(), cycles),
        "parallel_seed_test": lambda: parallel_seed_test(parallel, cycles),
        "api_test": lambda: api_test(turns(), cycles),
        "seed_test": lambda: seed_test(turns, cycles),
        "state_test": lambda: state_test(turns(), parallel(), cycles),
    }


def _row(name: str, test: Callable[[], None]) -> Row:
    began, target, holds = time.monotonic(), "passes", True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they warn of Dict spaces, unbounded boxes and the like
        try:
            test()
        except Exception as error:
            target, holds = f"passes, but: {type(error).__name__}: {error}"[:120], False
    return Row(name, [time.monotonic() - began], "s", target, holds)
