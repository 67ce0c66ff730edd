"""A collection of a game that nobody learns, whose server and agents are killed on the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.processes import Service
from bench.report import Row
from bench.survival_runs import rows
from trainer.collector import Collector
from trainer.segments import episode_returns

GAME, CONFIG = "scml", {"days": 5, "levels": 2, "factories": 2}
AGENTS = tuple(f"factory_{number}" for number in range(4))
BLOCKS, COPIES = 20, 2
VICTIMS = ("env_server-0", "env_server-1", "agents")
PATIENCE = 120.0


@dataclass(frozen=True)
class Played:
    """What a collection came to: the log in order, every agent's returns, wall time, and how many kills were made."""

    log: pa.Table
    returns: list[list[float]]
    seconds: float
    kills: int


async def play(folder: Path, kills: Sequence[tuple[str, float]] = ()) -> Played:
    """Collect with two servers that write one log; kill each victim so many seconds after the start.

    A process that was killed is started again at once, at the same address.
    """
    with ExitStack() as stack:
        log = ["--log-directory", str(folder / "trajectories")]
        services = {name: stack.enter_context(Service("env_server", log)) for name in VICTIMS[:2]}
        services["agents"] = stack.enter_context(Service("agent_services", ["--policy", "scripted:haggler"]))
        servers, seats = [services[name].address for name in VICTIMS[:2]], [services["agents"].address]
        collector = Collector(servers, dict.fromkeys(AGENTS, seats), run="r", seed=3, deadline=10, patience=PATIENCE)
        spec = await collector.describe(GAME, json.dumps(CONFIG))
        began, made = time.monotonic(), 0
        collecting = asyncio.create_task(collector.collect(spec, range(BLOCKS), COPIES, {}, None))
        for victim, after in kills:
            await asyncio.sleep(max(0.0, began + after - time.monotonic()))
            made += not collecting.done()
            services[victim].kill()
            services[victim].start(wait=False)
        segments = await collecting
        seconds = time.monotonic() - began
        await collector.close()
    return Played(rows(folder), episode_returns(segments).tolist(), seconds, made)


def measure(folder: Path) -> list[Row]:
    """Every victim is killed at once, before the first block, and then at random moments."""
    times, draws = 3, np.random.default_rng(1)
    calm = asyncio.run(play(folder / "calm"))
    later = sorted(draws.uniform(0.1, 0.9, len(VICTIMS) * (times - 1)) * calm.seconds)
    moments = [*np.linspace(0.0, 0.05, len(VICTIMS)), *later]
    victims = [*VICTIMS, *draws.permutation(list(VICTIMS) * (times - 1)).tolist()]
    disturbed = asyncio.run(play(folder / "kills", list(zip(victims, moments, strict=True))))
    kills, once = len(moments), len(disturbed.log) == len({tuple(key.values()) for key in _keys(disturbed.log)})
    same, returns = disturbed.log.equals(calm.log), disturbed.returns == calm.returns
    return [
        Row(f"{GAME}, collected: kills on the way", [float(disturbed.kills)], "", f"{kills} of {', '.join(VICTIMS)}",
            disturbed.kills == kills),
        Row(f"{GAME}, collected: every row logged once", [float(once)], "share", "1", once),
        Row(f"{GAME}, collected: log as the undisturbed one's, column by column", [float(same)], "share", "1", same),
        Row(f"{GAME}, collected: returns as undisturbed", [float(returns)], "share", "1", returns),
    ]  # fmt: skip


def _keys(log: pa.Table) -> list[dict[str, int]]:
    keys: list[dict[str, int]] = log.select(["block", "step", "copy"]).to_pylist()
    return keys
