"""What the shield says instead, in decisions worked out by hand. Ten lines, production cost 2 unless said."""

import numpy as np
import pytest

from agora.negotiation.layout import Slot
from agora.negotiation.shield import legalise, shield
from agora.negotiation.worth import ELSEWHERE, PATIENCE
from tests.agora.negotiation.views import ACCEPT, END, answers, build, consumer, offer, supplier


def said(view, *rows, mode="certain", physics="engine"):
    return [tuple(row) for row in shield(view, answers(*rows), mode, physics).answers.tolist()]


def test_a_safe_decision_is_left_as_it_is():
    view = build([supplier((0, 3, 10)), supplier(), consumer((1, 5, 17)), consumer()], sales={1: 5})
    rows = answers(ACCEPT, offer(3, 30, 11), ACCEPT, offer(0, 10, 18))
    result = shield(view, rows, "certain")
    assert np.array_equal(result.answers, rows)
    assert not result.edited.any()


def test_only_changed_answers_are_marked():
    view = build([consumer((1, 5, 17)), consumer((2, 5, 17))], sales={1: 10})
    assert shield(view, answers(ACCEPT, ACCEPT), "certain").edited.tolist() == [True, False]


def test_too_much_becomes_fewer_units_where_few_are_missing():
    view = build([consumer((1, 6, 17))], sales={1: 5})
    assert 6 * ELSEWHERE < 5
    assert said(view, ACCEPT) == [offer(1, 5, 17)]


def test_too_much_becomes_another_day_where_many_are_missing():
    view = build([consumer((1, 6, 17))], sales={1: 9, 0: 10})
    assert 6 * ELSEWHERE * PATIENCE > 1
    assert said(view, ACCEPT) == [offer(2, 6, 17)]


def test_of_acceptances_that_do_not_fit_together_the_best_ones_stay():
    # 4 + 6 units fill the 10 lines and bring more than 7 alone; the slots' order plays no part.
    table = [(1, 7, 17), (1, 4, 17), (1, 6, 17)]
    rows = said(build([consumer(offer) for offer in table]), ACCEPT, ACCEPT, ACCEPT)
    assert rows[1:] == [ACCEPT, ACCEPT]
    assert rows[0][0] != ACCEPT[0]


def test_of_acceptances_of_one_size_the_dearest_stays():
    rows = said(build([consumer((1, 8, 15)), consumer((1, 8, 18))]), ACCEPT, ACCEPT)
    assert rows[1] == ACCEPT
    assert rows[0][0] != ACCEPT[0]


def test_acceptances_come_before_offers():
    view = build([consumer(), consumer((1, 9, 15))], sales={0: 10})
    assert said(view, offer(1, 9, 18), ACCEPT) == [offer(2, 9, 18), ACCEPT]


def test_offers_that_stand_take_room():
    view = build([consumer(own=(0, 8, 18)), consumer((0, 6, 17))])
    assert said(view, END, ACCEPT)[1] == offer(1, 6, 17)


def test_an_end_is_all_that_is_left_without_room():
    view = build([consumer((0, 1, 17))], sales=dict.fromkeys(range(5), 10))
    assert said(view, ACCEPT) == [END]


def test_what_is_accepted_now_is_material_but_what_is_offered_is_not():
    bought = build([supplier((0, 4, 10)), consumer((0, 4, 17))])
    assert said(bought, ACCEPT, ACCEPT, mode="covered") == [ACCEPT, ACCEPT]
    assert said(bought, offer(0, 4, 10), ACCEPT, mode="covered") == [offer(0, 4, 10), END]


def test_once_the_last_supplier_is_gone_today_needs_material():
    view = build([supplier((0, 3, 10)), consumer((0, 4, 17))], sales=dict.fromkeys(range(1, 5), 10))
    assert said(view, offer(0, 3, 10), ACCEPT) == [offer(0, 3, 10), ACCEPT]
    assert said(view, ACCEPT, ACCEPT) == [ACCEPT, offer(0, 3, 17)]
    assert said(view, END, ACCEPT) == [END, END]


def test_purchases_share_the_money():
    # 100 pay 9 units at 11. The second supplier is left with one.
    view = build([supplier((0, 8, 11)), supplier((0, 8, 11))], balance=100)
    assert sorted(said(view, ACCEPT, ACCEPT)) == [ACCEPT, offer(0, 1, 11)]


def test_a_sale_leaves_the_money_that_a_standing_purchase_needs():
    # 100 - 9 x 10 makes 5 units at 2.
    view = build([supplier(own=(0, 9, 10)), consumer((1, 8, 17))], balance=100)
    assert said(view, END, ACCEPT)[1] == offer(1, 5, 17)


def test_purchases_share_what_can_still_be_used():
    # Last day: 10 lines, 4 in store.
    view = build([supplier((0, 4, 10)), supplier((0, 4, 10))], day=49, inventory=4)
    assert sorted(said(view, ACCEPT, ACCEPT)) == [ACCEPT, offer(0, 2, 10)]


def test_conserving_physics_does_not_sell_a_unit_twice():
    view = build([consumer((0, 4, 17)), consumer((1, 4, 17))], inventory=4)
    assert said(view, ACCEPT, ACCEPT, mode="covered") == [ACCEPT, ACCEPT]
    rows = said(view, ACCEPT, ACCEPT, mode="covered", physics="conserving")
    assert sorted(rows) == [ACCEPT, END]


@pytest.mark.parametrize(
    ("answer", "legal"),
    [
        (ACCEPT, ACCEPT),
        ((1, 9, 99, 99), offer(2, 30, 11)),
        ((1, -9, 1, -99), offer(0, 1, 9)),
        ((1, 0, 0, 10), END),
        ((2, 3, 4, 5), END),
        ((7, 1, 1, 10), END),
        ((-1, 1, 1, 10), END),
        ((0, 3, 4, 5), ACCEPT),
    ],
)
def test_answers_are_brought_into_range(answer, legal):
    view = build([supplier((0, 3, 10))], day=47)
    assert [tuple(row) for row in legalise(view, answers(answer)).tolist()] == [legal]


def test_without_an_offer_to_accept_an_acceptance_becomes_the_offer_beside_it():
    view = build([consumer(), consumer()])
    assert legalise(view, answers((0, 1, 5, 16), (0, 1, 0, 16))).tolist() == [list(offer(1, 5, 16)), list(END)]
    first = build([consumer((0, 3, 17))], first=1)
    assert legalise(first, answers((0, 1, 5, 16))).tolist() == [list(offer(1, 5, 16))]


def test_nothing_is_said_where_nothing_is_asked():
    view = build([consumer(own=(0, 3, 17)), consumer((0, 3, 17)) | {Slot.ROLE: 0}])
    assert legalise(view, answers(offer(1, 5, 16), ACCEPT)).tolist() == [list(END)] * 2


def test_answers_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"answers: expected shape \(1, 4\), got \(2, 4\)"):
        shield(build([consumer()]), np.zeros((2, 4), np.int32), "certain")
