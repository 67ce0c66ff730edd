"""The shield against a judge that shares nothing with it, for any books and any answers."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from agora.negotiation.bounds import bounds, masks
from agora.negotiation.default import default_answer
from agora.negotiation.layout import Answer, Factory, Ints, Op, Role, Slot, View
from agora.negotiation.shield import legalise, shield
from tests.agora.negotiation.auditor import Books, faults, shortfalls
from tests.agora.negotiation.views import HORIZON, build

MODES = st.sampled_from(["certain", "covered"])
PHYSICS = st.sampled_from(["engine", "conserving"])
FEW = st.integers(0, 6)
UNITS = st.dictionaries(st.integers(0, HORIZON), FEW, max_size=HORIZON)
PRICES = {Role.SUPPLIER: st.integers(9, 11), Role.CONSUMER: st.integers(15, 18)}


@st.composite
def slots(draw: st.DrawFn, last: int) -> dict[Slot, int]:
    role = draw(st.sampled_from([Role.SUPPLIER, Role.CONSUMER]))
    running = draw(st.sampled_from([1, 1, 1, 0]))
    offer = st.tuples(FEW, st.integers(0, last), PRICES[role])
    values = (role, running, running and draw(st.integers(0, 1)), 2, *draw(offer), *draw(offer))
    return dict(zip(Slot, values, strict=True))


@st.composite
def situations(draw: st.DrawFn) -> View:
    day = draw(st.integers(0, 9))
    last = min(HORIZON, 9 - day)
    units = st.dictionaries(st.integers(0, last), FEW, max_size=last + 1)
    return build(
        draw(st.lists(slots(last), min_size=1, max_size=5)),
        draw(units),
        draw(units),
        day=day,
        days=10,
        lines=draw(st.integers(1, 8)),
        production_cost=draw(st.integers(0, 3)),
        balance=draw(st.sampled_from([0, 40, 120, 300, 2000])),
        inventory=draw(FEW),
        exogenous_input_quantity=draw(FEW),
        exogenous_input_price=draw(st.integers(0, 40)),
        exogenous_output_quantity=draw(FEW),
        max_quantity=12,
        first=draw(st.sampled_from([0, 0, 1])),
    )


@st.composite
def decisions(draw: st.DrawFn) -> tuple[View, Ints]:
    """A view and any numbers as answers, most of them nearly sensible."""
    view = draw(situations())
    wild = st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 4)
    tame = st.tuples(st.integers(0, 2), st.integers(0, HORIZON), FEW, st.integers(9, 18))
    rows = [draw(st.one_of(tame, tame, tame, wild)) for _ in view.slots]
    return view, np.array(rows, np.int32)


def is_legal(view: View, answers: Ints) -> bool:
    last = min(HORIZON, view.factory[Factory.DAYS] - view.factory[Factory.DAY] - 1)
    for slot, (op, delta, units, price) in zip(view.slots, answers.tolist(), strict=True):
        low, high = (9, 11) if slot[Slot.ROLE] == Role.SUPPLIER else (15, 18)
        if not slot[Slot.AWAITED] or op == Op.END:
            continue
        if op == Op.ACCEPT and (view.factory[Factory.FIRST] or slot[Slot.PARTNER_QUANTITY] == 0):
            return False
        if op == Op.REJECT and not (0 <= delta <= last and 1 <= units <= 12 and low <= price <= high):
            return False
    return True


def silence(view: View) -> Ints:
    return np.array([[Op.END, 0, 0, 0]] * len(view.slots), np.int32)


@given(decisions(), MODES, PHYSICS)
@settings(deadline=None, max_examples=400)
def test_no_answer_is_unsafe_whichever_offers_are_accepted(decision, mode, physics):
    view, answers = decision
    shielded = shield(view, answers, mode, physics).answers
    assert is_legal(view, shielded)
    # An offer that stands and was safe as long as we said nothing more stays safe.
    assert faults(view, shielded, physics) <= faults(view, silence(view), physics)


@given(decisions(), PHYSICS)
@settings(deadline=None, max_examples=400)
def test_covered_sales_never_add_to_a_shortfall(decision, physics):
    view, answers = decision
    shielded = shield(view, answers, "covered", physics).answers
    now, before = shortfalls(view, shielded, physics), shortfalls(view, silence(view), physics)
    assert all(short <= was for short, was in zip(now, before, strict=True))


@given(decisions(), MODES, PHYSICS)
@settings(deadline=None, max_examples=400)
def test_what_is_safe_is_left_alone(decision, mode, physics):
    view, answers = decision
    legal = legalise(view, answers)
    unsafe = bool(faults(view, legal, physics))
    if mode == "covered":
        unsafe = unsafe or any(shortfalls(view, legal, physics))
    shielded = shield(view, legal, mode, physics)
    if not unsafe:
        assert np.array_equal(shielded.answers, legal)
        assert not shielded.edited.any()


@given(decisions(), MODES, PHYSICS)
@settings(deadline=None, max_examples=300)
def test_a_second_shield_changes_nothing(decision, mode, physics):
    view, answers = decision
    once = shield(view, answers, mode, physics)
    twice = shield(view, once.answers, mode, physics)
    assert np.array_equal(once.answers, twice.answers)
    assert not twice.edited.any()
    assert np.array_equal(legalise(view, once.answers), once.answers)


@given(decisions(), MODES, PHYSICS)
@settings(deadline=None, max_examples=300)
def test_masks_are_open_for_all_that_leaves_the_shield(decision, mode, physics):
    view, answers = decision
    shielded, open_ = shield(view, answers, mode, physics).answers, masks(view, mode, physics)
    for i in np.flatnonzero(view.slots[:, Slot.AWAITED]):
        op, delta, _, _ = shielded[i].tolist()
        assert open_["op"][i, op]
        assert op != Op.REJECT or open_["delivery"][i, delta]
    legal = masks(view)
    assert all((open_[name] <= legal[name]).all() for name in legal)


@given(decisions(), MODES, PHYSICS, st.randoms())
@settings(deadline=None, max_examples=300)
def test_the_order_of_slots_does_not_matter_for_safety(decision, mode, physics, random):
    view, answers = decision
    order = random.sample(range(len(answers)), len(answers))
    turned = view._replace(slots=view.slots[order], history=view.history[order])
    shielded = shield(turned, answers[order], mode, physics).answers
    back = shielded[np.argsort(order)]
    assert faults(view, back, physics) <= faults(view, silence(view), physics)


@given(situations(), MODES, PHYSICS)
@settings(deadline=None, max_examples=300)
def test_the_default_answer_passes_the_shield(view, mode, physics):
    answers = default_answer(view, mode, physics)
    shielded = shield(view, answers, mode, physics)
    assert np.array_equal(shielded.answers, answers)
    assert is_legal(view, answers)
    assert (answers[view.slots[:, Slot.AWAITED] == 0, Answer.OP] == Op.END).all()


@given(situations(), MODES, PHYSICS)
@settings(deadline=None, max_examples=300)
def test_bounds_without_standing_offers_are_the_definitions(view, mode, physics):
    view.slots[:, Slot.OWN_QUANTITY] = 0
    found, books = bounds(view, mode, physics), Books(view, physics)
    days = list(books.days)
    assert found.capacity[days].tolist() == [max(0, books.lines - books.owed(d)) for d in days]
    assert found.covered[days].tolist() == [max(0, books.makes(d) - books.owed(d)) for d in days]
    assert found.budget[days].tolist() == pytest.approx([books.budget(d) for d in days])
    dearest = [max(0, min(books.usable(d), books.budget(d) // 11)) for d in days]
    assert found.q_safe[days].tolist() == dearest
    assert not found.q_safe[len(days) :].any() and not found.q_safe_sell[len(days) :].any()
