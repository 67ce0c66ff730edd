"""Measurements beside software of others that is not on this machine: what is there is measured, the rest is named."""

from __future__ import annotations

import pytest

from bench import abides, book_speed, conformance, openenv, peers, training_peers
from bench.report import Verdict

pytestmark = pytest.mark.usefixtures("nothing")


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """No peers anywhere."""
    for module in (abides, book_speed, peers, training_peers):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(openenv, "CHECKER", tmp_path / "openenv")
    monkeypatch.setenv("PATH", "")


def test_services_against_others(monkeypatch):
    monkeypatch.setattr(peers, "ours", lambda stack: (lambda seconds: 30.0, lambda seconds: 20.0))
    makers = {**peers.MAKERS, "dm_env_rpc": lambda stack: lambda seconds: 2.0}
    makers["a PettingZoo loop in one process"] = lambda stack: lambda seconds: 3.0
    monkeypatch.setattr(peers, "MAKERS", makers)
    rows = {row.name: row for row in peers.run(quick=True)}
    assert rows["ours / dm_env_rpc"].values == [15.0, 15.0]
    assert rows["ours / dm_env_rpc"].verdict == Verdict.HOLDS
    assert rows["ours / a PettingZoo loop in one process"].verdict == Verdict.FALLS_SHORT
    for name, peer in (("OpenEnv", "openenv"), ("Ray actors", "ray")):
        assert rows[f"ours / {name}"].verdict == Verdict.NOT_MEASURED
        assert f'make peers PEERS="{peer}"' in rows[f"ours / {name}"].target
        assert name not in rows


def test_a_checker():
    (row,) = openenv.run(quick=True)
    assert row.verdict == Verdict.NOT_MEASURED and "make peers PEERS=openenv" in row.target


def test_other_engines(monkeypatch):
    for name in ("one_book", "many_books", "delayed", "oracle", "_shared"):
        monkeypatch.setattr(book_speed, name, lambda messages: 3e7)
    monkeypatch.setattr(book_speed.peers, "bourse_speed", lambda messages, made: 1e6)
    found = {row.name: row.verdict for row in book_speed.run(quick=True)}
    assert found["ours over bourse"] == Verdict.HOLDS
    for name in book_speed.PEERS:
        assert found[f"ours over {name}"] == Verdict.NOT_MEASURED


def test_other_learners(monkeypatch):
    point = {"steps": 10.0, "cpu_seconds": 2.0, "wall_seconds": 2.0, "return": -1.0, "se": 0.1}
    monkeypatch.setattr(training_peers, "ours", lambda *about: [point])
    monkeypatch.setattr(training_peers, "train", lambda *about: [point])
    before = training_peers.CURVES.read_bytes()
    rows = {row.name: row for row in training_peers.run(quick=True)}
    assert training_peers.CURVES.read_bytes() == before, "a quick answer is no result"
    assert rows["ours, MADDPG / textbook MADDPG, steps per CPU-second"].values == [1.0]
    assert rows["ours, MADDPG / AgileRL MADDPG"].verdict == Verdict.NOT_MEASURED
    assert 'make peers PEERS="agilerl"' in rows["ours, MADDPG / AgileRL MADDPG"].target


def test_another_market(monkeypatch, tmp_path):
    monkeypatch.delenv(abides.FOLDER, raising=False)
    (nowhere,) = abides.rows(quick=True)
    assert nowhere.verdict == Verdict.NOT_MEASURED and f"git clone {abides.SOURCE}" in nowhere.target
    monkeypatch.setenv(abides.FOLDER, str(tmp_path))
    (unbuilt,) = abides.rows(quick=True)
    assert unbuilt.verdict == Verdict.NOT_MEASURED and "make peers PEERS=abides" in unbuilt.target


def test_agents_in_javascript():
    (row,) = conformance._node()
    assert row.verdict == Verdict.NOT_MEASURED and "Node.js" in row.target
