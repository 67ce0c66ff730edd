import random
from collections.abc import Iterable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from negmas import ResponseType
from scml.oneshot.agent import OneShotAgent
from scml.oneshot.common import QUANTITY, TIME
from scml.std import SCML2024StdWorld, StdSyncAgent
from scml_agents.scml2024.standard.team_penguin import PenguinAgent

from agora.negotiation.layout import Answer, Commitment, Factory, Op, Role, Slot, View, empty_view
from scml_engine.deciders import DECIDERS
from scml_engine.penguin import repaired
from scml_engine.policies import POLICIES, resolve

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")  # the engine's own
TODAY, DAYS, PRICES = 5, 40, SimpleNamespace(min_value=10, max_value=20)


class Books:
    """What a world would tell a Penguin with suppliers s0.. and consumers c0.., on day 5 of 40."""

    n_steps, current_step = DAYS, TODAY
    needed_supplies = needed_sales = 0
    current_input_issues = current_output_issues = (None, None, PRICES)

    def __init__(self, lines=10, stored=0, exogenous=0, bought=None, sold=None, consumers=2):
        self.n_lines, self.current_inventory_input, self.current_exogenous_input_quantity = lines, stored, exogenous
        self.bought, self.sold = bought or {}, sold or {}
        self.my_suppliers, self.my_consumers = ["s0"], [f"c{i}" for i in range(consumers)]

    def total_sales_at(self, step):
        return self.sold.get(step, 0) if step >= self.current_step else 0

    def total_supplies_at(self, step):
        return self.bought.get(step, 0)


def penguin(mistakes: Iterable[int], books: Books) -> Any:
    class Alone(repaired(frozenset(mistakes))):
        negotiators = property(lambda self: dict.fromkeys([*books.my_suppliers, *books.my_consumers]))

        def get_nmi(self, partner):
            return None

    agent = Alone()
    agent._awi = books
    return agent


def may_sell(books: Books, day: int, repairs: Iterable[int]) -> int:
    """The formulas of the two versions, in fractions."""
    lines, sold = books.n_lines, books.sold.get(day, 0)
    if 1 in repairs:
        material = books.current_inventory_input + books.bought.get(day, 0)
        material += books.current_exogenous_input_quantity if day == TODAY else 0
        return max(0, min(lines, material) - sold)
    return int(max(Fraction(0), min(Fraction(lines), Fraction(7, 10) * lines + books.current_inventory_input) - sold))


amounts = st.dictionaries(st.integers(TODAY, TODAY + 4), st.integers(0, 30))
situations = st.builds(Books, st.integers(1, 20), st.integers(0, 25), st.integers(0, 15), amounts, amounts, st.just(10))
switches = st.sets(st.sampled_from((1, 2, 3)))


@settings(max_examples=300, deadline=None)
@given(situations, switches)
def test_needs_follow_the_formula(books, repairs):
    agent = penguin(repairs, books)
    for day in range(TODAY, TODAY + 5):
        assert agent.needs_at(day, "c0") == may_sell(books, day, repairs)
    given_out = agent.distribute_todays_needs(["c0", "c1", "c2"])
    assert sum(given_out.values()) == (
        may_sell(books, TODAY, repairs) if books.sold.get(TODAY, 0) <= books.n_lines else 0
    )


@settings(max_examples=300, deadline=None)
@given(situations, switches)
def test_offers_ahead_follow_the_formula(books, repairs):
    offered = penguin(repairs, books).future_consume_offer(list(books.my_consumers))
    for ahead in (1, 2, 3):
        asked = TODAY + (2 if ahead == 3 and 3 not in repairs else ahead)  # mistake 3 asks day s + 2 about s + 3
        lines_left = books.sold.get(asked, 0) <= books.n_lines
        expected = may_sell(books, TODAY + ahead, repairs) // 3 if lines_left else 0
        assert sum(offer[QUANTITY] for offer in offered.values() if offer[TIME] == TODAY + ahead) == expected


@pytest.mark.parametrize(
    ("repairs", "offers"),
    [((), 0), ((1,), 0), ((2,), 0), ((3,), 2), ((1, 3), 3)],  # (7 - 0) // 3, and (10 - 0) // 3 with all bought
)
def test_mistake_3_asks_the_wrong_day(repairs, offers):
    books = Books(sold={TODAY + 2: 11}, bought={TODAY + 3: 10}, consumers=10)
    offered = penguin(repairs, books).future_consume_offer(list(books.my_consumers))
    assert sum(offer[QUANTITY] for offer in offered.values() if offer[TIME] == TODAY + 3) == offers


@pytest.mark.parametrize(("repairs", "op"), [((), ResponseType.REJECT_OFFER), ((2,), ResponseType.ACCEPT_OFFER)])
def test_mistake_2_refuses_what_is_to_be_sold_today(repairs, op):
    books = Books(stored=3, sold={TODAY: 4})  # 10 - 4 = 6 more may be sold
    answers = penguin(repairs, books).counter_all({"c0": (6, TODAY, 15)}, {})
    assert answers["c0"].response == op


@pytest.mark.parametrize(("sold", "op"), [(5, ResponseType.ACCEPT_OFFER), (6, ResponseType.REJECT_OFFER)])
def test_repairs_1_and_2_sell_for_today_while_there_is_material(sold, op):
    books = Books(stored=3, exogenous=2, bought={TODAY: 1}, sold={TODAY: sold})  # 3 + 2 + 1 = 6 to sell
    assert penguin((1, 2), books).counter_all({"c0": (1, TODAY, 15)}, {})["c0"].response == op


