import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from analysis.scml import joint, rules
from analysis.scml.books import Books
from analysis.scml.ledger import Act
from analysis.scml.runs import Run
from analysis.scml.standing import DAY_END
from analysis.scml.tables import BrokenTableError
from analysis.scml.verdict import Audit, audit
from tests.support.audited_worlds import World


def alone(found: dict[str, float]) -> dict[str, float]:
    return {kind: excess for kind, excess in found.items() if kind[0] == "U"}


@pytest.mark.parametrize("op", ["accept", "reject"])
@pytest.mark.parametrize(("quantity", "kinds"), [(6, {}), (7, {"U1": 1, "U2": 1})])
def test_sales_ahead_end_at_the_lines(tmp_path, op, quantity, kinds):
    world = World().signed(1, "1.0", "2.0", 4, 5).signed(2, "0.0", "1.0", 20, 5).act(9, op, "2.1", quantity, 5)
    assert alone(world.found(tmp_path)) == kinds  # 10 - 4 = 6, and material for 4 + 20


@pytest.mark.parametrize(("quantity", "kinds"), [(4, {}), (5, {"U2": 1}), (10, {"U2": 6}), (11, {"U1": 1, "U2": 7})])
def test_sales_for_today_end_at_the_lines_while_something_can_be_bought(tmp_path, quantity, kinds):
    assert alone(World().act(9, "reject", "2.0", quantity, 3).found(tmp_path)) == kinds


@pytest.mark.parametrize(("quantity", "kinds"), [(6, {}), (7, {"U1": 1, "U2": 1})])
@pytest.mark.parametrize("physics", ["engine", "conserving"])
def test_sales_for_today_end_at_the_material_when_nothing_can_be_bought(tmp_path, quantity, kinds, physics):
    world = World(physics, exogenous_input_quantity=3)  # 4 in store + 3 from nature + 2 bought - 3 sold
    world.signed(1, "0.0", "1.0", 2, 3).signed(2, "1.0", "2.1", 3, 3)
    assert alone(world.act(9, "accept", "2.0", quantity, 3, can_buy=False).found(tmp_path)) == kinds


def test_what_nature_takes_today_is_sold(tmp_path):
    world = World(exogenous_output_quantity=8).act(9, "reject", "2.0", 2, 3).act(9, "reject", "2.1", 3, 4)
    assert alone(world.found(tmp_path)) == {"U2": 2}  # 4 - 8 < 0 today, nothing of it tomorrow
    again = World(exogenous_output_quantity=8).act(9, "reject", "2.0", 3, 3)
    assert alone(again.found(tmp_path / "again"))["U1"] == 1


@pytest.mark.parametrize(("price", "kinds"), [(10, {}), (11, {"U3": 9})])
def test_purchases_end_at_the_money_after_production(tmp_path, price, kinds):
    world = World(balance=100.0).signed(1, "1.0", "2.0", 5, 4)  # 100 - 2 * 5 = 90
    assert alone(world.act(9, "reject", "0.0", 9, 3, price).found(tmp_path)) == kinds


@pytest.mark.parametrize(("quantity", "kinds"), [(8, {}), (9, {"U3": 10})])
def test_only_as_much_is_made_as_there_are_lines(tmp_path, quantity, kinds):
    world = World(balance=100.0).signed(1, "1.0", "2.0", 25, 4)  # 100 - 2 * 10 = 80
    assert alone(world.act(9, "reject", "0.0", quantity, 3, 10).found(tmp_path)) == kinds


@pytest.mark.parametrize("delivery", [3, 6, 8])
@pytest.mark.parametrize(("quantity", "kinds"), [(7, {}), (8, {"U3": 10})])
def test_purchases_end_at_the_money_that_all_days_need(tmp_path, delivery, quantity, kinds):
    world = World(balance=130.0, exogenous_input_quantity=3, exogenous_input_price=30.0)
    world.signed(1, "0.1", "1.0", 2, 6, 10).signed(2, "1.0", "2.0", 5, 4)  # 130 - 30 - 20 - 10 = 70
    assert alone(world.act(9, "accept", "0.0", quantity, delivery, 10).found(tmp_path)) == kinds


