# SPDX-License-Identifier: AGPL-3.0-or-later
"""Builds and plays one world."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from scml.std import SCML2024StdWorld, StdSyncAgent

from scml_engine.arena import Arena
from scml_engine.seats import class_of
from scml_engine.spec import Decide, Physics, SeatSpec, Shield, Streams, WorldResult, WorldSpec
from scml_engine.tracker import Tracker

__all__ = ["Decide", "SeatSpec", "WorldResult", "WorldSpec", "build", "configuration", "play", "run_world"]


def configuration(spec: WorldSpec) -> dict[str, Any]:
    """The engine's configuration: costs, balances, nature's contracts, and the classes in the seats.

    Raises:
        ValueError: fewer than two levels, an empty level, less than a day, or an unknown policy.
    """
    _check(spec)
    seed = spec.seed if spec.config_seed is None else spec.config_seed
    levels = [level for level, size in enumerate(spec.shape) for _ in range(size)]
    seed_all(seed)
    config: dict[str, Any] = SCML2024StdWorld.generate(
        agent_types=[StdSyncAgent] * len(levels),
        agent_processes=levels,
        n_processes=len(spec.shape),
        n_agents_per_process=list(spec.shape),
        # The engine's generator needs a day more than levels; shorter worlds are cut out of such a one.
        n_steps=max(spec.days, len(spec.shape) + 1),
        random_agent_types=False,
    )
    config["n_steps"] = spec.days
    seats = [seat for level in spec.seats for seat in level]
    config["agent_params"] = [{"controller_type": class_of(seat.policy)} for seat in seats]
    # Ids with the class's initials in them would change the order of sets, and with it the other agents' play.
    config["agent_name_reveals_type"] = False
    return config


def _check(spec: WorldSpec) -> None:
    if len(spec.shape) < 2 or min(spec.shape) < 1:
        raise ValueError(f"seats: expected at least two levels with a factory each, got {list(spec.shape)}")
    if spec.days < 1:
        raise ValueError(f"days: expected at least 1, got {spec.days}")
    _check_name("physics", spec.physics, get_args(Physics))
    _check_name("streams", spec.streams, get_args(Streams))
    for level in spec.seats:
        for seat in level:
            _check_name("shield", seat.shield, get_args(Shield))


def _check_name(field: str, got: str, names: tuple[str, ...]) -> None:
    if got not in names:
        raise ValueError(f"{field}: expected one of {', '.join(names)}, got {got!r}")


def seed_all(seed: int) -> None:
    """Seed the process's own generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def build(spec: WorldSpec, decide: Decide | None = None, tracker: Tracker | None = None) -> Arena:
    """A world, ready to be played.

    Raises:
        ValueError: the spec is not playable.
    """
    options: dict[str, Any] = {}
    if spec.fast:
        from scml_engine import fast

        fast.install()
        options = {"saved_details_level": 0, "sync_calls": True, "no_logs": True, "log_folder": _scratch()}
    with quiet():
        config = configuration(spec)
        seed_all(spec.seed)
        arena = Arena(spec, config, decide, tracker, **options)
    if spec.fast:
        arena.save_negotiations = False
    return arena


def play(arena: Arena) -> WorldResult:
    """Play a world to its end."""
    start = time.perf_counter()
    with quiet():
        arena.run()
    if arena.tracker is not None:
        arena.tracker.finish(arena, time.perf_counter() - start)
    scores = arena.scores()
    return WorldResult(
        scores=tuple(float(scores[aid]) for aid in arena.ids),
        balances=tuple(float(arena.current_balance(aid)) for aid in arena.ids),
        shortfall=tuple(arena.shortfall.tolist()),
        free_units=tuple(np.maximum(arena.free_units, 0).tolist()),
        bankrupt=tuple(bool(arena.is_bankrupt[aid]) for aid in arena.ids),
        digest=arena.hash.hexdigest(),
        days=int(arena.current_step),
        seconds=time.perf_counter() - start,
        substituted=sum(desk.substituted for desk in arena.desks),
    )


def _scratch() -> str:
    """The engine makes a folder for logs even where there are none: one for all, as killed processes remove nothing."""
    return str(Path(tempfile.gettempdir()) / f"agora-scml-{os.getuid()}")


@functools.cache
def _nowhere() -> Any:
    return open(os.devnull, "w", encoding="utf-8")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Published agents print, and the engine warns of its own deprecated calls."""
    with contextlib.redirect_stdout(_nowhere()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run_world(spec: WorldSpec, decide: Decide | None = None, tracker: Tracker | None = None) -> WorldResult:
    """Build a world and play it to its end.

    Args:
        spec: the world.
        decide: who answers for seats whose policy is "service".
        tracker: where what happens is written down.

    Raises:
        ValueError: the spec is not playable.
    """
    return play(build(spec, decide, tracker))
