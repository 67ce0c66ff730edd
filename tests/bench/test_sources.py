"""Of which code a figure speaks: trees of files that are changed, moved and cut, and the measurements' own lists."""

from __future__ import annotations

import ast
import shutil

import pytest

from bench import stored
from bench.__main__ import measurements
from bench.sources import ROOT, Sources

FILES = {
    "bench/__init__.py": "",
    "bench/speed.py": """
from room.rules import step
from bench.report import Row

TITLE = "speed"
ALSO = ("data/*.yaml",)

def run():
    start("-m", "server")
    return Row(step())
""",
    "bench/report.py": "class Row:\n    limit = 3\n",
    "room/__init__.py": 'GAMES = {"chess": "room.chess:Chess", "go": "room.go:Go"}\nWHO = "server"\n',
    "room/rules.py": '"""Rules."""\n\nimport math\n\ndef step():\n    """One step."""\n    return math.floor(2.5)\n',
    "room/chess.py": "class Chess:\n    size = 8\n",
    "room/go.py": "class Go:\n    size = 19\n",
    "room/other.py": "unused = 1\n",
    "room/data/sites.csv": "a,b\n1,2\n",
    "server/__init__.py": "",
    "server/__main__.py": 'from room import GAMES\nfrom server import inner\nMORE = "server.extra"\n',
    "server/inner.py": "patience = 5\n",
    "server/extra.py": "import server.deep.well\n",
    "server/deep/well.py": "depth = 7\n",
    "data/a.yaml": "x: 1\n",
    "elsewhere.txt": "",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def look(tree, **more):
    return Sources(tree).measured("bench.speed", **more)


def digest(tree, also=("data/*.yaml",), **more):
    return look(tree, also=also, **more).digest


def edit(tree, name, old, new):
    path = tree / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_is_imported_started_looked_up_and_named_counts(tree):
    found = {str(path.relative_to(tree)) for path in look(tree, also=("data/*.yaml",)).files}
    assert found == set(FILES) - {"room/other.py", "elsewhere.txt"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("bench/speed.py", "run()", "run(quick)"),
        ("bench/speed.py", '"speed"', '"haste"'),
        ("bench/report.py", "3", "4"),
        ("room/rules.py", "2.5", "2.25"),
        ("room/rules.py", "floor", "ceil"),
        ("room/__init__.py", '"go"', '"weiqi"'),
        ("room/chess.py", "8", "9"),
        ("room/data/sites.csv", "2", "3"),
        ("server/inner.py", "5", "-5"),
        ("server/inner.py", "5", "None"),
        ("server/inner.py", "5", '""'),
        ("server/deep/well.py", "7", "8"),
        ("data/a.yaml", "1", "2"),
    ],
)
def test_a_change_is_another_code(tree, name, old, new):
    before = digest(tree)
    edit(tree, name, old, new)
    assert digest(tree) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("room/other.py", "1", "2"),
        ("elsewhere.txt", "", "more"),
        ("room/rules.py", "One step", "A step"),
        ("room/rules.py", '"""Rules."""', "# Rules\n"),
        ("room/rules.py", "import math", "import sys\nimport math"),
        ("room/rules.py", "return math", "import math\n    return math"),
        ("server/inner.py", "patience = 5", "patience = (\n    5  # seconds\n)"),
        ("bench/speed.py", "from bench", "if TYPE_CHECKING:\n    import room.other\nfrom bench"),
    ],
)
def test_what_does_nothing_is_the_same_code(tree, name, old, new):
    before = digest(tree)
    edit(tree, name, old, new)
    assert digest(tree) == before


def test_files_that_move_are_the_same_code(tree):
    before = digest(tree)
    shutil.move(tree / "room", tree / "games")
    (tree / "games/board").mkdir()
    shutil.move(tree / "games/chess.py", tree / "games/board/chess.py")
    edit(tree, "games/__init__.py", "room.chess:Chess", "games.board.chess:Chess")
    edit(tree, "games/__init__.py", "room.go:Go", "games.go:Go")
    edit(tree, "bench/speed.py", "room.rules", "games.rules")
    edit(tree, "server/__main__.py", "from room", "from games")
    assert digest(tree) == before


