# SPDX-License-Identifier: AGPL-3.0-or-later
"""The tables that a tracked world leaves behind: one Parquet file per table and world.

Factories are named "level.place"; quantities are units, prices money per unit, days absolute unless said otherwise.
Decisions and contracts of a world share one counter, ``sequence``, which rises with time.
"""

from __future__ import annotations

import pyarrow as pa

_INT, _LONG, _REAL, _TEXT, _FLAG = pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.bool_()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema({"world": _TEXT, **columns})


SCHEMAS: dict[str, pa.Schema] = {
    "worlds": _schema(
        variant=_TEXT,
        seed=_LONG,
        days=_INT,
        physics=_TEXT,
        streams=_TEXT,
        fast=_FLAG,
        digest=_TEXT,
        seconds=_REAL,
        substituted=_INT,
        levels=_INT,
    ),
    "factories": _schema(
        factory=_TEXT,
        level=_INT,
        policy=_TEXT,
        shield=_TEXT,
        focal=_FLAG,
        lines=_INT,
        production_cost=_REAL,
        initial_balance=_REAL,
        final_balance=_REAL,
        score=_REAL,
        bankrupt_day=_INT,
        shortfall=_REAL,
        free_units=_REAL,
        suppliers=pa.list_(_TEXT),
        consumers=pa.list_(_TEXT),
    ),
    "days": _schema(
        day=_INT,
        factory=_TEXT,
        inventory=_INT,
        balance=_REAL,
        balance_end=_REAL,
        exogenous_input_quantity=_INT,
        exogenous_input_price=_REAL,
        exogenous_output_quantity=_INT,
        exogenous_output_price=_REAL,
        bought=_INT,
        sold=_INT,
        produced=_INT,
        shortfall=_REAL,
        shortfall_penalty=_REAL,
        storage_cost=_REAL,
        input_trading_price=_REAL,
        output_trading_price=_REAL,
        lines=_INT,
        production_cost=_REAL,
    ),
    "decisions": _schema(
        day=_INT,
        sequence=_LONG,
        factory=_TEXT,
        partner=_TEXT,
        side=_TEXT,
        negotiation=_LONG,
        round=_INT,
        op=_TEXT,
        quantity=_INT,
        delivery=_INT,
        price=_REAL,
        base_op=_TEXT,
        base_quantity=_INT,
        base_delivery=_INT,
        base_price=_REAL,
        edited=_FLAG,
        substituted=_FLAG,
        first=_FLAG,
        can_buy=_FLAG,
        offer_quantity=_INT,
        offer_delivery=_INT,
        offer_price=_REAL,
    ),
    "contracts": _schema(
        sequence=_LONG,
        day=_INT,
        negotiation=_LONG,
        seller=_TEXT,
        buyer=_TEXT,
        quantity=_INT,
        delivery=_INT,
        unit_price=_REAL,
        exogenous=_FLAG,
        nullified_day=_INT,
    ),
    "negotiations": _schema(
        negotiation=_LONG,
        day=_INT,
        seller=_TEXT,
        buyer=_TEXT,
        rounds=_INT,
        agreed=_FLAG,
        ended=_LONG,
    ),
}
