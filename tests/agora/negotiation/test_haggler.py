"""The example negotiator, by hand-made situations."""

import timeit

import numpy as np
import pytest
from gymnasium import spaces

from agent_services.policies import load
from agora.agents.policy import Batch, Draws, Source, Spaces
from agora.errors import Refused
from agora.negotiation.haggler import haggle
from agora.negotiation.layout import Answer, Commitment, Factory, Op, Role, Slot
from agora.spaces import leaves

H, K = 10, 4
LOW, HIGH = 18, 22


def factory(level, levels=2, **columns):
    row = np.zeros(len(Factory))
    known = {"DAYS": 50, "LEVEL": level, "LEVELS": levels, "LINES": 10, "PRODUCTION_COST": 2, "MAX_QUANTITY": 30}
    known |= {"INPUT_TRADING_PRICE": 17, "OUTPUT_TRADING_PRICE": 21, "BALANCE": 5000, "INITIAL_BALANCE": 5000}
    known |= {"INPUT_PRICE_LOW": LOW, "INPUT_PRICE_HIGH": HIGH, "OUTPUT_PRICE_LOW": LOW, "OUTPUT_PRICE_HIGH": HIGH}
    for name, value in {**known, **columns}.items():
        row[Factory[name]] = value
    return row


def slots(role, offers=(None,) * K, rounds=0, awaited=(1,) * K, own=(None,) * K):
    rows = np.zeros((K, len(Slot)), np.int32)
    rows[:, Slot.ROLE], rows[:, Slot.RUNNING], rows[:, Slot.ROUND] = role, 1, rounds
    rows[:, Slot.AWAITED] = awaited
    for row, theirs, mine in zip(rows, offers, own, strict=True):
        row[Slot.PARTNER_QUANTITY : Slot.PARTNER_PRICE + 1] = theirs or 0
        row[Slot.OWN_QUANTITY : Slot.OWN_PRICE + 1] = mine or 0
    return rows


def books(**columns):
    table = np.zeros((H + 1, len(Commitment)))
    for name, (day, units) in columns.items():
        table[day, Commitment[name]] = units
    return table


def said(row, table, rows):
    return [tuple(answer) for answer in haggle(row[None], table[None], rows[None])[0].tolist()]


def offer(quantity, price, delivery=0):
    return (Op.REJECT, delivery, quantity, price)


ACCEPTED, ENDED = (Op.ACCEPT, 0, 0, 0), (Op.END, 0, 0, 0)


def test_what_nature_brings_is_offered_for_today_at_the_best_price():
    answers = said(factory(0, EXOGENOUS_INPUT_QUANTITY=10, FIRST=1), books(), slots(Role.CONSUMER))
    assert answers == [offer(3, HIGH), offer(3, HIGH), offer(3, HIGH), offer(1, HIGH)]


def test_what_nature_wants_is_bought_for_today_less_what_is_there():
    row = factory(1, EXOGENOUS_OUTPUT_QUANTITY=9, INVENTORY=1, FIRST=1)
    assert said(row, books(SUPPLIES=(0, 2)), slots(Role.SUPPLIER)) == [offer(2, LOW)] * 3 + [ENDED]


def test_inside_the_chain_it_buys_what_it_has_sold():
    row, table = factory(1, levels=3, FIRST=1), books(SALES=(3, 8))
    assert said(row, table, slots(Role.SUPPLIER)) == [offer(2, LOW, delivery=3)] * 4


def test_inside_the_chain_it_sells_what_it_has_bought_and_then_part_of_its_lines():
    row = factory(1, levels=3, FIRST=1)
    assert said(row, books(SUPPLIES=(0, 8)), slots(Role.CONSUMER)) == [offer(2, HIGH)] * 4
    # 0.6 of 10 lines, tomorrow, as there is nothing to make it from today.
    planned = said(row, books(), slots(Role.CONSUMER))
    assert planned == [offer(2, HIGH, delivery=1)] * 3 + [ENDED]


def test_good_offers_are_accepted_as_far_as_they_fit():
    row = factory(0, EXOGENOUS_INPUT_QUANTITY=10)
    table = [(6, 0, HIGH), (6, 0, HIGH), (4, 0, HIGH), (1, 0, LOW)]
    answers = said(row, books(), slots(Role.CONSUMER, table))
    # 6 fit, 6 more do not; the third would, but comes after what did not; 4 units are left for three partners.
    assert answers[0] == ACCEPTED and [a[Answer.OP] for a in answers[1:]] == [Op.REJECT, Op.REJECT, Op.END]
    assert sum(a[Answer.QUANTITY] for a in answers) == 4


