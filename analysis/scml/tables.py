"""SQL over a run's Parquet files, each checked before it is read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.scml.runs import Run

Row = dict[str, Any]
"""One row of a result, by column."""


class BrokenTableError(ValueError):
    """A table is missing or is not what it should be; the message names the file and the column."""


def _text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


KINDS: Final[Mapping[str, Callable[[pa.DataType], bool]]] = {
    "text": _text,
    "whole number": lambda kind: bool(pa.types.is_integer(kind)),
    "number": _number,
    "yes or no": lambda kind: bool(pa.types.is_boolean(kind)),
    "list": lambda kind: bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)),
}


def _columns(**names: str) -> dict[str, str]:
    """From kind → names to name → kind."""
    kinds = {"text": "text", "whole": "whole number", "number": "number", "flag": "yes or no", "many": "list"}
    return {name: kinds[kind] for kind, listed in names.items() for name in listed.split()}


COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "worlds": _columns(
        text="world variant physics streams digest",
        whole="seed days substituted levels",
        number="seconds",
        flag="fast",
    ),
    "factories": _columns(
        text="world factory policy shield",
        whole="level lines bankrupt_day",
        number="production_cost initial_balance final_balance score shortfall free_units",
        flag="focal",
        many="suppliers consumers",
    ),
    "days": _columns(
        text="world factory",
        whole="day inventory bought sold produced lines",
        number="balance balance_end shortfall shortfall_penalty storage_cost input_trading_price output_trading_price"
        " production_cost exogenous_input_quantity exogenous_input_price"
        " exogenous_output_quantity exogenous_output_price",
    ),
    "decisions": _columns(
        text="world factory partner side op base_op",
        whole="day sequence negotiation round quantity delivery base_quantity base_delivery"
        " offer_quantity offer_delivery",
        number="price base_price offer_price",
        flag="edited substituted first can_buy",
    ),
    "contracts": _columns(
        text="world seller buyer",
        whole="sequence day negotiation quantity delivery nullified_day",
        number="unit_price",
        flag="exogenous",
    ),
    "negotiations": _columns(text="world seller buyer", whole="negotiation day rounds ended", flag="agreed"),
    "unsafe": _columns(
        text="world factory partner kind",
        whole="sequence negotiation",
        number="excess",
    ),
}
"""The columns of each table that are read, and what they hold."""

UNSAFE: Final = "unsafe.parquet"
NO_UNSAFE: Final = pa.table(
    {
        **{name: pa.array([], pa.string()) for name in ("world", "factory", "partner", "kind")},
        **{name: pa.array([], pa.int64()) for name in ("sequence", "negotiation")},
        "excess": pa.array([], pa.float64()),
    }
)


def query(run: Run, sql: str, worlds: Sequence[str], tables: Sequence[str], **values: Any) -> list[Row]:
    """Rows of a query over the tables of some worlds.

    Args:
        run: whose tables.
        sql: with ``$name`` where a value belongs; tables by their names.
        worlds: names from ``run.worlds()``, at least one.
        tables: which tables the query reads; "unsafe" is the run's, and empty before an audit; all others are the
            worlds'.
        values: what ``$name`` stands for.

    Raises:
        BrokenTableError: a table is missing, cannot be read or lacks a column.
    """
    with _engine().cursor() as connection:  # tables registered with a cursor are its own
        for table in tables:
            files = [run.path / UNSAFE] if table == "unsafe" else run.files(table, worlds)
            connection.register(table, _open(table, files))
        try:
            connection.execute(sql, values)
            rows = connection.fetchall()
        except (duckdb.Error, OSError) as error:
            raise BrokenTableError(f"{run.path / 'tables'}: {', '.join(tables)}: {error}") from error
        names = [column[0] for column in connection.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


@functools.cache
def _engine() -> duckdb.DuckDBPyConnection:
    """One for the process: starting another takes longer than most queries."""
    return duckdb.connect()


def has_audit(run: Run) -> bool:
    """Whether the run's unsafe decisions were looked for."""
    return (run.path / UNSAFE).is_file()


def _open(table: str, files: Sequence[Path]) -> ds.Dataset | pa.Table:
    if table == "unsafe" and not files[0].is_file():
        return NO_UNSAFE
    for file in files:
        _check(file, COLUMNS[table])
    return ds.dataset([str(file) for file in files], format="parquet")


def _check(file: Path, columns: Mapping[str, str]) -> None:
    try:
        schema = pq.read_schema(file)
    except FileNotFoundError as error:
        raise BrokenTableError(f"{file}: expected a table, found no file") from error
    except (pa.ArrowException, OSError) as error:
        raise BrokenTableError(f"{file}: expected a Parquet table, got a file that cannot be read: {error}") from error
    for column, kind in columns.items():
        if column not in schema.names:
            raise BrokenTableError(f"{file}: expected a column {column!r} ({kind}), found none")
        got = schema.field(column).type
        if not KINDS[kind](got):
            raise BrokenTableError(f"{file}: column {column!r}: expected {kind}, got {got}")
