"""The charts of the world page and of the factory page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analysis.scml.chart import COLORS, Chart, Kind, Series, scale
from analysis.scml.tables import Row

DAY: Final = "day"
MONEY: Final = "money"
UNITS: Final = "units"


@dataclass(frozen=True)
class Grid:
    """Values of factories by day, to be drawn as shades.

    Attributes:
        columns: the days.
        ticks: which of the columns to label.
        rows: per factory its values, one for each day.
        most: the greatest value.
        total: of all.
    """

    columns: list[int]
    ticks: list[int]
    rows: list[tuple[str, list[float]]]
    most: float
    total: float


def level_charts(factories: Sequence[Row], course: Mapping[str, Row]) -> dict[int, list[Chart]]:
    """Per level: its factories' scores and balances over the days."""
    return {
        level: [_scores(level, factories, course), _balances(level, factories, course)]
        for level in sorted({row["level"] for row in factories})
    }


def _scores(level: int, factories: Sequence[Row], course: Mapping[str, Row]) -> Chart:
    return Chart(
        id=f"level-{level}-score",
        title=f"Score, level {level}",
        caption="Balance / initial balance of each factory at the end of each day.",
        x_title=DAY,
        y_title="score",
        series=_of_level(level, factories, course, "score"),
        levels=[("break even", 1.0)],
        from_zero=False,
    )


def _balances(level: int, factories: Sequence[Row], course: Mapping[str, Row]) -> Chart:
    return Chart(
        id=f"level-{level}-balance",
        title=f"Balance, level {level}",
        caption="Balance of each factory at the end of each day.",
        x_title=DAY,
        y_title=MONEY,
        series=_of_level(level, factories, course, "balance"),
        from_zero=False,
    )


def _of_level(level: int, factories: Sequence[Row], course: Mapping[str, Row], column: str) -> list[Series]:
    names = [row["factory"] for row in factories if row["level"] == level and row["factory"] in course]
    return [Series(name, course[name]["day"], course[name][column], i % COLORS) for i, name in enumerate(names)]


def price_chart(prices: Sequence[Row]) -> Chart:
    """Trading prices of all products."""
    return Chart(
        id="prices",
        title="Trading prices",
        caption="What the market takes a product to be worth; level i buys product i and sells product i + 1.",
        x_title=DAY,
        y_title="money per unit",
        series=[
            Series(f"product {row['product']}", row["day"], row["price"], row["product"] % COLORS) for row in prices
        ],
        from_zero=False,
    )


def shortfall_grid(factories: Sequence[Row], course: Mapping[str, Row]) -> Grid:
    """Units owed and not delivered, factory by day."""
    days = sorted({day for row in course.values() for day in row["day"]})
    rows = []
    for row in factories:
        name = row["factory"]
        found = dict(zip(course[name]["day"], course[name]["shortfall"], strict=True)) if name in course else {}
        rows.append((name, [float(found.get(day, 0.0)) for day in days]))
    values = [value for _, row in rows for value in row]
    ticks = [round(tick) for tick in scale(days, 0, 1, whole=True, tight=True).ticks] if days else []
    return Grid(days, ticks, rows, max(values, default=0.0), sum(values))


def factory_charts(factory: Row, days: Sequence[Row], commitments: Sequence[Row], signed: Sequence[Row]) -> list[Chart]:
    """Inventory and cash against what was promised, deliveries by day, what was made of it, and prices."""
    return [
        _material(days),
        _cash(factory, days),
        _deliveries(factory, commitments),
        _made(days),
        _prices(days, signed),
    ]


def _series(name: str, rows: Sequence[Row], column: str, color: int, kind: Kind = "line", sign: int = 1) -> Series:
    values = [None if row[column] is None else sign * row[column] for row in rows]
    return Series(name, [row["day"] for row in rows], values, color, kind)


def _material(days: Sequence[Row]) -> Chart:
    return Chart(
        id="material",
        title="Inventory against target",
        caption="Each morning: material in store; in store and on order; and the target, which is the material that the"
        " contracts signed by then still need, at most one day's lines on each day with something to deliver.",
        x_title=DAY,
        y_title=UNITS,
        series=[
            _series("in store", days, "inventory", 0),
            _series("in store and on order", days, "secured", 2),
            _series("target", days, "target", 1, "dashed"),
        ],
    )


def _cash(factory: Row, days: Sequence[Row]) -> Chart:
    return Chart(
        id="cash",
        title="Cash",
        caption="Each morning: the balance, and what is left of it once all material on order is paid."
        " Below 0 at the end of a day the factory is bankrupt.",
        x_title=DAY,
        y_title=MONEY,
        series=[
            _series("balance", days, "balance", 0),
            _series("not yet promised", days, "free_cash", 1, "dashed"),
        ],
        levels=[("initial balance", factory["initial_balance"])],
    )


def _deliveries(factory: Row, commitments: Sequence[Row]) -> Chart:
    return Chart(
        id="commitments",
        title="Commitments by delivery day",
        caption="Material to come above 0, products owed below, all contracts that were not nullified before"
        " delivery; nature's are those that come with the day.",
        x_title="delivery day",
        y_title=UNITS,
        series=[
            _series("bought", commitments, "bought", 0, "bar"),
            _series("bought from nature", commitments, "bought_from_nature", 6, "bar"),
            _series("sold", commitments, "sold", 1, "bar", -1),
            _series("sold to nature", commitments, "sold_to_nature", 5, "bar", -1),
        ],
        levels=[("lines, in a day", factory["lines"]), ("", -factory["lines"])],
    )


def _made(days: Sequence[Row]) -> Chart:
    return Chart(
        id="made",
        title="Owed, made and short",
        caption="Units owed on each day, units made, and units owed and not delivered.",
        x_title=DAY,
        y_title=UNITS,
        series=[
            _series("short", days, "shortfall", 7, "bar"),
            _series("owed", days, "sold", 1, "dashed"),
            _series("made", days, "produced", 2),
        ],
    )


def _prices(days: Sequence[Row], signed: Sequence[Row]) -> Chart:
    return Chart(
        id="factory-prices",
        title="Prices",
        caption="Trading prices of what it buys and of what it sells, and the mean price of the contracts it signed"
        " with other factories that day.",
        x_title=DAY,
        y_title="money per unit",
        series=[
            _series("input, trading price", days, "input_trading_price", 0),
            _series("bought at", signed, "bought_at", 0, "dots"),
            _series("output, trading price", days, "output_trading_price", 1),
            _series("sold at", signed, "sold_at", 1, "dots"),
        ],
        from_zero=False,
    )