def test_money_needed_only_before_a_day_is_spent_by_then(tmp_path):
    world = World(balance=100.0).signed(1, "0.1", "1.0", 3, 4, 10)
    assert alone(world.act(9, "accept", "0.0", 7, 8, 10).act(9, "accept", "0.1", 8, 8, 10).found(tmp_path)) == {
        "U3": 10
    }


@pytest.mark.parametrize(
    ("day", "delivery", "quantity", "kinds"),
    [
        (8, 8, 10, {}),  # 2 days * 10 - 4 - 6
        (8, 8, 11, {"U4": 1}),
        (8, 9, 1, {"U4": 1}),  # 10 - 4 - 6
        (9, 9, 1, {"U4": 1}),
    ],
)
def test_purchases_end_at_what_can_still_be_made(tmp_path, day, delivery, quantity, kinds):
    world = World().signed(1, "0.1", "1.0", 6, 9)
    assert alone(world.act(9, "reject", "0.0", quantity, delivery, day=day).found(tmp_path)) == kinds


@pytest.mark.parametrize(
    ("physics", "quantity", "kinds"),
    [("engine", 1, {"U4": 1}), ("conserving", 3, {}), ("conserving", 4, {"U4": 1})],
)
def test_what_is_used_up_makes_room_only_if_stock_is_used_up(tmp_path, physics, quantity, kinds):
    world = World(physics).signed(1, "0.1", "1.0", 6, 9).signed(2, "1.0", "2.0", 3, 8)
    assert alone(world.act(9, "reject", "0.0", quantity, 9, day=8).found(tmp_path)) == kinds


@pytest.mark.parametrize(("physics", "kinds"), [("engine", {}), ("conserving", {"U2": 3})])
def test_material_kept_for_a_later_day_is_free_only_in_the_engine(tmp_path, physics, kinds):
    world = World(physics).signed(1, "1.0", "2.0", 4, 6)
    assert alone(world.act(9, "reject", "2.1", 3, 4).found(tmp_path)) == kinds


@pytest.mark.parametrize(
    ("physics", "quantity", "kinds"),
    [("engine", 4, {}), ("engine", 5, {"U2": 1}), ("conserving", 1, {}), ("conserving", 2, {"U2": 1})],
)
def test_the_store_is_projected(tmp_path, physics, quantity, kinds):
    world = World(physics).signed(1, "0.0", "1.0", 2, 4).signed(2, "1.0", "2.0", 5, 4)
    assert alone(world.act(9, "reject", "2.1", quantity, 5).found(tmp_path)) == kinds  # 4 + max(0, 2 - 5), or 4 + 2 - 5


@pytest.mark.parametrize(("day", "kinds"), [(3, {}), (4, {"U2": 5})])
def test_void_contracts_count_until_they_are_void(tmp_path, day, kinds):
    world = World(inventory=0).signed(1, "0.0", "1.0", 5, 6, nullified_day=3)
    assert alone(world.act(9, "reject", "2.0", 5, 6, day=day).found(tmp_path)) == kinds


@pytest.mark.parametrize(("sequence", "kinds"), [(8, {"U1": 1, "U2": 5}), (10, {"U2": 1})])
def test_contracts_count_from_when_they_are_signed(tmp_path, sequence, kinds):
    world = World().signed(sequence, "1.0", "2.0", 6, 5).act(9, "reject", "2.1", 5, 5)
    assert alone(world.found(tmp_path)) == kinds


