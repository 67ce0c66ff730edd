"""What is skipped for want of a tool is said at the end of a run, and is a failure where CI is set."""

import os
import subprocess
import sys

import pytest

from bench.processes import ROOT

FILES = {
    "conftest.py": "from tests.conftest import *\n",
    "test_some.py": """
import pytest

@pytest.mark.parametrize("n", range(3))
@pytest.mark.skipif(True, reason="needs Harp: make harp")
def test_marked(n): pass

def test_in_words(): pytest.skip("needs Flute: apt-get install flute")

def test_for_another_reason(): pytest.skip("not on Sundays")

def test_that_runs(): pass
""",
    "test_whole.py": """
import pytest
pytest.skip("needs Flute: apt-get install flute", allow_module_level=True)
""",
}


def run(folder, *flags, ci="", names=("test_some.py", "test_whole.py")):
    for name, text in FILES.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), "-p", "no:cacheprovider", *flags]
    variables = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *(str(folder / name) for name in names)],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("flags", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])
def test_tools_are_named_with_the_command_that_brings_them(tmp_path, flags):
    code, said = run(tmp_path, *flags)
    assert code == 0, said
    end = said[said.index("not tested, for want of a tool") :]
    assert "Flute: 2 skipped (a module counts once); apt-get install flute" in end
    assert "Harp: 3 skipped (a module counts once); make harp" in end
    assert "All of them: make tools" in end and "Sunday" not in end


@pytest.mark.parametrize("flags", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])
@pytest.mark.parametrize("name", ["test_some.py", "test_whole.py"])
def test_nothing_is_skipped_in_ci(tmp_path, flags, name):
    code, said = run(tmp_path, *flags, ci="true", names=(name,))
    assert code in (1, 2), said
    assert "nothing is skipped for want of a tool: needs Flute" in said
    if name == "test_some.py":
        assert "1 failed, 1 passed, 1 skipped, 3 errors" in said


def test_a_run_without_skips_says_nothing(tmp_path):
    code, said = run(tmp_path, "-k", "runs or another", names=("test_some.py",))
    assert code == 0 and "want of a tool" not in said
