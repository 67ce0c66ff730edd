"""docs/doors/drive.md, as somebody pastes it."""

from pathlib import Path

from tests.support.docs import paste

PAGE = Path(__file__).parents[2] / "docs" / "doors" / "drive.md"


def test_a_game_is_driven_through_pettingzoo_gymnasium_and_a_vector(tmp_path):
    said = paste(PAGE, tmp_path)
    assert said[0].split("\n")[0] == "['station_0', 'station_1', 'station_2', 'station_3']"
    assert said[1].split() == ["128"] and said[2].split() == ["(64,)"]