def test_only_what_binds_is_counted(tmp_path):
    world = World().act(9, "end", "2.0", 0, -1).act(9, "reject", "2.1", 0, -1).act(9, "accept", "0.0", 0, -1)
    tally = next(t for t in world.audit(tmp_path).tallies if t.policy == "p1.0")
    assert (tally.acts, tally.decisions, tally.unsafe_acts) == (0, 0, 0)


# Together -----------------------------------------------------------------------------------------------------------


def test_offers_of_one_decision_add_up(tmp_path):
    world = World().signed(1, "0.0", "1.0", 20, 5).act(9, "reject", "2.0", 5, 5)
    assert world.found(tmp_path / "one") == {}
    assert world.act(9, "reject", "2.1", 6, 5).found(tmp_path / "two") == {"J1": 1, "J2": 1}


STANDS, GONE = {"J1": 1, "J2": 7}, {"J2": 1}  # 6 + 5, or 5, on 10 lines with 4 in store
SEEN = {"offer_quantity": 6, "offer_delivery": 5, "offer_price": 1.0}


@pytest.mark.parametrize(
    ("between", "kinds"),
    [
        ({}, STANDS),
        ({"factory": "2.0", "op": "end", "quantity": 0}, GONE),
        ({"factory": "1.0", "op": "end", "quantity": 0}, GONE),
        ({"factory": "1.0", "op": "reject", "quantity": 5}, {"J2": 6}),
        ({"factory": "2.0", "op": "reject", "quantity": 3, **SEEN}, GONE),
        ({"factory": "2.0", "op": "reject", "quantity": 3, **SEEN, "offer_quantity": 7}, STANDS),  # refused another
        ({"factory": "2.0", "op": "accept", "quantity": 6, **SEEN}, STANDS),
    ],
)
def test_earlier_offers_stand_until_they_are_answered(tmp_path, between, kinds):
    world = World().act(8, "reject", "2.0", 6, 5).act(20, "reject", "2.1", 5, 5)
    if between:
        world.decisions.append({**world.decisions[0], **between, "sequence": 12})
    findings = world.audit(tmp_path).findings
    assert {f.kind: f.excess for f in findings if f.sequence == 20 and f.kind[0] == "J"} == kinds


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        (0, {}),  # the partner opened; what was said last would have gone out
        (6, {"J1": 1, "J2": 7}),  # 6 stood all the time beside 5 for another
        (3, {}),
    ],
)
def test_first_proposals_that_went_out_are_not_taken_back_by_later_ones(tmp_path, seen, kinds):
    world = World().act(8, "reject", "2.0", 6, 5, first=True)
    world.act(9, "reject", "2.0", 3, 5, first=True)
    world.act(10, "end", "2.0", 0, -1, first=True) if seen != 3 else None
    world.act(10, "reject", "2.1", 5, 5, first=True)
    answer = {"factory": "2.0", "sequence": 15, "first": False, "offer_quantity": seen, "offer_delivery": 5}
    world.decisions.append({**world.decisions[0], **answer, "offer_price": 1.0})
    findings = world.audit(tmp_path).findings
    found = {f.kind: f.excess for f in findings if f.sequence == 10 and f.kind[0] == "J"}
    assert found == (kinds or {"J2": 1 if seen == 0 else 4})


@pytest.mark.parametrize(("ended", "kinds"), [(21, STANDS), (19, GONE)])
def test_an_offer_stands_no_longer_than_its_negotiation(tmp_path, ended, kinds):
    world = World().act(8, "reject", "2.0", 6, 5).act(20, "reject", "2.1", 5, 5)
    world.ended[world.decisions[0]["negotiation"]] = ended
    findings = world.audit(tmp_path).findings
    assert {f.kind: f.excess for f in findings if f.sequence == 20 and f.kind[0] == "J"} == kinds


def test_an_accepted_offer_becomes_a_contract(tmp_path):
    world = World().act(8, "reject", "2.0", 6, 5).act(20, "reject", "2.1", 5, 5)
    world.signed(12, "1.0", "2.0", 6, 5, negotiation=world.decisions[0]["negotiation"])
    findings = [f for f in world.audit(tmp_path).findings if f.sequence == 20]
    assert {f.kind: f.excess for f in findings} == {"U1": 1, "U2": 5, "J1": 1, "J2": 5}


