"""The page about dm_env_rpc, pasted."""

from bench.processes import ROOT
from tests.support.docs import paste


def test_the_page_about_dm_env_rpc_works_as_it_stands(tmp_path):
    adaptor, copies = paste(ROOT / "docs" / "doors" / "dm_env_rpc.md", tmp_path)
    assert "['last_round_all_prices', 'own_charging_flow']" in adaptor
    assert "station_0 earned " in adaptor
    assert copies.count("prices (64, 4, 8)") == 3
