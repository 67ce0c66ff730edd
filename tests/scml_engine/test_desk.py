"""Every answer of every kind of agent passes over the desk, and is written down as it happened."""

from collections import defaultdict

import pyarrow.parquet as pq
import pytest

from scml_engine.spec import SeatSpec, WorldSpec
from scml_engine.tracker import Tracker
from scml_engine.world import run_world

FORGETFUL = "tests.support.negotiators.Forgetful"


def play(folder, days, *levels, seed=4):
    seats = tuple(tuple(SeatSpec(*policy.split(":")) for policy in level) for level in levels)
    result = run_world(WorldSpec(seed, days, seats), tracker=Tracker(folder, "w"))
    names = ("decisions", "contracts", "factories", "negotiations", "days")
    return result, {name: pq.read_table(folder / "tables" / name / "w.parquet").to_pylist() for name in names}


@pytest.mark.parametrize("shield", ["none", "certain"])
def test_offers_that_have_gone_out_count_when_the_engine_asks_for_first_proposals_again(shield, tmp_path):
    """On the last day, more units than there are lines are useless."""
    _, tables = play(tmp_path, 6, ("donothing",) * 3, (f"{FORGETFUL}:{shield}", "donothing"))
    asked = {}
    for row in tables["decisions"]:
        if row["factory"] == "1.0" and row["first"] and row["day"] == 5:
            asked[row["partner"]] = max(row["quantity"], asked.get(row["partner"], 0))
    assert sum(asked.values()) > 10 if shield == "none" else 0 < sum(asked.values()) <= 10


def test_a_contract_is_void_from_the_day_of_a_bankruptcy(tmp_path):
    _, tables = play(tmp_path, 30, ("untrained",) * 3, ("untrained",) * 3, seed=5)
    bankrupt = {row["factory"]: row["bankrupt_day"] for row in tables["factories"] if row["bankrupt_day"] >= 0}
    void = [row for row in tables["contracts"] if row["nullified_day"] >= 0]
    assert bankrupt and void
    for row in void:
        days = [bankrupt[party] for party in (row["seller"], row["buyer"]) if party in bankrupt]
        assert row["nullified_day"] == min(days) <= row["delivery"]


@pytest.mark.parametrize("policy", ["ultra", "katsudon", "greedy", "as0"])
def test_every_contract_follows_from_an_accept_that_was_written_down(policy, tmp_path):
    _, tables = play(tmp_path, 10, (policy, policy), (policy, "penguin"))
    accepts = defaultdict(list)
    for row in tables["decisions"]:
        if row["op"] == "accept":
            accepts[row["negotiation"]].append(row)
    contracts = [row for row in tables["contracts"] if not row["exogenous"]]
    assert contracts
    for contract in contracts:
        said = accepts[contract["negotiation"]][-1]
        assert said["sequence"] < contract["sequence"] and said["day"] == contract["day"]
        agreed = (contract["quantity"], contract["delivery"], contract["unit_price"])
        assert (said["quantity"], said["delivery"], said["price"]) == agreed


def test_what_a_shield_edits_is_what_the_engine_gets(tmp_path):
    _, tables = play(tmp_path, 12, ("random:certain",) * 2, ("random:covered",) * 2)
    assert any(row["edited"] for row in tables["decisions"])
    offers = defaultdict(list)
    for row in tables["decisions"]:
        if row["op"] == "reject" and row["quantity"]:
            offers[row["negotiation"]].append((row["quantity"], row["delivery"], row["price"]))
    answered = [row for row in tables["decisions"] if row["offer_quantity"]]
    assert answered
    for row in answered:
        assert (row["offer_quantity"], row["offer_delivery"], row["offer_price"]) in offers[row["negotiation"]]
