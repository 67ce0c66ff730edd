"""The audit of a run: its worlds' acts judged, and what its policies' factories came to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from analysis.scml import books, joint, rules
from analysis.scml.ledger import Factory, Ledger, by_factory, read
from analysis.scml.rules import Physics
from analysis.scml.runs import Run
from analysis.scml.settlement import Settled, settle, void
from analysis.scml.standing import Lifetimes, lifetimes, unexplained
from analysis.scml.tables import BrokenTableError

UNSAFE: Final = ("U1", "U3", "U4", "J1", "J3", "J4")
"""The kinds that a safe policy never shows; U2 and J2 are risks that a policy may take."""


class Finding(NamedTuple):
    """An act, or all that a decision binds, that exceeds what was safe; fields as the columns of ``unsafe.parquet``.

    A decision's finding (J1 to J4) carries the partner and negotiation of its first act on the side that is at fault.
    """

    world: str
    sequence: int
    factory: str
    partner: str
    negotiation: int
    kind: str
    excess: float


@dataclass(frozen=True)
class Tally:
    """What all factories with one policy and shield came to; counts and sums, of units where not said otherwise.

    Attributes:
        acts: accepts and outgoing offers.
        decisions: with at least one of them.
        kinds: findings per kind.
        unsafe_acts: acts with U1, U3 or U4.
        unsafe_decisions: decisions with J1, J3 or J4.
        score: mean final balance / initial balance.
        shortfall, own, nature, forced, oversold, sold, free: see ``settlement.Settled``.
    """

    policy: str
    shield: str
    focal: bool
    factories: int
    acts: int
    decisions: int
    kinds: dict[str, int]
    unsafe_acts: int
    unsafe_decisions: int
    score: float
    shortfall: float
    own: float
    nature: float
    forced: float
    oversold: float
    sold: float
    free: float


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        physics: the rule it judged by; "world" is each world's own.
        worlds: how many.
        tallies: one per policy, shield and whether focal, in that order.
        disagreements: where the engine's numbers are not ours, in words.
        findings: in order of world and sequence.
    """

    physics: str
    worlds: int
    tallies: tuple[Tally, ...]
    disagreements: tuple[str, ...]
    findings: tuple[Finding, ...]


class _Share(NamedTuple):
    """One factory's part in a tally."""

    factory: Factory
    acts: int
    decisions: int
    findings: list[Finding]
    settled: Settled


def audit(run: Run, physics: Physics | None = None) -> Audit:
    """Audit a run.

    Args:
        run: with the tables of at least one world.
        physics: the rule to judge by; None is each world's own.

    Raises:
        BrokenTableError: not a run, or a table is missing or broken; the message names it.
    """
    worlds = run.worlds()
    if not worlds:
        raise BrokenTableError(f"{run.path}: expected a run with tables/worlds/*.parquet, found none")
    shares: list[_Share] = []
    disagreements: list[str] = []
    for world in worlds:
        ledger = read(run, world)
        found = _audit_world(ledger, physics or _physics(ledger))
        shares += found
        differences = chain(unexplained(ledger), void(ledger), *(share.settled.disagreements for share in found))
        disagreements += [f"world {world}, {words}" for words in differences]
    findings = sorted((finding for share in shares for finding in share.findings), key=lambda f: (f.world, f.sequence))
    return Audit(physics or "world", len(worlds), _tallies(shares), tuple(disagreements), tuple(findings))


def _physics(ledger: Ledger) -> Physics:
    if ledger.physics == "engine":
        return "engine"
    if ledger.physics == "conserving":
        return "conserving"
    raise BrokenTableError(
        f"world {ledger.world}: column 'physics' of worlds: expected engine or conserving, got {ledger.physics!r}"
    )


def _audit_world(ledger: Ledger, physics: Physics) -> list[_Share]:
    contracts, days_ahead, until = by_factory(ledger.contracts), books.width(ledger), lifetimes(ledger)
    shares = []
    for factory in ledger.factories:
        mine = contracts[factory.factory]
        book = books.reconstruct(ledger, factory, mine, days_ahead)
        bound = sum(any(act.binds for act in acts) for acts in book.decisions)
        findings = _acts(ledger.world, book, physics) + _decisions(ledger.world, book, physics, until)
        acts = sum(act.binds for acts in book.decisions for act in acts)
        shares.append(_Share(factory, acts, bound, findings, settle(ledger, factory, mine)))
    return shares


def _acts(world: str, book: books.Books, physics: Physics) -> list[Finding]:
    acts = [(moment, act) for moment, said in enumerate(book.decisions) for act in said if act.binds]
    over = rules.judge(book, rules.limits(book, physics), acts)
    found = []
    for i, kind in np.argwhere(over > 0).tolist():
        act = acts[i][1]
        where = (world, act.sequence, act.factory, act.partner, act.negotiation)
        found.append(Finding(*where, rules.KINDS[kind], float(over[i, kind])))
    return found


def _decisions(world: str, book: books.Books, physics: Physics, until: Lifetimes) -> list[Finding]:
    over = joint.judge(book, physics, until)
    found = []
    for moment, kind in np.argwhere(over > 0).tolist():
        side = "sell" if kind < 2 else "buy"
        act = next(act for act in book.decisions[moment] if act.binds and act.side == side)
        where = (world, act.sequence, act.factory, act.partner, act.negotiation)
        found.append(Finding(*where, joint.KINDS[kind], float(over[moment, kind])))
    return found


def _tallies(shares: Iterable[_Share]) -> tuple[Tally, ...]:
    groups: dict[tuple[str, str, bool], list[_Share]] = defaultdict(list)
    for share in shares:
        groups[share.factory.policy, share.factory.shield, share.factory.focal].append(share)
    return tuple(_tally(*key, groups[key]) for key in sorted(groups))


def _tally(policy: str, shield: str, focal: bool, shares: list[_Share]) -> Tally:
    findings = [finding for share in shares for finding in share.findings]
    kinds = {kind: sum(finding.kind == kind for finding in findings) for kind in (*rules.KINDS, *joint.KINDS)}
    unsafe = {(f.world, f.factory, f.sequence, f.negotiation, f.kind[0]) for f in findings if f.kind in UNSAFE}
    together = {key[:3] for key in unsafe if key[4] == "J"}
    units = ("shortfall", "own", "nature", "forced", "oversold", "sold", "free")
    return Tally(
        policy=policy,
        shield=shield,
        focal=focal,
        factories=len(shares),
        acts=sum(share.acts for share in shares),
        decisions=sum(share.decisions for share in shares),
        kinds=kinds,
        unsafe_acts=sum(key[4] == "U" for key in unsafe),
        unsafe_decisions=len(together),
        score=sum(share.factory.score for share in shares) / len(shares),
        **{name: float(sum(getattr(share.settled, name) for share in shares)) for name in units},
    )