def test_a_file_that_is_cut_in_two_is_the_same_code(tree):
    edit(tree, "server/inner.py", "patience = 5", "patience = 5\nhaste = 6")
    before = digest(tree)
    edit(tree, "server/inner.py", "\nhaste = 6", "\nfrom server.haste import haste")
    (tree / "server/haste.py").write_text("haste = 6\n")
    assert digest(tree) == before


def test_a_table_counts_where_it_can_be_looked_up(tree):
    """``room/__init__.py`` runs whenever something below it is imported, but nobody looks anything up then."""
    edit(tree, "server/__main__.py", "from room import GAMES", "")
    before = digest(tree)
    edit(tree, "room/chess.py", "8", "9")
    assert digest(tree) == before
    edit(tree, "room/__init__.py", "WHO =", "WHOM =")
    assert digest(tree) != before


def test_games_that_are_never_looked_up_do_not_count(tree):
    before = digest(tree, without=("go",))
    edit(tree, "room/go.py", "19", "13")
    assert digest(tree, without=("go",)) == before
    edit(tree, "room/chess.py", "8", "9")
    assert digest(tree, without=("go",)) != before


def test_a_name_that_a_formatted_string_begins_may_be_any(tree):
    edit(tree, "bench/speed.py", '"-m", "server"', 'f"server.ex{1}"')
    assert tree / "server/extra.py" in look(tree).files
    assert tree / "server/inner.py" not in look(tree).files


def test_a_role_is_no_process(tree):
    """Outside the folders that launch, a package's bare name is a word."""
    edit(tree, "bench/speed.py", '"-m", "server"', "")
    assert not any("server" in str(path.relative_to(tree)) for path in look(tree).files)


def test_relative_imports(tree):
    edit(tree, "server/extra.py", "import server.deep.well", "from .deep import well")
    assert tree / "server/deep/well.py" in look(tree).files
    edit(tree, "server/extra.py", "from .deep import well", "from . import inner")
    assert tree / "server/deep/well.py" not in look(tree).files


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"also": ("data/*.json",)}, r"ALSO: expected files below .*, got none for 'data/\*\.json'"),
        ({"without": ("go", "checkers")}, "WITHOUT: expected keys of tables that it comes by, got checkers"),
    ],
)
def test_what_is_misspelt_is_refused(tree, more, said):
    with pytest.raises(ValueError, match=said):
        look(tree, **more)


def test_an_unknown_measurement_is_refused(tree):
    with pytest.raises(ValueError, match=r"bench\.spede: expected a module below"):
        Sources(tree).measured("bench.spede")


@pytest.fixture(scope="module")
def modules():
    return measurements()


def test_no_measurement_names_a_game_that_it_leaves_out(modules):
    """Nor do the experiments that it names."""
    for name, module in modules.items():
        without = set(getattr(module, "WITHOUT", ()))
        tree = ast.parse((ROOT / f"bench/{name}.py").read_text())
        statements = [node for node in tree.body if "WITHOUT" not in ast.dump(node)]
        words = {
            str(node.value).partition(":")[0]
            for statement in statements
            for node in ast.walk(statement)
            if isinstance(node, ast.Constant)
        }
        for pattern in getattr(module, "ALSO", ()):
            for path in ROOT.glob(pattern):
                if path.suffix == ".yaml":
                    words |= {
                        line.split()[-1].partition(":")[0] for line in path.read_text().splitlines() if "name: " in line
                    }
        assert not without & words, name  # fmt: skip


def test_what_measurements_leave_out_and_the_rooms_that_they_start(modules):
    sources, found = Sources(), {}
    for name, module in modules.items():
        files = stored.measured(module, sources).files
        found[name] = {str(path.relative_to(ROOT)) for path in files}
    for name, files in found.items():
        assert f"bench/{name}.py" in files
        assert not any(file.startswith("bench/results") for file in files), name
    rooms = {"env_server/__main__.py", "agent_services/__main__.py", "trainer/__main__.py", "deploy/cli.py"}
    assert rooms <= found["survival"] and rooms <= found["charging_training"]
    assert "env_server/environments/charging/data/melbourne.csv" in found["charging_equilibria"]
    assert "trainer/registry/__main__.py" in found["live_push"]
    assert "scml_engine/league/pool.py" in found["scml_unsafe"] and "analysis/scml/audit.py" in found["scml_unsafe"]
    assert "bench/peer_programs/train_agilerl.py" in found["training_peers"]
    assert not any("market" in file for file in found["charging_equilibria"] | found["mpe_parity"])