class Watched(StdSyncAgent):
    """Before a Penguin: notes the days on which it accepted to sell for the same day."""

    same_day: list[int]

    def counter_all(self, offers, states):
        answers = super().counter_all(offers, states)
        awi = self._awi
        for partner, answer in answers.items():
            accepted = answer.response == ResponseType.ACCEPT_OFFER and partner in awi.my_consumers
            if accepted and offers[partner][TIME] == awi.current_step:
                self.same_day.append(awi.current_step)
        return answers


def play(agent: type, seed: int = 3, days: int = 10) -> list[float]:
    random.seed(seed)
    np.random.seed(seed)
    config = SCML2024StdWorld.generate(
        agent_types=[agent] * 8,
        agent_processes=[0] * 4 + [1] * 4,
        n_processes=2,
        n_steps=days,
        random_agent_types=False,
    )
    world = SCML2024StdWorld(**config, saved_details_level=0, sync_calls=True, no_logs=True)
    world.save_negotiations = False
    world.run()
    assert world.current_step == days
    return list(world.scores().values())


def test_without_a_repair_it_plays_as_published():
    assert play(repaired(frozenset())) == play(PenguinAgent)


def test_penguin_sells_nothing_for_the_same_day_until_mistake_2_is_repaired():
    days = {}
    for name in ("penguin", "penguin+2"):
        watched = type("PenguinAgent", (Watched, resolve(name)), {"same_day": []})
        play(watched)
        days[name] = watched.same_day
    assert not [day for day in days["penguin"] if day > 1]
    assert len([day for day in days["penguin+2"] if day > 1]) > 10


def test_each_repair_changes_a_world():
    published = play(PenguinAgent)
    assert play(resolve("penguin+1")) != published
    assert play(resolve("penguin+2")) != published


@pytest.mark.parametrize("name", POLICIES)
def test_every_name_is_an_agent(name):
    found = resolve(name)
    assert issubclass(found, OneShotAgent)
    assert not name.startswith("penguin") or found.__name__ == "PenguinAgent"


def test_dotted_paths_are_allowed():
    assert resolve("scml.std.agents.GreedyStdAgent") is resolve("greedy")


@pytest.mark.parametrize("name", ["pinguin", "no.such.module.Agent", "scml.std.NoAgent", "scml.std.SCML2024StdWorld"])
def test_what_is_no_policy_is_refused(name):
    with pytest.raises(ValueError, match=f"policy: expected .*{name}"):
        resolve(name)


def test_do_nothing_trades_nothing():
    scores = play(resolve("donothing"), days=3)
    assert all(score <= 1.0 for score in scores)  # nothing is sold, and nature is paid or owed


def situation(rng: np.random.Generator) -> View:
    view = empty_view(6, 10)
    view.factory[[Factory.DAY, Factory.DAYS, Factory.MAX_QUANTITY]] = 15, 20, 30
    view.factory[[Factory.INPUT_PRICE_LOW, Factory.INPUT_PRICE_HIGH]] = 7, 9
    view.factory[[Factory.OUTPUT_PRICE_LOW, Factory.OUTPUT_PRICE_HIGH]] = 15, 18
    view.commitments[:, Commitment.SALES] = rng.integers(0, 9, 11)
    view.slots[:, Slot.ROLE] = [Role.SUPPLIER] * 3 + [Role.CONSUMER] * 2 + [Role.NOBODY]
    view.slots[:, Slot.AWAITED] = [1, 1, 0, 1, 1, 0]
    view.slots[[0, 3], Slot.PARTNER_QUANTITY] = 4
    return view


@pytest.mark.parametrize("name", DECIDERS)
def test_deciders_are_legal_and_use_all_that_is_legal(name):
    rng = np.random.default_rng(0)
    decide = DECIDERS[name](7)
    played = np.stack([decide(situation(rng), rng) for _ in range(3000)])
    assert played.dtype == np.int32
    ops = played[:, :, Answer.OP]
    assert (ops[:, [2, 5]] == Op.END).all()
    for slot, known in ((0, set(Op)), (1, {Op.REJECT, Op.END}), (3, set(Op)), (4, {Op.REJECT, Op.END})):
        assert set(ops[:, slot].tolist()) == known
    offers = played[ops == Op.REJECT]
    assert set(offers[:, Answer.DELIVERY].tolist()) == set(range(5))  # days 15 to 19 of 20
    assert set(offers[:, Answer.QUANTITY].tolist()) == set(range(1, 31))
    assert set(played[:, :2][ops[:, :2] == Op.REJECT][:, Answer.PRICE].tolist()) == {7, 8, 9}
    assert set(played[:, 3:5][ops[:, 3:5] == Op.REJECT][:, Answer.PRICE].tolist()) == {15, 16, 17, 18}


def test_random_is_uniform():
    rng = np.random.default_rng(1)
    decide = DECIDERS["random"](0)
    ops = np.stack([decide(situation(rng), rng)[:, Answer.OP] for _ in range(6000)])
    counts = np.bincount(ops[:, 0], minlength=3)
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)  # five standard deviations of a binomial


def test_an_untrained_network_is_its_seed_and_nothing_else():
    views = [situation(np.random.default_rng(i)) for i in range(50)]

    def plays(seed: int) -> np.ndarray:
        decide, rng = DECIDERS["untrained"](seed), np.random.default_rng(5)
        return np.stack([decide(view, rng) for view in views])

    assert (plays(1) == plays(1)).all()
    assert (plays(1) != plays(2)).any()
