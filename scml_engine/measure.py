# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m scml_engine.measure``: plays the same worlds in one of several ways and prints a JSON line for each."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray
from scml.std import SCML2024StdWorld

from agora.negotiation.haggler import haggle
from scml_engine.policies import resolve
from scml_engine.spec import SERVICE, Reply, SeatSpec, Shield, WorldSpec
from scml_engine.world import configuration, quiet, run_world, seed_all


@dataclass(frozen=True)
class Measure:
    """Play worlds and print, for each, its seed, wall-clock and CPU seconds, scores and digest."""

    way: Literal["default", "fast"] = "fast"
    """default: the engine's own world with its own settings; fast: as Agora plays it."""
    policies: tuple[str, ...] = ("penguin",)
    """Dealt to the seats in turn; "service" is played by Agora's haggler, in this process."""
    shape: tuple[int, ...] = (4, 4)
    """Factories per level."""
    days: int = 50
    seeds: tuple[int, ...] = (0,)
    """A world for each."""
    shield: Shield = "none"
    """Before the seats that are played by the haggler."""
    streams: Literal["seat", "shared"] = "shared"
    """Random streams; the engine's own world has a shared one."""

    def specs(self) -> list[WorldSpec]:
        """The worlds."""
        places = iter(range(sum(self.shape)))
        seats = tuple(
            tuple(SeatSpec(self.policies[next(places) % len(self.policies)]) for _ in range(size))
            for size in self.shape
        )
        world = WorldSpec(0, self.days, seats, streams=self.streams)
        return [replace(world, seed=seed) for seed in self.seeds]

    def _seat(self, place: int) -> SeatSpec:
        policy = self.policies[place % len(self.policies)]
        return SeatSpec(policy, self.shield if policy == SERVICE else "none")

    def __call__(self) -> None:
        """Do it."""
        play: Callable[[WorldSpec], dict[str, Any]] = default if self.way == "default" else fast
        specs = self.specs()
        play(replace(specs[0], days=1))  # imports and compiles what all worlds need
        for spec in specs:
            began, cpu = time.perf_counter(), time.process_time()
            found = play(spec)
            times = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
            print(json.dumps({"seed": spec.seed, **times, **found}), flush=True)


def default(spec: WorldSpec) -> dict[str, Any]:
    """A world as the engine's own documentation has it, which logs to a folder."""
    with quiet(), tempfile.TemporaryDirectory() as folder:
        config = configuration(spec)
        for slot, seat in zip(config["agent_params"], [seat for level in spec.seats for seat in level], strict=True):
            slot["controller_type"] = resolve(seat.policy)
        seed_all(spec.seed)
        world = SCML2024StdWorld(**config, log_folder=folder)
        world.run()
    return {"scores": list(world.scores().values())}


def fast(spec: WorldSpec) -> dict[str, Any]:
    """A world as Agora plays it."""
    served = any(seat.policy == SERVICE for level in spec.seats for seat in level)
    result = run_world(spec, decide if served else None)
    return {"scores": list(result.scores), "digest": result.digest}


def decide(index: int, view: NDArray[Any]) -> Reply:
    """The haggler, for one view."""
    rows = (view[name][None] for name in ("factory", "commitments", "slots"))
    return Reply(np.asarray(haggle(*rows)[0], np.int32))


if __name__ == "__main__":
    tyro.cli(Measure, prog="python -m scml_engine.measure")()
