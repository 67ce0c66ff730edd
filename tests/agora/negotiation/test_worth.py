"""What offers are worth, by hand, by the formulas of the module's text, and by trying every subset."""

from itertools import combinations

import numpy as np
import pytest

from agora.negotiation.layout import Factory, Role
from agora.negotiation.worth import Offer, best_substitute, best_that_fit, worth

# Input trades at 10, output at 17, a unit costs 2 to make.
FACTORY = [0.0] * len(Factory)
FACTORY[Factory.INPUT_TRADING_PRICE] = 10.0
FACTORY[Factory.OUTPUT_TRADING_PRICE] = 17.0
FACTORY[Factory.PRODUCTION_COST] = 2.0


def sale(quantity, price, slot=0, delivery=1):
    return Offer(slot, Role.CONSUMER, delivery, quantity, price, accepted=True)


@pytest.mark.parametrize(
    ("role", "quantity", "price", "expected"),
    [
        (Role.CONSUMER, 3, 18, 3 * (18 - 2 - 10)),
        (Role.SUPPLIER, 3, 9, 3 * (17 - 2 - 9)),
        (Role.CONSUMER, 4, 12, 4 * 0.05 * 12),  # margin 0
        (Role.CONSUMER, 4, 5, 4 * 0.05 * 5),  # a loss of 7 each
        (Role.SUPPLIER, 4, 20, 4 * 0.05 * 20),  # a loss of 5 each
        (Role.CONSUMER, 1, 13, 1.0),  # 0.05 * 13 is less
        (Role.SUPPLIER, 0, 9, 0.0),
    ],
)
def test_a_unit_is_worth_its_margin_or_a_twentieth_of_its_price(role, quantity, price, expected):
    assert worth(FACTORY, Offer(0, role, 2, quantity, price)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_no_subset_that_fits_is_worth_more(seed):
    draws = np.random.default_rng(seed)
    offers = [sale(int(draws.integers(1, 9)), int(draws.integers(11, 19)), slot) for slot in range(6)]
    room = int(draws.integers(0, 25))

    def total(chosen):
        return sum(o.quantity * max(o.price - 12.0, 0.05 * o.price) for o in chosen)

    subsets = [s for size in range(7) for s in combinations(offers, size) if sum(o.quantity for o in s) <= room]
    found = best_that_fit(FACTORY, offers, room)
    assert sum(offer.quantity for offer in found) <= room
    assert total(found) == pytest.approx(max(map(total, subsets)), rel=1e-12)
    assert len({offer.slot for offer in found}) == len(found)


def test_room_may_be_filled_to_the_last_unit():
    assert best_that_fit(FACTORY, [sale(4, 17, 0), sale(6, 17, 1)], 10) == [sale(4, 17, 0), sale(6, 17, 1)]
    assert best_that_fit(FACTORY, [sale(4, 17, 0), sale(6, 17, 1)], 9) == [sale(6, 17, 1)]
    assert best_that_fit(FACTORY, [sale(1, 17)], 0) == []


def test_of_equal_offers_the_first_stays():
    assert best_that_fit(FACTORY, [sale(5, 17, 0), sale(5, 17, 1)], 9) == [sale(5, 17, 0)]


@pytest.mark.parametrize(
    ("day", "room", "expected"),
    [
        # Each day between costs 3 %. From the next day to the one after: 33 * 0.97 = 32.01 outdoes 32, but not 33 ...
        (0, [0, 32, 33], (2, 33)),
        (0, [0, 33, 34], (1, 33)),  # ... and 34 * 0.97 = 32.98 does not outdo 33.
        (2, [33, 32, 0], (0, 33)),  # Days before the wanted one are as far.
        (2, [34, 33, 0], (1, 33)),
        # Three days are 0.97 ** 3: 0.45 * 100 * 0.912673 = 41.07.
        (0, [41, 0, 0, 100], (3, 100)),
        (0, [42, 0, 0, 100], (0, 42)),
        # The next day is worth 0.45 * 0.97 = 0.4365 of the wanted one.
        (0, [43, 100], (1, 100)),
        (0, [44, 100], (0, 44)),
        # Never more units than wanted, however much room there is.
        (1, [500, 99, 500], (1, 99)),
        (1, [500, 500, 500], (1, 100)),
        (1, [500, 20, 500], (0, 100)),  # of equal ones the first
    ],
)
def test_the_nearest_substitute(day, room, expected):
    wanted = Offer(3, Role.SUPPLIER, day, 100, 11, accepted=True)
    assert best_substitute(wanted, room) == Offer(3, Role.SUPPLIER, *expected, 11, accepted=False)


@pytest.mark.parametrize("room", [[], [0, 0], [-3, 0, -1]])
def test_without_room_there_is_no_substitute(room):
    assert best_substitute(sale(5, 17), room) is None


def test_an_offer_is_ones_own_unless_it_is_said_to_be_the_partners():
    assert Offer(0, Role.SUPPLIER, 1, 2, 3).accepted is False


def test_a_single_unit_on_another_day_is_better_than_nothing():
    assert best_substitute(sale(1, 17, delivery=0), [0, 0, 1]) == Offer(0, Role.CONSUMER, 2, 1, 17)
    assert best_substitute(sale(1, 17, delivery=0), [1, 1]) == Offer(0, Role.CONSUMER, 0, 1, 17)