def test_an_accept_stands_until_it_is_a_contract(tmp_path):
    world = World(inventory=20).act(8, "accept", "2.0", 6, 5).act(20, "reject", "2.1", 5, 5)
    world.signed(30, "1.0", "2.0", 6, 5, negotiation=world.decisions[0]["negotiation"])
    assert world.found(tmp_path) == {"J1": 1, "J2": 1}


def test_a_decision_answers_only_for_days_that_it_adds_to(tmp_path):
    world = World(inventory=0).act(8, "reject", "2.0", 6, 3).act(20, "reject", "0.0", 1, 4, can_buy=False)
    assert [f.sequence for f in world.audit(tmp_path).findings] == [
        8,
        8,
    ]  # U2 and J2 then; nothing to sell is added now


def test_offers_end_with_the_day(tmp_path):
    world = World(inventory=20).act(8, "reject", "2.0", 6, 5)
    world.act(20, "reject", "2.1", 5, 5, day=4).act(20, "reject", "0.1", 1, 6, day=4).act(
        21, "reject", "2.1", 5, 6, day=4
    )
    assert world.found(tmp_path) == {}


@pytest.mark.parametrize(("op", "kinds"), [("accept", {}), ("reject", {"J2": 3})])
def test_only_accepted_purchases_are_material(tmp_path, op, kinds):
    world = World().act(9, op, "0.0", 3, 3).act(9, "reject", "2.0", 7, 3)
    found = world.found(tmp_path)
    assert {kind: excess for kind, excess in found.items() if kind[0] == "J"} == kinds
    assert found["U2"] == 3  # alone, each act is judged by what was signed before


@pytest.mark.parametrize(("price", "kinds"), [(10, {}), (11, {"J3": 1})])
def test_purchases_add_up_to_the_money(tmp_path, price, kinds):
    world = World(balance=100.0).act(8, "reject", "0.0", 9, 7, 10).act(20, "accept", "0.1", 1, 3, price)
    assert world.found(tmp_path) == kinds


@pytest.mark.parametrize(("quantity", "kinds"), [(10, {}), (11, {"J4": 1})])
def test_purchases_add_up_to_the_room(tmp_path, quantity, kinds):
    world = World().act(8, "reject", "0.0", 6, 9, day=8).act(20, "accept", "0.1", quantity, 8, day=8)
    assert world.found(tmp_path) == kinds  # 2 * 10 - 4 - 6


@pytest.mark.parametrize(("physics", "kinds"), [("engine", {}), ("conserving", {"J2": 1})])
def test_sales_of_several_days_share_material_that_is_used_up(tmp_path, physics, kinds):
    assert World(physics).act(9, "reject", "2.0", 2, 4).act(9, "reject", "2.1", 3, 6).found(tmp_path) == kinds


# Against simulation -------------------------------------------------------------------------------------------------

amount = st.integers(0, 15)
plan = st.lists(st.tuples(amount, amount), min_size=4, max_size=4)