@pytest.mark.parametrize(("role", "level", "columns"), [
    (Role.CONSUMER, 0, {"EXOGENOUS_INPUT_QUANTITY": 8}),
    (Role.SUPPLIER, 1, {"EXOGENOUS_OUTPUT_QUANTITY": 8}),
])  # fmt: skip
def test_the_price_is_conceded_within_four_rounds(role, level, columns):
    worst_offer = (8, 0, LOW if role == Role.CONSUMER else HIGH)
    prices = []
    for number in range(3):
        answers = said(factory(level, **columns), books(), slots(role, [worst_offer] + [None] * 3, rounds=number))
        assert answers[0][Answer.OP] == Op.REJECT
        prices.append(answers[0][Answer.PRICE])
    assert prices == ([21, 20, 19] if role == Role.CONSUMER else [19, 20, 21])
    answers = said(factory(level, **columns), books(), slots(role, [worst_offer] + [None] * 3, rounds=3))
    assert answers[0] == ACCEPTED


def test_offers_that_still_stand_are_kept_in_mind():
    rows = slots(Role.CONSUMER, awaited=(1, 0, 0, 0), own=(None, (4, 0, 20), (3, 0, 20), None))
    answers = said(factory(0, EXOGENOUS_INPUT_QUANTITY=10), books(), rows)
    assert answers[0][Answer.QUANTITY] == 3 and answers[1:] == [ENDED] * 3


def test_nothing_is_traded_for_days_after_the_last():
    row = factory(0, DAY=49, FIRST=1)
    assert said(row, books(), slots(Role.CONSUMER)) == [ENDED] * 4
    assert said(factory(0, DAY=48, FIRST=1), books(), slots(Role.CONSUMER))[0][Answer.DELIVERY] == 1


def situations(rows):
    rng = np.random.default_rng(1)
    views = [factory(level, levels=3, DAY=rng.integers(50)) for level in rng.integers(0, 3, rows)]
    tables = rng.integers(0, 8, (rows, H + 1, 4)).astype(float)
    partners = [slots(rng.integers(1, 3), [tuple(rng.integers(1, 30, 3) % [9, 10, 26]) for _ in range(K)])] * rows
    return np.stack(views), tables, np.stack(partners)


def test_a_row_depends_on_that_row_alone():
    together = situations(64)
    alone = [haggle(*(part[i : i + 1] for part in together))[0] for i in range(64)]
    answers = haggle(*together)
    assert answers.dtype == np.int32 and np.array_equal(answers, np.stack(alone))
    assert {0, 1, 2} >= set(np.unique(answers[..., Answer.OP])) and (answers >= 0).all()


def test_many_rows_cost_little_more_than_one():
    many, one = situations(64), situations(1)
    seconds = [min(timeit.repeat(lambda rows=rows: haggle(*rows), number=5, repeat=10)) for rows in (one, many)]
    assert seconds[1] < 5 * seconds[0]


def action_space(price=255):
    choices = {"op": spaces.MultiDiscrete([3] * K), "delivery": spaces.MultiDiscrete([H + 1] * K)}
    bounds = {"quantity": spaces.Box(0, 30, (K,), np.int32), "price": spaces.Box(0, price, (K,), np.int32)}
    return spaces.Dict({**choices, **bounds})


def test_the_policy_says_the_same_within_its_space():
    seen = spaces.Dict(
        {
            "factory": spaces.Box(-1e9, 1e9, (len(Factory),), np.float64),
            "commitments": spaces.Box(0, 1e9, (H + 1, 4), np.float64),
            "slots": spaces.Box(0, 10**6, (K, len(Slot)), np.int32),
        }
    )
    both = Spaces(leaves(seen), leaves(action_space(price=20)))
    rows, draws = situations(5), Draws(0, 0, 0, 0, np.arange(5, dtype=np.uint32))
    order = [leaf.path for leaf in both.observation]
    batch = Batch([dict(zip(("factory", "commitments", "slots"), rows, strict=True))[name] for name in order],
                  [None] * 4, np.zeros((5, 0), np.uint8), draws)  # fmt: skip
    decision = load("scripted", Source("haggler")).bind(both)(batch)
    expected = haggle(*rows)
    for leaf, head in zip(both.action, decision.heads, strict=True):
        leaf.check(head.action, 5, leaf.path)
        assert np.array_equal(head.action, np.minimum(expected[..., Answer[leaf.path.upper()]], leaf.high))
    with pytest.raises(Refused, match="observations"):
        load("scripted", Source("haggler")).bind(Spaces(leaves(spaces.Discrete(2)), both.action))
