"""What manipulators do to a market, and to whom: each beside itself doing nothing, under the same seeds.

A spoofer is held beside no spoofer at all, as was asked, and beside itself making the same trades without its bid,
which tells what the bid alone does: this spoofer knows what a lot is worth, and so moves prices and earns without any
bid. The markets of the spoofer are those of Wang and Wellman (2017) in kind: traders come rarely, see a noisy worth,
and trade one lot. Settings were chosen on other seeds than the measured ones. Where nobody reads the book the bid still
buys a lot now and then, from who would have sold to somebody else: so ± 10 % of what the same trades bring counts as
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from agora.market.choices import NO_QUOTE
from analysis.market.manipulation import Course, Floats, displacement, interval, profits
from bench.report import Row
from env_server.environments.market.book.records import CASH
from env_server.environments.market.config import Crowd, MarketConfig, Worth
from env_server.environments.market.kernels import compiled
from env_server.environments.market.state import opened

TITLE = "a spoofer moves book readers and gains from them, not from zero intelligence; four other manipulators"

SEEDS: Final = 20
FIRST: Final = 1_001
"""The first seed."""
SEAT, MANIPULATOR, VICTIMS = range(3)
"""Parties, before everybody else; the seat is a maker's and does nothing."""


@dataclass(frozen=True)
class Target:
    """What an interval should be.

    Attributes:
        words: to say so.
        least: the interval lies above.
        most: the interval lies below.
    """

    words: str
    least: float = -np.inf
    most: float = np.inf

    def met(self, low: float, high: float) -> bool:
        """Whether an interval is such."""
        return self.least < low and high < self.most


TOLD: Final = Target("told")


@dataclass(frozen=True)
class Scene:
    """A manipulator among those it is after.

    Attributes:
        manipulator: one trader.
        victims: traders of one style.
        others: everybody else.
        worth: of a lot.
        steps: of an episode.
    """

    manipulator: Crowd
    victims: Crowd
    others: tuple[Crowd, ...]
    worth: Worth
    steps: int

    def played(self, seeds: int, **changes: float) -> Course:
        """Play a market per seed, with changes to the manipulator's settings."""
        crowd = (self.manipulator.model_copy(update=changes), self.victims, *self.others)
        return course(MarketConfig(crowd=crowd, worth=self.worth, steps=self.steps), seeds)


def course(config: MarketConfig, seeds: int) -> Course:
    """Play markets whose one seat, a maker's, does nothing."""
    markets = opened(config, seeds)
    markets["key"] = np.arange(FIRST, FIRST + seeds)
    actions, rewards = np.full((seeds, 1, 3), NO_QUOTE), np.zeros((seeds, 1))
    actions[:, :, 2] = 0
    accounts = markets["book"]["accounts"][:, : int(markets["settings"]["agents"][0])]
    parties = [SEAT, MANIPULATOR, VICTIMS, VICTIMS + config.crowd[1].count]
    mid, worth, resting = np.zeros((3, config.steps, seeds))
    cash, shares = np.zeros((2, config.steps, seeds, len(parties)))
    for step in range(config.steps):
        compiled().advance(markets, actions, rewards)
        mid[step], worth[step] = markets["sight"]["mid"], markets["worth"]
        resting[step] = accounts["open"][:, MANIPULATOR, 0]
        cash[step] = np.add.reduceat(accounts["cash"] / CASH - config.cash * 100, parties, axis=1)
        shares[step] = np.add.reduceat(accounts["shares"], parties, axis=1)
    return Course(mid, worth, resting, cash, shares)


def run(quick: bool) -> list[Row]:
    """Play every scene; ``quick`` with four seeds, which judge nothing."""
    seeds = 4 if quick else SEEDS
    readers, effect = _spoofed("readers", AMONG_READERS, seeds, (Target("> 2", 2.0), Target("> 10", 10.0)))
    near, little = Target("± 0.5", -0.5, 0.5), Target("± 10", -10.0, 10.0)
    zero, of_zero = _spoofed("zero intelligence", AMONG_ZERO, seeds, (near, little))
    rows = [
        *readers,
        *zero,
        _row("readers: moved, beside no spoofer", effect.moved, "ticks", Target("> 2", 2.0)),
        _row("readers: gained, beside no spoofer", effect.profit, "ticks·lots", Target("> 0", 0.0)),
        _row("zero intelligence: moved, beside no spoofer", of_zero.moved, "ticks", near),
        _row(
            "zero intelligence: gained, of what it gains among readers",
            100 * of_zero.profit / float(effect.profit.mean()),
            "%",
            little,
        ),
    ]
    for name, scene in SCENES.items():
        rows += _effects(name, Effect.of(scene.played(seeds), scene.played(seeds, activity=0.0)))
    return [replace(row, holds=True) for row in rows] if quick else rows


