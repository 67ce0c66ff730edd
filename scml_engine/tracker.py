# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes down what happens in one world, for the auditor and the analyzer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from agora.negotiation.layout import Ints, Op, Role, Slot, View
from scml_engine.tables import SCHEMAS

if TYPE_CHECKING:
    from scml_engine.arena import Arena
    from scml_engine.desk import Desk

NATURE = "nature"
_NAMES = {Op.ACCEPT: "accept", Op.REJECT: "reject", Op.END: "end"}


class Tracker:
    """One world's. Rows stay in memory until ``finish`` writes them, each table at once."""

    def __init__(self, run: Path, world: str, variant: str = "", focal: frozenset[str] = frozenset()) -> None:
        """Nothing is written yet.

        Args:
            run: the run's folder.
            world: the world's id, a file name.
            variant: what is being compared, if anything.
            focal: names of the factories that the comparison is about.
        """
        self.run, self.world, self.variant, self.focal = run, world, variant, focal
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
        self._numbers: dict[tuple[str, str], int] = {}
        self._started = 0
        self._contracts: list[tuple[Any, tuple[Any, ...]]] = []
        self._morning: list[tuple[Any, ...]] = []
        self._bankrupt: dict[str, int] = {}

    def morning(self, arena: Arena) -> None:
        """A day begins: nature's contracts are known, negotiations are not yet made."""
        self._numbers = {}
        day = arena.current_step
        self._morning = [
            (
                arena._inventory_input[aid],
                arena.current_balance(aid),
                arena.exogenous_qin[aid],
                arena.exogenous_pin[aid],
                arena.exogenous_qout[aid],
                arena.exogenous_pout[aid],
            )
            for aid in arena.ids
        ]
        for contract in arena.exogenous_contracts[day]:
            self._contract(arena, arena.next_sequence(), -1, contract, exogenous=True)

    def decision(
        self,
        arena: Arena,
        desk: Desk,
        sequence: int,
        view: View,
        base: Ints,
        final: Ints,
        edited: NDArray[np.bool_],
        substituted: bool,
    ) -> None:
        """One decision: a row per answered slot."""
        day, first = arena.current_step, bool(view.factory[-1])
        slots = view.slots
        can_buy = bool(((slots[:, Slot.ROLE] == Role.SUPPLIER) & (slots[:, Slot.RUNNING] == 1)).any())
        name = arena.names[desk.index]
        for i in np.flatnonzero(slots[:, Slot.AWAITED]).tolist():
            partner = arena.name_of[desk.sight.partners[i]]
            row = slots[i].tolist()
            side = "buy" if row[Slot.ROLE] == Role.SUPPLIER else "sell"
            table = _table(row, day)
            pair = (partner, name) if side == "buy" else (name, partner)
            self._rows["decisions"].append(
                (
                    *(self.world, day, sequence, name, partner, side, self._number(pair), row[Slot.ROUND]),
                    *(*_said(final[i], table, day, first), *_said(base[i], table, day, first)),
                    *(bool(edited[i]), substituted, first, can_buy, *table),
                )
            )

    def negotiation(self, arena: Arena, info: Any, contract: Any) -> None:
        """A negotiation has ended; ``ended`` is on the counter that decisions and contracts share."""
        seller, buyer = (arena.name_of[info.annotation[side]] for side in ("seller", "buyer"))
        number = self._number((seller, buyer))
        rounds = int(info.mechanism.state.step)
        ended = arena.next_sequence()
        row = (self.world, number, arena.current_step, seller, buyer, rounds, contract is not None, ended)
        self._rows["negotiations"].append(row)

    def contract(self, arena: Arena, sequence: int, info: Any, contract: Any) -> None:
        """Two factories have signed."""
        seller, buyer = (arena.name_of[info.annotation[side]] for side in ("seller", "buyer"))
        self._contract(arena, sequence, self._number((seller, buyer)), contract, exogenous=False)

    def _contract(self, arena: Arena, sequence: int, number: int, contract: Any, exogenous: bool) -> None:
        agreed = contract.agreement
        seller, buyer = (arena.name_of.get(contract.annotation[side], NATURE) for side in ("seller", "buyer"))
        what = (int(agreed["quantity"]), int(agreed["time"]), float(agreed["unit_price"]), exogenous)
        self._contracts.append((contract, (self.world, sequence, arena.current_step, number, seller, buyer, *what)))

    def _number(self, pair: tuple[str, str]) -> int:
        """The number of today's negotiation between a seller and a buyer."""
        if pair not in self._numbers:
            self._started += 1
            self._numbers[pair] = self._started
        return self._numbers[pair]

    def day(self, arena: Arena) -> None:
        """A day has been settled."""
        day, prices = arena.current_step, arena.trading_prices
        for aid, name, start in zip(arena.ids, arena.names, self._morning, strict=True):
            awi, profile = arena.agents[aid].awi, arena.agent_profiles[aid]
            inventory, balance, *exogenous = start
            made = round(arena._productivity[aid] * profile.n_lines)
            self._rows["days"].append(
                (
                    *(self.world, day, name, inventory, balance, arena.current_balance(aid), *exogenous),
                    *(arena._input_quantity[aid], arena._output_quantity[aid], made, arena._shortfall_quantity[aid]),
                    *(arena._shortfall_penalty[aid], arena._storage_cost[aid]),
                    *(prices[awi.my_input_product], prices[awi.my_output_product], profile.n_lines, profile.cost),
                )
            )
            if arena.is_bankrupt[aid]:
                self._bankrupt.setdefault(name, day)

    def finish(self, arena: Arena, seconds: float) -> None:
        """Write everything; a table is there whole or not at all."""
        for contract, row in self._contracts:
            self._rows["contracts"].append((*row, arena.nullified.get(contract.id, -1)))
        self._close(arena, seconds)
        # A world is listed once it is in the table of worlds, so that one comes last.
        for name, schema in sorted(SCHEMAS.items(), key=lambda item: item[0] == "worlds"):
            columns = list(zip(*self._rows[name], strict=True)) or [()] * len(schema)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            path = self.run / "tables" / name / f"{self.world}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.part")
            pq.write_table(pa.Table.from_arrays(arrays, schema=schema), unfinished, compression="zstd")
            unfinished.replace(path)

    def _close(self, arena: Arena, seconds: float) -> None:
        spec, scores = arena.spec, arena.scores()
        substituted = sum(desk.substituted for desk in arena.desks)
        how = (spec.physics, spec.streams, spec.fast, arena.hash.hexdigest(), seconds, substituted, len(spec.shape))
        self._rows["worlds"].append((self.world, self.variant, spec.seed, spec.days, *how))
        for desk, name in zip(arena.desks, arena.names, strict=True):
            profile, level = arena.agent_profiles[desk.id], int(name.split(".")[0])
            partners = [arena.name_of[p] for p in desk.sight.partners]
            suppliers = [p for p in partners if int(p.split(".")[0]) < level]
            self._rows["factories"].append(
                (
                    *(self.world, name, level, desk.seat.policy, desk.seat.shield, name in self.focal),
                    *(profile.n_lines, float(profile.cost), float(arena.initial_balances[desk.id])),
                    *(float(arena.current_balance(desk.id)), float(scores[desk.id]), self._bankrupt.get(name, -1)),
                    *(float(arena.shortfall[desk.index]), float(max(arena.free_units[desk.index], 0.0))),
                    *(suppliers, [p for p in partners if p not in suppliers]),
                )
            )


def _table(row: list[int], day: int) -> tuple[int, int, float]:
    """The partner's offer on the table."""
    quantity, delivery, price = row[Slot.PARTNER_QUANTITY : Slot.PARTNER_PRICE + 1]
    return (quantity, day + delivery, float(price)) if quantity else (0, -1, 0.0)


def _said(answer: Ints, table: tuple[int, int, float], day: int, first: bool) -> tuple[str, int, int, float]:
    """What an answer comes to: its name, and the offer accepted or made.

    No first proposal is no end: the partner may open.
    """
    op, delivery, quantity, price = answer.tolist()
    if op == Op.ACCEPT:
        return ("accept", *table)
    if op == Op.REJECT and quantity > 0:
        return ("reject", quantity, day + delivery, float(price))
    return ("reject" if first else _NAMES[Op(op)], 0, -1, 0.0)