def shortfalls(lines: int, store: int, days: list[tuple[int, int]], physics: str) -> list[int]:
    """Shortfall per day if nothing more is signed; days are (supplies, sales)."""
    missing = []
    for arriving, owed in days:
        made = 0
        while made < min(lines, owed, store + arriving):
            made += 1
        missing.append(owed - made)
        if physics == "conserving":
            store = store + arriving - made
        elif arriving > made:
            store += arriving - made
    return missing


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 12), amount, plan, st.integers(0, 3), st.integers(1, 15), st.sampled_from(["engine", "conserving"])
)
def test_uncovered_is_what_adds_to_the_shortfall(lines, store, days, ahead, quantity, physics):
    act = Act("1.0", 1, 0, "2.0", "sell", 1, 0, "reject", quantity, ahead, 1.0, True, False, 0, -1, 0.0)
    supplies, sales = np.array(days, float).T[:, None, :]
    books = Books(
        lines,
        2.0,
        [[act]],
        np.array([4.0]),
        np.array([True]),
        np.array([1e6]),
        np.array([float(store)]),
        sales,
        supplies,
        0 * sales,
    )
    over = rules.judge(books, rules.limits(books, physics), [(0, act)])[0]
    more = [(b, s + quantity * (day == ahead)) for day, (b, s) in enumerate(days)]
    before, after = shortfalls(lines, store, days, physics), shortfalls(lines, store, more, physics)
    worse = sum(after) > sum(before) if physics == "conserving" else after[ahead] > before[ahead]
    assert (over[1] > 0) == worse
    flooded_before, flooded_after = (shortfalls(lines, 99, plan, "engine") for plan in (days, more))
    assert (over[0] > 0) == (flooded_after[ahead] > flooded_before[ahead])
    until = {(act.sequence, act.negotiation): DAY_END}
    assert (joint.judge(books, physics, until)[0] > 0).tolist() == (over > 0).tolist()  # one act: alone is together


# What the days came to ----------------------------------------------------------------------------------------------


def settled(path: Path, day: dict[str, Any], *contracts: tuple[str, str, int, float], physics: str = "engine"):
    """1.0's tally and the disagreements, for what is due on day 3; other days are empty."""
    world = World(physics, inventory=0, balance=0.0)
    for i, (seller, buyer, quantity, price) in enumerate(contracts):
        world.signed(i, seller, buyer, quantity, 3, price, exogenous="nature" in (seller, buyer))
    world.days[3] = day
    return world.audit(path)


def tally_of(found: Audit):
    return next(t for t in found.tallies if t.policy == "p1.0")


RICH = {"inventory": 4, "balance": 1000.0, "bought": 6, "sold": 13, "produced": 10, "shortfall": 3.0}
RICH |= {"shortfall_penalty": 7.5, "balance_end": 1056.5}  # 1000 + (8 * 12 + 2 * 9) - 6 * 5 - 10 * 2 - 7.5
TRADES = (("0.0", "1.0", 6, 5.0), ("1.0", "2.0", 5, 9.0), ("1.0", "2.1", 8, 12.0))


def about_day_3(found: Audit) -> list[str]:
    """Without the jumps from and to the empty days around it."""
    return [words for words in found.disagreements if "factory 1.0, day 3" in words and "next" not in words]


def test_a_day_settles_as_the_rules_say(tmp_path):
    found = settled(tmp_path, RICH, *TRADES)
    assert about_day_3(found) == []
    tally = tally_of(found)
    assert (tally.shortfall, tally.own, tally.nature, tally.forced) == (3, 3, 0, 0)
    assert (tally.oversold, tally.sold, tally.free) == (3, 13, 4)  # of the 10 made, 6 were received


@pytest.mark.parametrize("column", ["bought", "sold", "produced", "shortfall", "balance_end"])
def test_a_day_that_does_not_settle_is_reported(tmp_path, column):
    found = settled(tmp_path, {**RICH, column: RICH[column] + 1}, *TRADES)
    assert any(f"{column}: expected {RICH[column]}" in words for words in about_day_3(found))


def test_money_limits_what_is_made(tmp_path):
    # 4 in store cost 2 each to work on; 6 * (5 + 2) = 42 is more than 40, which is enough for 5.
    day = {"inventory": 4, "balance": 40.0, "bought": 6, "sold": 13, "produced": 9, "shortfall": 4.0}
    day |= {"shortfall_penalty": 1.0, "balance_end": 40 + 8 * 12 + 1 * 9 - 30 - 18 - 1.0}
    assert about_day_3(settled(tmp_path, day, *TRADES)) == []


