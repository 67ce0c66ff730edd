"""A run folder as a finished, resumed or torn run leaves it, with figures that tests can know beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

Json = dict[str, Any]

AGENTS = [f"station_{i}" for i in range(4)]
LABELS = [f"{3 * t:02d}–{3 * t + 3:02d}" for t in range(8)]
POSTED = [0.30, 0.45, 0.25, None]
STEPS, COPIES = 4, 8
START = 1_700_000_000.0


@dataclass
class SyntheticRun:
    """Writes a run folder; every figure follows from the round's number."""

    agents: ClassVar = AGENTS
    labels: ClassVar = LABELS
    num_steps: ClassVar = STEPS
    copies: ClassVar = COPIES

    directory: Path
    rounds: int = 60
    check_every: int = 10
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def write(self) -> Path:
        """A finished run that was resumed once, its log included."""
        self.write_config()
        self.write_metrics()
        self.write_log()
        return self.directory

    def write_config(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = {
            "name": "price-war",
            "seed": 11,
            "environment": {"name": "charging", "config": {"theta": 0.3}},
            "training": {"algorithm": "maddpg", "epsilon": 0.001, "max_environment_steps": 30_000},
        }
        (self.directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        (self.directory / "environment.json").write_text(json.dumps(self.environment()))

    def environment(self) -> Json:
        price = {"title": "Price", "info": "prices", "unit": "AUD/kWh", "reference": POSTED}
        flow = {"title": "Charging flow", "info": "flows", "unit": "cars", "reference": None}
        panels = [{**panel, "labels": LABELS} for panel in (price | {"reference_title": "posted price"}, flow)]
        titles = {agent: f"Site {i + 3}" for i, agent in enumerate(AGENTS)}
        facts = {"panels": panels, "agent_titles": titles, "currency": "AUD"}
        return {"name": "charging", "agents": AGENTS, "config": {"theta": 0.3, "num_periods": 8}, "facts": facts}

    def write_metrics(self) -> None:
        (self.directory / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in self.rows()))

    def rows(self) -> Iterator[Json]:
        """Rounds 0 to 29 of epoch 1, then a restart that takes up at round 25."""
        yield {"kind": "start", "time": START, "epoch": 1, "resumed": False}
        for number in range(30):
            yield from self.round_rows(number, 1, START)
        yield {"kind": "start", "time": START + 100.0, "epoch": 2, "resumed": True}
        for number in range(25, self.rounds):
            yield from self.round_rows(number, 2, START + 100.0)
        yield {"kind": "end", "time": START + 101.0 + self.rounds, "reason": "converged", "round": self.rounds - 1}

    def round_rows(self, number: int, epoch: int, since: float) -> Iterator[Json]:
        at = {"round": number, "time": since + number + 1, "environment_steps": self.steps(number)}
        yield {
            "kind": "round",
            **at,
            "steps_per_second": 180.0 + 10 * np.sin(number),
            "rewards": {agent: self.profit(i, number) * 0.97 for i, agent in enumerate(AGENTS)},
            "versions": {agent: [epoch, number - (i == 3)] for i, agent in enumerate(AGENTS)},
            "noise": 0.2 * 0.95**number,
            "losses": {"critic": 1.0 / (number + 1), "actor": -0.1 * number},
        }
        if number % self.check_every == self.check_every - 1:
            yield {"kind": "check", **at, **self.check(number)}

    def check(self, number: int) -> Json:
        payoffs = {agent: self.profit(i, number) for i, agent in enumerate(AGENTS)}
        share = 0.4 * np.exp(-number / 8.0) + 0.0002
        regret = share * sum(payoffs.values())
        return {
            "nash_conv": regret,
            "nash_conv_estimated": regret * (0.9 + 0.2 * np.cos(number)),
            "relative": share,
            "relative_estimated": share * (0.9 + 0.2 * np.cos(number)),
            "ani": 1 - share / 4,
            "payoffs": payoffs,
            "best_response_payoffs": {agent: payoff + regret / 4 for agent, payoff in payoffs.items()},
            "actions": {agent: self.prices(number)[i].tolist() for i, agent in enumerate(AGENTS)},
            "evaluations": 1000 + number,
        }

    def steps(self, number: int) -> int:
        return (number + 1) * STEPS * COPIES

    def profit(self, agent: int, number: int) -> float:
        return 30.0 + 6 * agent + 25 * float(np.exp(-number / 12.0)) * (1 + 0.2 * agent)

    def prices(self, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What each agent asks in each period, (N, T), before noise."""
        period = np.arange(8) / 8
        end = 0.32 + 0.03 * np.arange(4)[:, None] + 0.06 * np.sin(2 * np.pi * (period - 0.3))[None, :]
        return np.asarray(end + (0.6 - end) * np.exp(-number / 15.0))

    def write_log(self, parts: int = 3) -> None:
        """One block a round in some parts; the last block is greedy, and the same in all copies."""
        folder = self.directory / "trajectories"
        folder.mkdir(exist_ok=True)
        for part, numbers in enumerate(np.array_split(np.arange(self.rounds), parts)):
            table = pa.concat_tables([self.block(int(number)) for number in numbers])
            pq.write_table(table, folder / f"part-{part:05d}.parquet")

    def block(self, number: int) -> pa.Table:
        rows = STEPS * COPIES
        noise = 0.0 if number == self.rounds - 1 else 0.2 * 0.95**number
        prices = self.prices(number)[None] + 0.1 * noise * self.rng.standard_normal((rows, 4, 8))
        columns: Json = {
            "run": ["price-war"] * rows,
            "block": np.full(rows, number, np.uint64),
            "copy": np.tile(np.arange(COPIES, dtype=np.uint32), STEPS),
            "step": np.repeat(np.arange(STEPS, dtype=np.uint32), COPIES),
            "noise_scale": np.full(rows, noise, np.float32),
            "info.prices": fixed(prices),
            "info.flows": fixed(np.maximum(0.0, 14 - 25 * prices + 4 * np.sin(np.arange(8)))),
            "station_0.reward": np.full(rows, self.profit(0, number)),
        }
        return pa.table(columns)


def fixed(values: np.ndarray[Any, np.dtype[np.float64]]) -> pa.FixedSizeListArray:
    """(rows, N, L) as a fixed size list, flattened row by row."""
    flat = pa.array(values.astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values[0].size)


@pytest.fixture
def synthetic(tmp_path: Path) -> SyntheticRun:
    """A run folder that is still to be written."""
    return SyntheticRun(tmp_path / "price-war")