@dataclass(frozen=True)
class Effect:
    """What a manipulator does, beside doing nothing, seed by seed (B,).

    Attributes:
        moved: ticks, the mid while it bids, or has lots if it never bids.
        profit: its own, ticks times lots.
        lost: by its victims, ticks times lots.
    """

    moved: Floats
    profit: Floats
    lost: Floats

    @classmethod
    def of(cls, active: Course, idle: Course) -> Effect:
        """Compare two courses of the same seeds."""
        bids = active.resting > 0.0
        at_work = bids if bids.any() else active.shares[:, :, MANIPULATOR] != 0.0
        earned, undisturbed = profits(active), profits(idle)
        moved, lost = displacement(active, idle, at_work), (undisturbed - earned)[:, VICTIMS]
        return cls(moved, earned[:, MANIPULATOR] - undisturbed[:, MANIPULATOR], lost)


def _spoofed(name: str, scene: Scene, seeds: int, targets: tuple[Target, Target]) -> tuple[list[Row], Effect]:
    """What a spoofer's bid does, beside the same trades without it, and what the spoofer does, beside doing nothing."""
    active, plain = scene.played(seeds), scene.played(seeds, spoof=0)
    without = profits(plain)
    gains, usual = profits(active) - without, float(without[:, MANIPULATOR].mean())
    bought = np.diff(active.shares[:, :, MANIPULATOR], axis=0, prepend=0.0)
    early = 2 * (np.arange(1, scene.steps + 1) % scene.manipulator.period) < scene.manipulator.period
    effect = Effect.of(active, scene.played(seeds, activity=0.0))
    rows = [
        _row(f"{name}: moved by the bid", displacement(active, plain, active.resting > 0.0), "ticks", targets[0]),
        _row(f"{name}: gained by the bid, relative", 100 * gains[:, MANIPULATOR] / usual, "%", targets[1]),
        _row(f"{name}: gained by the bid", gains[:, MANIPULATOR], "ticks·lots"),
        _row(f"{name}: victims lost by the bid", -gains[:, VICTIMS], "ticks·lots"),
        _row(f"{name}: bought by the bid", np.maximum(bought[~early], 0.0).sum(axis=0), "lots"),
        _row(f"{name}: gained without it", without[:, MANIPULATOR], "ticks·lots"),
        _row(f"{name}: victims lost, beside no spoofer", effect.lost, "ticks·lots"),
    ]
    return rows, effect


def _effects(name: str, effect: Effect) -> list[Row]:
    """What a manipulator does, beside doing nothing."""
    return [
        _row(f"{name}: moved", effect.moved, "ticks"),
        _row(f"{name}: gained", effect.profit, "ticks·lots"),
        _row(f"{name}: victims lost", effect.lost, "ticks·lots"),
    ]


def _row(name: str, values: Floats, unit: str, target: Target = TOLD) -> Row:
    """A row whose target the 95 % interval of the mean must meet; seeds without a figure (NaN) are left out."""
    known = values[~np.isnan(values)]
    low, high = interval(known)
    words = f"{target.words}; mean {known.mean():.3g}, 95 %: {low:.3g} to {high:.3g}"
    return Row(name, known.tolist(), unit, words, target.met(low, high))


_RARE: Final = {"activity": 0.002, "least": 1, "most": 1, "noise": 20.0}
_READER: Final = Crowd(style="book_reader", count=54, **_RARE)
_ZERO: Final = Crowd(style="zero_intelligence", count=6, away=10.0, **_RARE)
_CALM, _LIVELY = Worth(volatility=0.03, reversion=0.0005), Worth(volatility=0.1)
_SPOOFER: Final = Crowd(
    style="spoofer", activity=1.0, least=1, most=1, holding=20, period=6_000, noise=0.0, threshold=2.0
)
AMONG_READERS: Final = Scene(_SPOOFER, _READER, (_ZERO,), _CALM, 36_000)
AMONG_ZERO: Final = Scene(_SPOOFER, _ZERO.model_copy(update={"count": 54}), (_ZERO,), _CALM, 36_000)
_REST: Final = (
    Crowd(style="noise", count=24, activity=0.3),
    Crowd(style="maker", count=2, activity=1.0, least=5),
    Crowd(style="fundamental", count=4, activity=0.1, threshold=6.0),
)
SCENES: Final = {
    "layering, readers": Scene(
        _SPOOFER.model_copy(update={"style": "layering"}), _READER, (_ZERO,), _CALM, AMONG_READERS.steps
    ),
    "quote stuffing, readers": Scene(
        Crowd(style="quote_stuffing", activity=1.0), _READER, (_ZERO,), _CALM, AMONG_READERS.steps
    ),
    "momentum ignition, trend": Scene(
        Crowd(style="momentum_ignition", activity=1.0, least=9, holding=60),
        Crowd(style="trend", count=12, activity=0.2, threshold=0.0005, holding=50),
        _REST,
        _LIVELY,
        12_000,
    ),
    "stop hunting, stops": Scene(
        Crowd(style="stop_hunting", activity=1.0, least=50, most=50, holding=200, period=400, away=5.0),
        Crowd(style="protected", count=32, activity=0.02, cancel=0.0, away=10.0, least=30, most=60),
        _REST,
        _LIVELY,
        4_000,
    ),
}