def test_money_goes_to_the_cheapest_first(tmp_path):
    # 4 * 2 = 8 for the store and 3 * (2 + 2) = 12 are within 24; of the 18 left after paying 6, 7 each make 2 more.
    day = {"inventory": 4, "balance": 24.0, "bought": 9, "sold": 13, "produced": 9, "shortfall": 4.0}
    day |= {"shortfall_penalty": 1.0, "balance_end": 24 + 8 * 12 + 1 * 9 - 36 - 18 - 1.0}
    assert about_day_3(settled(tmp_path, day, ("0.1", "1.0", 3, 2.0), *TRADES)) == []


def test_void_contracts_are_not_settled(tmp_path):
    world = World(inventory=0, balance=0.0).signed(9, "1.0", "2.0", 5, 3, 99.0, nullified_day=1)
    for i, (seller, buyer, quantity, price) in enumerate(TRADES):
        world.signed(i, seller, buyer, quantity, 3, price)
    world.days[3] = RICH
    assert about_day_3(world.audit(tmp_path)) == []


def test_natures_orders_beyond_the_lines_are_forced(tmp_path):
    day = {"inventory": 7, "balance": 100.0, "exogenous_output_quantity": 12, "exogenous_output_price": 120.0}
    day |= {"sold": 12, "produced": 7, "shortfall": 5.0, "shortfall_penalty": 1.0, "balance_end": 100 + 70 - 14 - 1.0}
    found = settled(tmp_path, day, ("1.0", "nature", 12, 10.0))
    assert about_day_3(found) == []
    tally = tally_of(found)
    assert (tally.shortfall, tally.own, tally.nature, tally.forced, tally.oversold) == (5, 0, 5, 2, 0)


def test_nature_in_days_must_be_nature_in_contracts(tmp_path):
    found = settled(tmp_path, {"exogenous_input_quantity": 3, "bought": 3}, ("nature", "1.0", 2, 0.0))
    assert any("exogenous_input: expected (2, 0.0)" in words for words in about_day_3(found))


@pytest.mark.parametrize(("physics", "stock"), [("engine", 4), ("conserving", 0)])
def test_the_next_morning_follows(tmp_path, physics, stock):
    world = World(physics, inventory=0, balance=0.0)
    for i, (seller, buyer, quantity, price) in enumerate(TRADES):
        world.signed(i, seller, buyer, quantity, 3, price)
    world.days = {3: RICH, 4: {"inventory": stock, "balance": 1056.5}}
    found = [words for words in world.audit(tmp_path).disagreements if "factory 1.0, day 3" in words]
    assert found == []  # 10 made of 6 received: in the engine the 4 in store remain


def test_free_units_are_made_of_nothing_received_before(tmp_path):
    world = World(inventory=0, balance=0.0).signed(1, "0.0", "1.0", 15, 3).signed(2, "0.0", "1.0", 9, 6)
    world.days = {3: {"produced": 10}, 4: {"produced": 10}, 6: {"produced": 2}}
    assert tally_of(world.audit(tmp_path)).free == 5  # 5 were left on day 4; the 9 came too late


@pytest.mark.parametrize(
    ("delivery", "nullified", "words"),
    [(4, -1, ""), (5, 4, ""), (5, 5, "expected 4, got 5"), (5, -1, "expected 4, got -1")],
)
def test_contracts_are_void_from_a_bankruptcy_on(tmp_path, delivery, nullified, words):
    world = World(inventory=0, balance=0.0).signed(1, "1.0", "2.0", 0, delivery, nullified_day=nullified)
    run = world.write(tmp_path)
    path = tmp_path / "tables" / "factories" / "w.parquet"
    table = pq.read_table(path)
    days = pa.array([4 if name == "2.0" else -1 for name in table["factory"].to_pylist()], pa.int64())
    pq.write_table(table.set_column(table.schema.get_field_index("bankrupt_day"), "bankrupt_day", days), path)
    said = " ".join(words for words in audit(run).disagreements if "nullified" in words)
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(("price", "missing"), [(7.0, []), (8.0, ["1.0"])])
def test_contracts_must_come_from_what_was_said(tmp_path, price, missing):
    world = World().act(8, "reject", "2.0", 6, 5, 7.0).signed(12, "1.0", "2.0", 6, 5, price, negotiation=34)
    world.decisions.append({**world.decisions[0], "factory": "2.0", "op": "accept", "sequence": 9, "price": price})
    found = [words for words in world.audit(tmp_path).disagreements if "decisions" in words]
    assert [words.split()[3] for words in found] == missing
    assert all("got nothing for 1" in words for words in found)


