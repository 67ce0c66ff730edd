"""Queries against tables whose answers were worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from scipy import stats

from analysis.scml import factory, league as standings, queries, replay, unsafe
from analysis.scml.replay import Offer, Said, Wanted
from analysis.scml.runs import NotThereError, Run, find_run, list_runs
from analysis.scml.tables import BrokenTableError

if TYPE_CHECKING:
    from tests.analysis.scml.conftest import SyntheticRun

WORLD = "a_s0001"
T1 = math.tan(math.pi * 0.475)
"""The 97.5 % quantile of Student's t with one degree of freedom, which is Cauchy's distribution."""


@pytest.fixture
def run(league: Path) -> Run:
    return find_run(league.parent, "league")


def test_runs_and_worlds(run: Run) -> None:
    assert run.worlds() == ["a_s0001", "a_s0002", "b_s0001", "b_s0002"]
    assert queries.variants(run) == [{"variant": "a", "worlds": 2}, {"variant": "b", "worlds": 2}]
    first = queries.worlds(run)[0]
    assert (first["score"], first["shortfall"], first["bankrupt"], first["factories"]) == (pytest.approx(1.1), 10, 1, 4)
    assert [row["world"] for row in queries.worlds(run, variant="b", seed=2)] == ["b_s0002"]
    assert queries.worlds(run, variant="c") == []


def test_newest_run_first_and_a_run_alone(league: Path, tmp_path: Path) -> None:
    for name, created in (("old", "2026-01-01"), ("new", "2026-02-01")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(f'{{"created": "{created}"}}')
    (tmp_path / "other").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["new", "old"]
    assert [run.name for run in list_runs(league)] == ["league"]


@pytest.mark.parametrize(("content", "problem"), [("[1]", "expected an object, got list"), ("{", "run.json: ")])
def test_what_is_wrong_with_a_run_is_said(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text(content)
    assert problem in list_runs(tmp_path)[0].problem


def test_factories_of_a_world(run: Run) -> None:
    rows = {row["factory"]: row for row in queries.factories(run, WORLD)}
    assert list(rows) == ["0.0", "0.1", "1.0", "1.1"]
    wanted = {"0.0": (3, 2, 0, 1), "0.1": (2, 0, 0, 0), "1.0": (4, 0, 1, 0), "1.1": (1, 0, 0, 0)}
    keys = ("answers", "edited", "substituted", "unsafe")
    assert {name: tuple(row[key] for key in keys) for name, row in rows.items()} == wanted


def test_course_and_prices(run: Run) -> None:
    course = queries.course(run, WORLD)["1.0"]
    assert course["day"] == [0, 1, 2]
    assert course["balance"] == [990.0, 1100.0, 1200.0]
    assert course["score"] == pytest.approx([0.99, 1.1, 1.2])
    assert course["shortfall"] == [0.0, 2.0, 0.0]
    assert [(row["product"], row["price"]) for row in queries.prices(run, WORLD)] == [
        (0, [10.0, 11.0, 12.0]),
        (1, [15.0, 16.0, 17.0]),
        (2, [20.0, 21.0, 22.0]),
    ]


def test_a_buyer_needs_material_for_what_it_sold(run: Run) -> None:
    """1.0 owes nature 6, 12 and 3 as each day comes; it has bought 5 for day 1, at 12, and 4 that were nullified."""
    rows = factory.days(run, WORLD, "1.0")
    assert [row["target"] for row in rows] == [6, 10, 3]
    assert [row["secured"] for row in rows] == [0, 0 + 5, 5 + 0]
    assert [row["free_cash"] for row in rows] == [1000.0, 990.0 - 5 * 12, 1100.0]


def test_a_seller_needs_at_most_its_lines_a_day(run: Run) -> None:
    """0.0 has sold 5 for day 1 and 14 for day 2, of which it can make 10."""
    rows = factory.days(run, WORLD, "0.0")
    assert [row["target"] for row in rows] == [0, 5 + 10, 10]
    assert [row["productive_days"] for row in rows] == [0, 2, 1]
    assert [row["secured"] for row in rows] == [8, 0, 0]


def test_commitments_leave_out_what_was_nullified(run: Run) -> None:
    rows = factory.commitments(run, WORLD, "1.0")
    keys = ("day", "bought", "bought_from_nature", "sold", "sold_to_nature")
    assert [tuple(row[key] for key in keys) for row in rows] == [(0, 0, 0, 0, 6), (1, 5, 0, 0, 12), (2, 0, 0, 0, 3)]


def test_prices_signed(run: Run) -> None:
    assert factory.signed_prices(run, WORLD, "0.0") == [
        {"day": 0, "bought_at": None, "sold_at": pytest.approx((5 * 12 + 14 * 13) / 19)}
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [1, 2, 3, 4, 5, 6]),
        (Wanted(day=1), [5, 6]),
        (Wanted(factory="0.1"), [3, 4, 6]),
        (Wanted(agreed=True), [1, 2, 6]),
        (Wanted(agreed=False, day=0), [3, 4]),
        (Wanted(edited=True), [1]),
        (Wanted(substituted=True), [3]),
        (Wanted(unsafe=True), [2]),
    ],
)
def test_negotiations_listed(run: Run, wanted: Wanted, found: list[int]) -> None:
    rows = replay.listed(run, WORLD, wanted)
    assert [row["negotiation"] for row in rows] == found
    assert {row["total"] for row in rows} == {len(found)}


def test_a_risk_is_listed_but_is_not_unsafe(run: Run) -> None:
    rows = {row["negotiation"]: row for row in replay.listed(run, WORLD, Wanted())}
    assert (rows[2]["kinds"], rows[2]["unsafe"]) == (["U1"], 1)
    assert (rows[6]["kinds"], rows[6]["unsafe"]) == (["U2"], 0)


def test_replay_move_by_move(run: Run) -> None:
    found = replay.replay(run, WORLD, 1)
    assert [(move.sequence, move.side, move.round) for move in found.moves] == [
        (3, "seller", 0),
        (4, "buyer", 0),
        (5, "seller", 1),
        (6, "buyer", 2),
    ]
    first, _, third, last = found.moves
    assert (first.meant, first.sent) == (Said("reject", Offer(9, 0, 15.0)), Said("reject", Offer(7, 0, 15.0)))
    assert (third.meant, third.on_table) == (Said("accept", Offer(5, 0, 11.0)), Offer(5, 0, 11.0))
    assert third.standing == {"seller": Offer(5, 1, 12.0), "buyer": Offer(5, 0, 11.0)}
    assert (last.sent, last.meant) == (Said("accept", Offer(5, 1, 12.0)), None)
    assert (found.trading_price, found.about["before"], found.about["after"]) == (15.0, None, 2)


def test_replay_of_an_end_and_of_unsafe_moves(run: Run) -> None:
    end = replay.replay(run, WORLD, 3).moves[1]
    assert (end.sent, end.substituted) == (Said("end", None), True)
    assert replay.replay(run, WORLD, 2).moves[0].unsafe == (("U1", 4.0),)
    assert replay.replay(run, "b_s0001", 2).moves[0].unsafe == ()
    assert replay.replay(run, WORLD, 4).moves == []


def test_unsafe_findings(run: Run) -> None:
    rows = unsafe.unsafe(run, unsafe.Wanted())
    assert [(row["kind"], row["day"], row["round"], row["quantity"], row["total"]) for row in rows] == [
        ("U1", 0, 0, 14, 2),
        ("U2", 1, 0, 4, 2),
    ]
    assert [row["kind"] for row in unsafe.unsafe(run, unsafe.Wanted(focal=True))] == ["U1"]
    assert unsafe.unsafe(run, unsafe.Wanted(kind="U3")) == []
    assert [(row["policy"], row["kind"], row["findings"], row["excess"]) for row in unsafe.counts(run)] == [
        ("penguin", "U1", 1, 4.0),
        ("penguin", "U2", 1, 1.0),
    ]


def test_standings(run: Run) -> None:
    """Paired differences are 0.1, 0.1 and 0.2, 0.2 on two seeds: 0.15, and the sums over seeds are off by ∓0.1."""
    best, base = standings.standings(standings.focal(run), against="a")
    assert (best.variant, best.policy, best.n, best.seeds, best.pairs) == ("b", "penguin + certain", 4, 2, 4)
    assert best.score.mean == pytest.approx((1.1 + 1.3 + 1.0 + 1.6) / 4)
    assert best.paired is not None
    assert best.paired.mean == pytest.approx(0.15)
    assert best.paired.high - best.paired.mean == pytest.approx(T1 * math.sqrt(2 * (0.1**2 + 0.1**2)) / 4)
    assert base.over_level.mean == pytest.approx((0.2 + 0.2 + 0.1 + 0.3) / 4)
    assert (base.shortfall, base.free_units) == (2.5, 0.0)


def test_standings_by_level_and_without_common_seeds(run: Run) -> None:
    rows = [row for row in standings.focal(run) if (row["variant"], row["seed"]) in {("a", 1), ("b", 2)}]
    found = standings.standings(rows, against="a", by_level=True)
    assert [(row.level, row.variant, row.score.mean) for row in found] == [
        (0, "a", 1.0),
        (0, "b", 1.0),
        (1, "b", 1.6),
        (1, "a", 1.2),
    ]
    assert found[1].paired is None
    assert math.isnan(found[0].score.low)


def test_interval_of_independent_values_is_students() -> None:
    values = [0.3, 0.9, 0.4, 1.7, 1.1]
    estimate = standings.estimate(values, range(5))
    wanted = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx(wanted)


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": 3}', '{"rows": [3]}'])
def test_a_broken_league_is_named(synthetic: SyntheticRun, content: str) -> None:
    path = synthetic.write() / "league.json"
    path.write_text(content)
    with pytest.raises(BrokenTableError, match=r"league\.json"):
        standings.written(find_run(path.parent.parent, "league"))


def test_what_is_not_there(run: Run) -> None:
    for ask in (
        lambda: find_run(run.path.parent, "../league"),
        lambda: queries.world(run, "../worlds/a_s0001"),
        lambda: factory.factory(run, WORLD, "9.9"),
        lambda: replay.replay(run, WORLD, 99),
    ):
        with pytest.raises(NotThereError):
            ask()


def test_a_table_that_is_not_what_it_should_be(synthetic: SyntheticRun) -> None:
    run = Run("league", synthetic.write())
    path = run.files("days", [WORLD])[0]
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["inventory"]), path)
    with pytest.raises(BrokenTableError, match=r"days/a_s0001\.parquet: expected a column 'inventory'"):
        factory.days(run, WORLD, "0.0")
    pq.write_table(table.set_column(2, "factory", table["day"]), path)
    with pytest.raises(BrokenTableError, match=r"column 'factory': expected text, got int32"):
        factory.days(run, WORLD, "0.0")
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(BrokenTableError, match=r"a_s0001\.parquet: expected a Parquet table"):
        factory.days(run, WORLD, "0.0")
    path.unlink()
    with pytest.raises(BrokenTableError, match=r"a_s0001\.parquet: expected a table, found no file"):
        factory.days(run, WORLD, "0.0")


def test_a_table_torn_in_its_middle(synthetic: SyntheticRun) -> None:
    run = Run("league", synthetic.write())
    path = run.files("negotiations", [WORLD])[0]
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(BrokenTableError, match="negotiations"):
        replay.listed(run, WORLD, Wanted())


def test_names_with_wildcards_are_names(synthetic: SyntheticRun, tmp_path: Path) -> None:
    path = synthetic.write().rename(tmp_path / "a*[b]?")
    assert len(queries.worlds(Run("x", path))) == 4
