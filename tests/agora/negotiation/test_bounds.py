"""Bounds and masks against numbers worked out by hand. Ten lines, day 5 of 50, production cost 2 unless said."""

import pytest

from agora.negotiation.bounds import bounds, masks
from agora.negotiation.layout import Role, Slot
from tests.agora.negotiation.views import build, consumer, supplier


def test_capacity_is_what_the_lines_can_still_make():
    found = bounds(build([supplier()], sales={0: 4, 1: 10, 2: 13}, exogenous_output_quantity=3), "certain")
    assert found.capacity.tolist() == [3, 0, 0, 10, 10]
    assert found.q_safe_sell.tolist() == [3, 0, 0, 10, 10]


def test_stock_that_is_never_used_up_covers_every_day_again():
    # Three in store for ever. Of the 6 that come on day 1, 2 are made and 4 stay: 7 in store from day 2 on.
    view = build(inventory=3, supplies={1: 6}, sales={1: 2, 2: 5})
    assert bounds(view, "covered").covered.tolist() == [3, 7, 2, 7, 7]


def test_stock_that_is_used_up_covers_a_unit_once():
    # 3, then 3 + 6 - 2 = 7, then 7 - 5 = 2.
    view = build(inventory=3, supplies={1: 6}, sales={1: 2, 2: 5})
    assert bounds(view, "covered", "conserving").covered.tolist() == [3, 7, 2, 2, 2]


def test_conserving_sales_leave_later_sales_their_material():
    # What is sold on a day is gone for the 5 of day 2; 2 are spare on every day.
    view = build(inventory=3, supplies={1: 6}, sales={1: 2, 2: 5})
    assert bounds(view, "covered", "conserving").q_safe_sell.tolist() == [2, 2, 2, 2, 2]


def test_a_sale_may_not_take_what_is_left_for_a_later_sale():
    # Nothing in store. If the 8 bought for today are made today they are not there for the 6 owed tomorrow.
    view = build(supplies={0: 8}, sales={1: 6})
    found = bounds(view, "covered")
    assert found.covered.tolist() == [8, 2, 8, 8, 8]
    assert found.q_safe_sell.tolist() == [2, 2, 8, 8, 8]


def test_today_only_material_counts_once_nothing_can_be_bought():
    closed = build([supplier() | {Slot.RUNNING: 0}, consumer()], inventory=4, sales={0: 3})
    assert bounds(closed, "certain").q_safe_sell.tolist() == [1, 10, 10, 10, 10]
    running = build([supplier(), consumer()], inventory=4, sales={0: 3})
    assert bounds(running, "certain").q_safe_sell.tolist() == [7, 10, 10, 10, 10]


def test_budget_is_what_is_left_after_all_that_is_due_and_made():
    # 1000 - 20 for nature's - 12 units at 10 - 2 x (6 + 10 of the 14 owed on day 3) = 828.
    view = build(
        balance=1000, exogenous_input_price=20, supplies={0: 5, 2: 7}, sales={0: 6, 3: 14}, exogenous_input_quantity=2
    )
    assert bounds(view, "certain").budget.tolist() == [828] * 5


def test_purchases_stop_at_what_can_be_used_before_the_end():
    # Day 47 of 50. The lines make 30, 20, 10 more units from δ = 0, 1, 2 on; 4 are in store, 6 come on δ = 1 and stay.
    view = build(day=47, inventory=4, supplies={1: 6})
    found = bounds(view, "certain")
    assert found.q_safe.tolist() == [20, 10, 0, 0, 0]
    assert found.budget[3:].tolist() == [0, 0]


def test_purchases_stop_at_what_can_be_paid_at_the_highest_price():
    assert bounds(build(balance=60), "certain").q_safe.tolist() == [5] * 5


def test_standing_offers_count_as_sold_and_paid_but_not_as_material():
    view = build([supplier(own=(0, 6, 10)), consumer(own=(1, 4, 17))], balance=200)
    found = bounds(view, "covered")
    assert found.capacity.tolist() == [10, 6, 10, 10, 10]
    assert found.covered.tolist() == [0] * 5
    assert found.budget.tolist() == [200 - 60 - 2 * 4] * 5


def test_production_may_not_take_the_money_of_a_standing_purchase():
    # 100 - 90 leaves money to make 5.
    view = build([supplier(own=(0, 9, 10)), consumer()], balance=100)
    assert bounds(view, "certain").q_safe_sell.tolist() == [5] * 5


@pytest.mark.parametrize(("level", "buys", "sells"), [(0, False, True), (1, True, True), (2, True, False)])
def test_the_ends_of_the_chain_trade_with_nature_on_one_side(level, buys, sells):
    found = bounds(build(level=level), "certain")
    assert found.q_safe.any() == buys
    assert found.q_safe_sell.any() == sells
    assert found.open[Role.SUPPLIER].any() == buys
    assert found.open[Role.CONSUMER].any() == sells


def test_masks_without_a_mode_are_what_is_legal():
    view = build([supplier((0, 3, 10)), consumer(), consumer(own=(0, 1, 17))], day=47)
    found = masks(view)
    assert found["op"].tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 0]]
    assert found["delivery"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0] * 5]


def test_masks_with_a_mode_leave_out_what_is_never_safe():
    view = build([supplier((0, 3, 10)), consumer((1, 5, 17)), consumer((2, 7, 17))], sales={1: 6, 3: 10})
    found = masks(view, "certain")
    assert found["op"].tolist() == [[1, 1, 1], [0, 1, 1], [1, 1, 1]]
    assert found["delivery"].tolist() == [[1] * 5, [1, 1, 1, 0, 1], [1, 1, 1, 0, 1]]


def test_masks_count_on_material_that_may_be_accepted_now():
    view = build([supplier((2, 3, 10)), consumer((3, 4, 17))])
    found = masks(view, "covered")
    assert found["delivery"].tolist() == [[1] * 5, [0, 0, 1, 1, 1]]
    assert found["op"].tolist() == [[1, 1, 1], [0, 1, 1]]
