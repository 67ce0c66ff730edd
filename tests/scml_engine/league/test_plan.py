"""Which worlds are played: the same for every variant."""

from __future__ import annotations

from collections import Counter

import pytest

from scml_engine.league.errors import RefusedError
from scml_engine.league.plan import Plan, Variant, parse_levels, parse_pool, parse_seeds, parse_variants

VARIANTS = (Variant("penguin", "none"), Variant("penguin", "certain"), Variant("as0", "none"))
POOL = ("penguin", "greedy", "syncrandom")


def plan(variants=VARIANTS, seeds=range(100, 140), levels=(2, 3)):
    return Plan(variants, POOL, seeds, 50, levels, 4, "engine")


def without_focal(world):
    return [
        [seat for place, seat in enumerate(level) if place != focal]
        for level, focal in zip(world.spec.seats, world.focal, strict=True)
    ]


def test_variants_meet_the_same_world_in_the_same_places():
    worlds = list(plan().worlds())
    assert len(worlds) == 40 * 3
    for first, *others in zip(*[iter(worlds)] * 3, strict=True):
        for other in others:
            assert other.focal == first.focal
            assert without_focal(other) == without_focal(first)
            assert other.conditions == first.conditions
            assert (other.spec.seed, other.spec.config_seed) == (first.spec.seed, None)
    assert len({world.conditions for world in worlds}) == 40


def test_the_variant_sits_on_every_level_once():
    for world in plan().worlds():
        chosen = [level[place] for level, place in zip(world.spec.seats, world.focal, strict=True)]
        assert {(seat.policy, seat.shield) for seat in chosen} == {(world.variant.policy, world.variant.shield)}
        assert world.factories == {f"{level}.{place}" for level, place in enumerate(world.focal)}
        assert {seat.shield for level in without_focal(world) for seat in level} == {"none"}


def test_numbers_of_levels_take_turns():
    assert [len(world.focal) for world in plan(VARIANTS[:1], range(100, 104)).worlds()] == [2, 3, 2, 3]


def test_places_and_policies_are_drawn_evenly():
    worlds = list(plan(VARIANTS[:1], range(600)).worlds())
    places = Counter(place for world in worlds for place in world.focal)
    policies = Counter(seat.policy for world in worlds for level in without_focal(world) for seat in level)
    for counts in (places, policies):  # within five standard deviations
        total, share = counts.total(), 1 / len(counts)
        assert all(abs(n - total * share) < 5 * (total * share) ** 0.5 for n in counts.values())
    assert sorted(policies) == sorted(POOL)
    assert sorted(places) == [0, 1, 2, 3]


def test_a_seed_is_the_same_world_in_any_comparison():
    alone = next(iter(plan((VARIANTS[2],), range(110, 111)).worlds()))
    among = next(w for w in plan().worlds() if w.spec.seed == 110 and w.variant == VARIANTS[2])
    assert alone == among


def test_names_are_file_names():
    assert [world.name for world in plan(seeds=range(7, 8)).worlds()] == [
        "penguin_s0007",
        "penguin-certain_s0007",
        "as0_s0007",
    ]


def test_what_is_asked_for():
    assert parse_variants("penguin,penguin:certain,as0") == VARIANTS
    assert parse_variants("penguin+123:covered") == (Variant("penguin+123", "covered"),)
    dotted = "scml.std.agents.GreedyStdAgent"
    assert parse_variants(dotted)[0].policy == dotted
    assert parse_seeds("100:120") == range(100, 120)
    assert parse_levels("2,3") == (2, 3)
    assert parse_pool("greedy,greedy,penguin") == ("greedy", "greedy", "penguin")


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_variants, "pinguin", r"--policies: expected one of penguin,.*, got 'pinguin'"),
        (parse_variants, "no.such.Agent", r"--policies: .*'no.such.Agent' has no class"),
        (parse_variants, "decimal.Decimal", r"--policies: .*expected an agent class"),
        (parse_variants, "penguin:iron", r"a shield of none, certain, covered, got 'penguin:iron'"),
        (parse_variants, "penguin,,as0", r"--policies: expected names with commas"),
        (parse_variants, "as0,as0", r"--policies: expected every name once"),
        (parse_variants, "service", r"--policies: expected policies that play inside the engine, got 'service'"),
        (parse_pool, "", r"--pool: expected names"),
        (parse_seeds, "100", r"--seeds: expected FIRST:END .*, got '100'"),
        (parse_seeds, "9:9", r"--seeds: expected FIRST:END"),
        (parse_seeds, "-3:9", r"--seeds: expected FIRST:END"),
        (parse_levels, "2,1", r"--levels: expected whole numbers from 2 on .*, got '2,1'"),
        (parse_levels, "two", r"--levels"),
    ],
)
def test_what_is_refused(parse, text, complaint):
    with pytest.raises(RefusedError, match=complaint):
        parse(text)
