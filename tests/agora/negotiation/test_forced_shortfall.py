"""What a shielded decision leaves unsafe is what was signed before and what nature orders, to the unit.

For any books without own offers that stand: whatever of the answers becomes a contract, the days come out as they do
when only the purchases among them are kept, which no sale can have worsened.
"""

from collections.abc import Iterator

import numpy as np
from hypothesis import assume, given, settings

from agora.negotiation.layout import Factory, Ints, Op, Role, Slot, View
from agora.negotiation.shield import shield
from tests.agora.negotiation.auditor import Books, Deal, can_buy_after, deals_of, subsets
from tests.agora.negotiation.test_shield_properties import PHYSICS, decisions, silence
from tests.agora.negotiation.views import PLAIN, answers, build, consumer, offer


def outcomes(view: View, said: Ints, physics: str) -> Iterator[tuple[Books, Books]]:
    """For all that may become of a decision: the books with it, and with its purchases only."""
    deals = deals_of(view, said)
    sure = [deal for deal in deals if deal.sure]
    for chosen in subsets([deal for deal in deals if not deal.sure]):
        kept: list[Deal] = [*sure, *chosen]
        yield Books(view, physics, kept), Books(view, physics, [deal for deal in kept if not deal.sells])


def beyond_lines(books: Books, delta: int) -> float:
    return max(0.0, books.owed(delta) - books.lines)


def alone(view: View) -> View:
    """Without own offers that stand."""
    view.slots[:, Slot.OWN_QUANTITY] = 0
    return view


@given(decisions(), PHYSICS)
@settings(deadline=None, max_examples=400)
def test_covered_leaves_short_exactly_what_was_forced(decision, physics):
    view, said = alone(decision[0]), decision[1]
    for played, forced in outcomes(view, shield(view, said, "covered", physics).answers, physics):
        assert [played.short(d) for d in played.days] == [forced.short(d) for d in forced.days]


@given(decisions(), PHYSICS)
@settings(deadline=None, max_examples=400)
def test_certain_leaves_beyond_the_lines_exactly_what_was_forced(decision, physics):
    view, said = alone(decision[0]), decision[1]
    shielded = shield(view, said, "certain", physics).answers
    for played, forced in outcomes(view, shielded, physics):
        assert [beyond_lines(played, d) for d in played.days] == [beyond_lines(forced, d) for d in forced.days]
        if not can_buy_after(view, shielded):
            assert played.short(0) == forced.short(0)


@given(decisions(), PHYSICS)
@settings(deadline=None, max_examples=200)
def test_of_empty_books_only_nature_forces_anything(decision, physics):
    """With nothing signed, what a day is short is nature's order less all that can be made, and later days are none."""
    view, said = alone(decision[0]), decision[1]
    view.commitments[:] = 0
    factory = view.factory
    made = min(factory[Factory.LINES], factory[Factory.INVENTORY] + factory[Factory.EXOGENOUS_INPUT_QUANTITY])
    forced = max(0.0, factory[Factory.EXOGENOUS_OUTPUT_QUANTITY] - made)
    shielded = shield(view, said, "covered", physics).answers
    buys_today = [deal for deal in deals_of(view, shielded) if not deal.sells and deal.delta == 0]
    assume(not buys_today)
    for played, _ in outcomes(view, shielded, physics):
        assert [played.short(d) for d in played.days] == [forced, *[0.0] * (len(played.days) - 1)]


def test_without_the_shield_the_same_answers_add_to_it():
    """A factory of 10 lines and 4 units in store, of which nature orders 7: a sale of 3 more is 3 more short."""
    view = build([consumer(table=(0, 3, 16))], inventory=4, exogenous_output_quantity=7)
    said = answers((int(Op.ACCEPT), 0, 0, 0))
    (played, forced), *_ = outcomes(view, said, "engine")
    assert (played.short(0), forced.short(0)) == (6.0, 3.0) and PLAIN[Factory.LINES] == 10
    for mode in ("certain", "covered"):
        view = build([consumer(table=(0, 3, 16))], inventory=4, exogenous_output_quantity=7)
        safe = shield(view, said, mode).answers
        for played, forced in outcomes(view, safe, "engine"):
            assert played.short(0) == forced.short(0) == 3.0


def test_offers_are_held_to_the_same():
    view = build([consumer(), consumer()], inventory=4, exogenous_output_quantity=3)
    safe = shield(view, answers(offer(0, 1, 16), offer(0, 1, 16)), "covered").answers
    assert {played.short(0) for played, _ in outcomes(view, safe, "engine")} == {0.0}
    assert sum(deal.units for deal in deals_of(view, safe) if deal.delta == 0) == 1
    assert np.array_equal(silence(view)[:, 0], [int(Op.END)] * 2) and Role.CONSUMER in view.slots[:, Slot.ROLE]
