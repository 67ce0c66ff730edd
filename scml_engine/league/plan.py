# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which worlds a comparison plays.

Every variant plays the same worlds. A seed gives the number of levels, the configuration, one focal place per level and
the policies of all other places; the variant sits in the focal places, of all levels at once. So variants differ in
nothing but themselves, and their scores can be compared in pairs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast, get_args

import numpy as np

from scml_engine.league.errors import RefusedError
from scml_engine.spec import SERVICE, Physics, SeatSpec, Shield, WorldSpec


@dataclass(frozen=True)
class Variant:
    """What is compared: a policy behind a shield.

    Attributes:
        policy: a short name or the dotted path of a class.
        shield: "none", "certain" or "covered".
    """

    policy: str
    shield: Shield

    @property
    def name(self) -> str:
        """As on the command line: "penguin", "penguin:certain"."""
        return self.policy if self.shield == "none" else f"{self.policy}:{self.shield}"

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return self.name.replace(":", "-")


@dataclass(frozen=True)
class World:
    """One world of a plan.

    Attributes:
        name: its id, such as "penguin-certain_s0100".
        variant: who sits in the focal places.
        focal: the focal place of each level.
        spec: the world.
    """

    name: str
    variant: Variant
    focal: tuple[int, ...]
    spec: WorldSpec

    @property
    def factories(self) -> frozenset[str]:
        """Names of the focal factories, "level.place"."""
        return frozenset(f"{level}.{place}" for level, place in enumerate(self.focal))

    @property
    def conditions(self) -> str:
        """sha256 of all that must be the same for every variant: the world without its focal policies."""
        nobody = Variant("", "none")
        seats = [_seated(level, place, nobody) for level, place in zip(self.spec.seats, self.focal, strict=True)]
        fields = asdict(replace(self.spec, seats=tuple(seats)))
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        variants: what is compared.
        pool: policies that the other places are drawn from, each as likely.
        seeds: one world per seed and variant.
        days: of every world.
        levels: numbers of levels; seed s plays with ``levels[s % len(levels)]``.
        per_level: factories per level.
        physics: "engine" or "conserving".
    """

    variants: tuple[Variant, ...]
    pool: tuple[str, ...]
    seeds: range
    days: int
    levels: tuple[int, ...]
    per_level: int
    physics: Physics

    def worlds(self) -> Iterator[World]:
        """All worlds, seed by seed, so that an unfinished run holds whole comparisons."""
        for seed in self.seeds:
            focal, others = self._draw(seed)
            for variant in self.variants:
                seats = tuple(_seated(level, place, variant) for level, place in zip(others, focal, strict=True))
                spec = WorldSpec(seed=seed, days=self.days, seats=seats, physics=self.physics)
                yield World(f"{variant.slug}_s{seed:04d}", variant, focal, spec)

    def _draw(self, seed: int) -> tuple[tuple[int, ...], list[list[SeatSpec]]]:
        """Focal places, and a policy of the pool for every place."""
        levels = self.levels[seed % len(self.levels)]
        rng = np.random.default_rng(seed)
        focal = rng.integers(self.per_level, size=levels).tolist()
        drawn = rng.integers(len(self.pool), size=(levels, self.per_level)).tolist()
        return tuple(focal), [[SeatSpec(self.pool[i]) for i in level] for level in drawn]


def _seated(level: Sequence[SeatSpec], place: int, variant: Variant) -> tuple[SeatSpec, ...]:
    return (*level[:place], SeatSpec(variant.policy, variant.shield), *level[place + 1 :])


def parse_variants(text: str) -> tuple[Variant, ...]:
    """Variants from "penguin,as0,penguin:certain".

    Raises:
        RefusedError: an unknown policy or shield, the same variant twice, or none.
    """
    variants = tuple(_variant(word) for word in _words("--policies", text))
    known_policies("--policies", tuple(dict.fromkeys(variant.policy for variant in variants)))
    return variants


def _variant(word: str) -> Variant:
    policy, colon, shield = word.partition(":")
    shields = get_args(Shield)
    if colon and shield not in shields:
        raise RefusedError("--policies", f"POLICY or POLICY:SHIELD with a shield of {', '.join(shields)}", repr(word))
    return Variant(policy, cast(Shield, shield or "none"))


def parse_pool(text: str) -> tuple[str, ...]:
    """Policies from "penguin,as0"; a policy named twice is drawn twice as often.

    Raises:
        RefusedError: an unknown policy, or none.
    """
    return known_policies("--pool", _words("--pool", text, distinct=False))


def parse_seeds(text: str) -> range:
    """Seeds from "100:120", without the last.

    Raises:
        RefusedError: not two numbers from 0 on, or none between them.
    """
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise RefusedError("--seeds", "FIRST:END with 0 <= FIRST < END, such as 100:120 for 100 to 119", repr(text))
    return range(int(first), int(last))


def parse_levels(text: str) -> tuple[int, ...]:
    """Numbers of levels from "2,3".

    Raises:
        RefusedError: not whole numbers from 2 on.
    """
    words = _words("--levels", text)
    if not all(word.isdecimal() and int(word) >= 2 for word in words):
        raise RefusedError("--levels", "whole numbers from 2 on with commas between them", repr(text))
    return tuple(int(word) for word in words)


def _words(flag: str, text: str, distinct: bool = True) -> tuple[str, ...]:
    words = tuple(text.split(","))
    if not all(words):
        raise RefusedError(flag, "names with commas between them", repr(text))
    if distinct and len(set(words)) < len(words):
        raise RefusedError(flag, "every name once", repr(text))
    return words


def known_policies(flag: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, if all of them can play inside the engine.

    Raises:
        RefusedError: one cannot.
    """
    from scml_engine.policies import POLICIES, resolve  # it imports the engine, which takes seconds

    for name in names:
        if name == SERVICE:
            raise RefusedError(flag, "policies that play inside the engine", repr(name))
        try:
            resolve(name)
        except ValueError as error:
            expected = f"one of {', '.join(POLICIES)}, or the dotted path of an agent's class"
            raise RefusedError(flag, expected, f"{name!r} ({error})" if "." in name else repr(name)) from error
    return names
