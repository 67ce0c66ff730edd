"""What PettingZoo's own tests say of a game behind a service, and of a hosted game that fails them by itself."""

import pytest
from mpe2 import simple_v3

from bench import pettingzoo
from bench.report import Verdict

TESTS = ["parallel_api_test", "parallel_seed_test", "api_test", "seed_test", "state_test"]
SOUND = simple_v3.parallel_env, simple_v3.env


def broken():
    raise RuntimeError("no such game\nhere")


def verdicts(forms, alone):
    rows = list(pettingzoo._rows("g", forms, alone, 2))
    assert [row.name for row in rows] == [f"g: {test}" for test in TESTS]
    return dict(zip(TESTS, rows, strict=True))


def test_a_game_that_fails_behind_the_service_alone_falls_short():
    rows = verdicts((broken, broken), SOUND)
    for name in TESTS:
        assert rows[name].verdict == Verdict.FALLS_SHORT
        assert rows[name].target == "passes, but: RuntimeError: no such game here"


def test_one_of_our_own_has_nothing_to_excuse_it():
    assert {row.verdict for row in verdicts((broken, broken), None).values()} == {Verdict.FALLS_SHORT}


def test_what_a_hosted_game_fails_by_itself_is_told_with_the_reason():
    for row in verdicts((broken, broken), (broken, broken)).values():
        assert row.verdict == Verdict.TOLD and "itself fails it: RuntimeError: no such game here" in row.target


def test_a_form_that_a_hosted_game_does_not_have_is_told():
    rows = verdicts((broken, SOUND[1]), (None, SOUND[1]))
    assert [rows[name].verdict for name in ("api_test", "seed_test")] == [Verdict.HOLDS] * 2
    for name in ("parallel_api_test", "parallel_seed_test"):
        assert rows[name].verdict == Verdict.TOLD and "has no such form" in rows[name].target


class Remembers(simple_v3.raw_env):
    """Rewards grow with every episode, whatever the seed."""

    episodes = 0

    def reset(self, seed=None, options=None):
        super().reset(seed, options)
        self.episodes += 1

    def last(self, observe=True):
        seen, _, *ends = super().last(observe)
        return seen, float(self.episodes), *ends


@pytest.mark.parametrize(("turns", "said"), [(Remembers, "Incorrect reward"), (SOUND[1], "passes, but: RuntimeError")])
def test_a_hosted_game_whose_episodes_depend_on_earlier_ones_fails_seeds_by_itself(turns, said):
    row = verdicts((broken, broken), (SOUND[0], turns))["seed_test"]
    assert said in row.target and row.verdict == (Verdict.TOLD if turns is Remembers else Verdict.FALLS_SHORT)


@pytest.mark.parametrize("family", pettingzoo.FAMILIES)
def test_every_published_game_is_played_or_listed_by_what_it_lacks(family):
    hosted, lacking = pettingzoo.installed()
    told = [*hosted, *(name for names in lacking.values() for name in names)]
    published = [name for name in pettingzoo._published() if name.startswith(f"{family}.")]
    assert published and set(published) <= set(told) and len(told) == len(set(told))