# What is not a run --------------------------------------------------------------------------------------------------


def test_not_a_run(tmp_path):
    with pytest.raises(BrokenTableError, match=r"expected a run with tables/worlds/\*.parquet, found none"):
        audit(Run("x", tmp_path))


def test_a_missing_table_and_a_missing_column_are_named(tmp_path):
    run = World().write(tmp_path)
    path = tmp_path / "tables" / "decisions" / "w.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["can_buy"]), path)
    with pytest.raises(BrokenTableError, match=r"decisions.*can_buy"):
        audit(run)
    path.unlink()
    with pytest.raises(BrokenTableError, match=r"decisions/w.parquet"):
        audit(run)


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("decisions", "factory", "7.7", "decisions/w.parquet: column 'factory': expected one of .*got '7.7'"),
        ("decisions", "day", 33, "days: expected day 33 of factory 1.0"),
        ("decisions", "delivery", 1, "column 'delivery'"),
        ("worlds", "physics", "quantum", "column 'physics' of worlds: expected engine or conserving, got 'quantum'"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, table, column, value, words):
    run = World().act(9, "reject", "2.0", 1, 40).write(tmp_path)
    path = tmp_path / "tables" / table / "w.parquet"
    read = pq.read_table(path)
    place = read.schema.get_field_index(column)
    pq.write_table(
        read.set_column(place, read.schema.field(place), pa.array([value], read.schema.field(place).type)), path
    )
    with pytest.raises(BrokenTableError, match=words):
        audit(run)


def command(*arguments: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "analysis.scml.audit", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_writes_what_it_found(tmp_path):
    World().act(9, "reject", "2.0", 11, 5).write(tmp_path)
    done = command(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "p1.0" in done.stdout
    summary = json.loads((tmp_path / "audit.json").read_text())
    tally = next(t for t in summary["tallies"] if t["policy"] == "p1.0")
    assert (tally["acts"], tally["kinds"]["U1"], tally["unsafe_acts"], tally["unsafe_decisions"]) == (1, 1, 1, 1)
    found = pq.read_table(tmp_path / "unsafe.parquet").to_pylist()
    assert {row["kind"]: row["excess"] for row in found} == {"U1": 1.0, "U2": 7.0, "J1": 1.0, "J2": 7.0}
    assert {(row["sequence"], row["factory"], row["partner"], row["negotiation"]) for row in found} == {
        (9, "1.0", "2.0", 34)
    }


def test_the_command_judges_by_the_rule_it_is_given(tmp_path):
    World("engine").signed(1, "1.0", "2.0", 4, 6).act(9, "reject", "2.1", 3, 4).write(tmp_path)
    paths = tmp_path / "a.json", tmp_path / "f.parquet"
    assert command(tmp_path, "--physics", "conserving", "--json", paths[0], "--unsafe", paths[1]).returncode == 0
    assert {row["kind"] for row in pq.read_table(paths[1]).to_pylist()} == {"U2", "J2"}
    assert not (tmp_path / "audit.json").exists()


def test_the_command_says_what_is_wrong(tmp_path):
    done = command(tmp_path / "nothing")
    assert done.returncode == 1
    assert "nothing: expected a run" in done.stderr
