"""What a factory says when nobody answers for it, worked out by hand."""

from agora.negotiation.default import default_answer
from tests.agora.negotiation.views import ACCEPT, END, build, consumer, offer, supplier


def said(view):
    return [tuple(row) for row in default_answer(view).tolist()]


def test_it_ends_everything_where_it_has_nothing_and_owes_nothing():
    assert said(build([supplier((0, 3, 9)), consumer((0, 3, 18))])) == [END, END]


def test_it_buys_what_it_owes():
    # Six are owed in two days and two are in store: an offer of three is taken, and the last one asked for.
    view = build([supplier((1, 3, 11)), supplier(), supplier((3, 4, 9))], inventory=2, sales={2: 6})
    assert said(view) == [ACCEPT, offer(2, 1, 11), END]


def test_it_sells_what_it_has_at_prices_that_pay():
    # Production costs 2 and input is worth 10: 15 pays. The eight in store are shared.
    view = build([consumer((0, 5, 15)), consumer((0, 5, 15))], inventory=8, exogenous_output_quantity=1)
    assert said(view) == [ACCEPT, offer(0, 2, 15)]
    assert said(build([consumer((0, 5, 15))], inventory=8, input_trading_price=14)) == [offer(0, 8, 15)]
