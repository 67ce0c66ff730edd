"""Names of environments, and what a caller must not reach through them."""

import os
import subprocess
import sys

import pytest

from agora.errors import Refused
from agora.v1 import environment_pb2 as pb, policy_pb2
from env_server.environments import make
from env_server.environments.pettingzoo.source import ALLOWED, Source, allow

UNKNOWN, CONFIG = policy_pb2.REASON_UNKNOWN_ENVIRONMENT, policy_pb2.REASON_CONFIG
OURS = (*ALLOWED, "tests.support.zoo")


def refused(name, config="{}"):
    with pytest.raises(Refused) as caught:
        make(pb.EnvironmentSpec(name=name, config_json=config, num_envs=1))
    return caught.value


@pytest.fixture
def allowed(monkeypatch):
    monkeypatch.setattr("env_server.environments.pettingzoo.env.ALLOWED", list(OURS))


def test_values_are_json_where_they_can_be_and_strings_otherwise():
    text = "a.b:make?n=2&x=true&y=1.5&z=null&w=%5B1%2C2%5D&word=hello%20you&empty=&quoted=%222%22"
    source = Source.parse(text, ["a"])
    assert (source.module, source.factory) == ("a.b", "make")
    assert source.keywords == {
        "n": 2, "x": True, "y": 1.5, "z": None, "w": [1, 2], "word": "hello you", "empty": "", "quoted": "2",
    }  # fmt: skip
    assert Source.parse("a", ["a"]) == Source("a", "", {})


@pytest.mark.parametrize(
    "text",
    ["", "?n=2", "a?n", "a?n=1&&m=2", "a?n=1&n=2", ":a", "a:", "a:b.c", "a:_b", "a:b:c", "a..b", "../a", "a/b", "a b"],
)
def test_malformed_names_are_refused(text):
    with pytest.raises(Refused) as caught:
        Source.parse(text, ["a"])
    assert caught.value.reason == UNKNOWN and caught.value.field == "environment.name"


@pytest.mark.parametrize(
    "name",
    [
        "os:system?command=touch%20PWNED",
        "subprocess:Popen?args=touch%20PWNED",
        "builtins:eval?source=1",
        "pettingzoo_evil",
        "pettingzoo.classical",
        "pettingzoo.utils.deprecated_module:deprecated_handler?env_name=spy&module_path=.&module_name=spy",
        "pettingzoo:make?id=spy:env",
        "mpe2x.simple_v3",
        "env_server.environments.charging:Charging",
        "spy",
        "spy:env",
        "spy.mpe2",
    ],
)
def test_a_caller_reaches_nothing_but_allowed_modules(name, tmp_path, monkeypatch):
    (tmp_path / "spy.py").write_text("open('SEEN', 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    refusal = refused(f"pettingzoo:{name}")
    assert refusal.reason == UNKNOWN and "expected a module under mpe2, pettingzoo.atari" in str(refusal)
    assert os.listdir(tmp_path) == ["spy.py"]


@pytest.mark.parametrize("name", ["time:sleep", "np", "time", "NO_FACTORY", "nothing"])
def test_what_an_allowed_module_imported_itself_is_not_reached_through_it(name, allowed):
    assert refused(f"pettingzoo:tests.support.zoo:{name}").reason == UNKNOWN


def test_a_function_of_another_module_is_not_called(allowed):
    for name in ("deprecated_handler", "api_test", "wrappers"):
        assert refused(f"pettingzoo:pettingzoo.classic:{name}").reason == UNKNOWN
    with pytest.raises(Refused) as caught:
        Source.parse("pettingzoo.classic:deprecated_handler", OURS).find(OURS)
    assert "got 'pettingzoo.utils.deprecated_module'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("pettingzoo.classic.nothing_v1", UNKNOWN, "No module named 'pettingzoo.classic.nothing_v1'"),
        ("mpe2.simple_spread_v3:nothing", UNKNOWN, "expected a function or class nothing in mpe2.simple_spread_v3"),
        ("tests.support.zoo", UNKNOWN, "parallel_env or env"),
        ("mpe2.simple_spread_v3?M=2", CONFIG, "unexpected keyword argument 'M'"),
        ("tests.support.zoo:Broken", CONFIG, "OSError: no such meadow"),
        ("tests.support.zoo:Crash", CONFIG, "its process ended with 7"),
        (
            "pettingzoo.classic.rps.rps:AgentSelector?agent_order=%5B%5D",
            UNKNOWN,
            "got 'pettingzoo.utils.agent_selector'",
        ),
        ("tests.support.zoo:no_game", CONFIG, "expected a ParallelEnv or an AECEnv, got int"),
        ("tests.support.zoo:Reader", policy_pb2.REASON_SPEC_MISMATCH, "cow.observation_space"),
        ("pettingzoo.butterfly.pistonball_v6", policy_pb2.REASON_UNSUPPORTED, "pymunk"),
    ],
)
def test_what_cannot_be_hosted_is_refused_in_words(name, reason, words, allowed):
    refusal = refused(f"pettingzoo:{name}")
    assert refusal.reason == reason and words in str(refusal)


def test_the_server_may_allow_more_modules(monkeypatch):
    monkeypatch.setattr("env_server.environments.pettingzoo.source.ALLOWED", more := list(ALLOWED))
    allow("my.games")
    allow("my.games")
    assert more == [*ALLOWED, "my.games"]
    with pytest.raises(Refused):
        allow("my games")


def test_the_server_imports_no_environment_itself():
    """What crashes while it is imported or built must not take the server with it."""
    program = (
        "import sys; from agora.v1 import environment_pb2 as pb; from env_server.environments import make\n"
        "if __name__ == '__main__':\n"
        "    make(pb.EnvironmentSpec(name='pettingzoo:mpe2.simple_v3', num_envs=1))\n"
        "    print([name for name in sys.modules if name.partition('.')[0] in ('pettingzoo', 'mpe2', 'pygame')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
