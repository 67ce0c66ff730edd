"""Agents in a few lines, in a process of their own: what they see, what they may return, and what is refused."""

import asyncio
import re
import subprocess
import sys

import numpy as np
import pytest
from gymnasium import spaces

import agora
from agora.channels import connect, connect_blocking
from agora.codec import to_tensor
from agora.spaces import from_proto
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, policy_pb2
from bench.processes import ROOT, Service
from tests.support import frames
from tests.support.authored import CUE

PLANE = spaces.Box(0, 1, (2,))
SEEN = np.array([[0.2, 0.4], [0.6, 0.8], [0.1, 1.0]], np.float32)
CUED = np.array([[0.2, 0.4], [0.6, CUE]], np.float32)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("agents") / "log"


@pytest.fixture(scope="module")
def address(log):
    with Service("tests.support.authored", log=log) as service:
        yield service.address


def talk(address, hello, *asked):
    """The answers to a hello and to frames."""

    async def scene():
        async with connect(address) as channel:
            stream = frames.Talk(channel)
            answers = [await stream.hello(hello)]
            if answers[0].WhichOneof("kind") == "welcome":
                answers += [await stream.ask(frame) for frame in asked]
            stream.close()
            return answers

    return asyncio.run(scene())


def hello(policy, observation=PLANE, action=PLANE, **more):
    return frames.hello(policy=policy, observation=observation, action=action, **more)


def ask(address, policy, observation=SEEN, seen=PLANE, action=PLANE, mask=None, **more):
    """One agent's answer to one frame."""
    frame = frames.frame([observation] if isinstance(observation, np.ndarray) else observation, **more)
    for part in frame.agents if mask is not None else ():
        part.action_mask.extend(to_tensor(m) for m in mask)
    return talk(address, hello(policy, seen, action), frame)[-1].decisions


def refusal(answer):
    assert answer.WhichOneof("kind") == "refusal", answer
    found = answer.refusal.refusal
    return policy_pb2.Reason.Name(found.reason).removeprefix("REASON_"), found.field, found.expected, found.got


def test_a_bare_array_is_answered_by_one_and_cast(address):
    decisions = ask(address, "half")
    answer = frames.action_of(decisions)
    assert answer.dtype == np.float32
    np.testing.assert_array_equal(answer, np.array([[0.1, 0.2], [0.3, 0.4], [0.05, 0.5]], np.float32))
    assert decisions.agents[0].policy_id == "half"


def test_dicts_go_by_the_leaves_paths(address):
    seen = spaces.Dict({"near": PLANE, "far": spaces.Discrete(3)})
    done = spaces.Dict({"far": spaces.Dict({"left": spaces.Box(-1, 1, (1,))}), "kind": spaces.Discrete(4)})
    observation = [np.zeros(3, np.int64), SEEN]
    mask = [np.ones((3, 1), np.uint8), np.array([[0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]], np.uint8)]
    decisions = ask(address, "parts", observation, seen, done, mask)
    np.testing.assert_array_equal(frames.action_of(decisions, leaf=0), np.zeros((3, 1), np.float32))
    np.testing.assert_array_equal(frames.action_of(decisions, leaf=1), [2, 0, 3])


def test_choices_come_with_a_mask_even_where_all_is_legal(address):
    done = spaces.Discrete(4, start=5)
    assert frames.action_of(ask(address, "half", action=PLANE)).shape == (3, 2)
    answer = talk(address, hello("first_legal", action=done), frames.frame([SEEN]))
    assert refusal(answer[0])[0] == "SPEC_MISMATCH", "0 is not among 5..8"
    zero = ask(address, "first_legal", action=spaces.Discrete(4))
    np.testing.assert_array_equal(frames.action_of(zero), [0, 0, 0])


def test_an_illegal_choice_is_refused_and_the_next_frame_answered(address):
    bad, good = frames.frame([SEEN], sequence=1), frames.frame([SEEN], sequence=2)
    bad.agents[0].action_mask.append(to_tensor(np.array([[1, 1], [1, 0], [1, 1]], np.uint8)))
    _, refused, answered = talk(address, hello("stubborn", action=spaces.Discrete(2)), bad, good)
    reason, field, expected, got = refusal(refused)
    assert (reason, field) == ("MODEL", "agents[0].act")
    assert "legal" in expected and "1 in row 1" in got
    np.testing.assert_array_equal(frames.action_of(answered.decisions), [1, 1, 1])


RUBBISH = {
    "shape": ("float32 [2, 2]", "float64 [2]"),
    "rows": ("float32 [2, 2]", "[1, 2]"),
    "type": ("or other numbers", "str"),
    "complex": ("or other numbers", "complex128"),
    "nothing": ("float32 [2, 2]", "a NoneType"),
    "ragged": ("float32 [2, 2]", "a list: "),
    "nan": ("finite numbers", "nan at [1, 1]"),
    "huge": ("finite numbers", "inf at [1, 1]"),
    "outside": ("[0.0, 1.0]", "1.5 at [1, 1]"),
    "dict": ("float32 [2, 2]", "a dict"),
}


@pytest.mark.parametrize("policy", RUBBISH)
def test_rubbish_is_refused_in_words_and_the_stream_lives_on(address, policy):
    expected, got = RUBBISH[policy]
    bad, good = frames.frame([CUED], sequence=8), frames.frame([SEEN], sequence=9)
    welcome, refused, answered = talk(address, hello(policy), bad, good)
    assert welcome.WhichOneof("kind") == "welcome"
    found = refusal(refused)
    assert found[:2] == ("MODEL", "agents[0].act")
    assert expected in found[2] and got in found[3], found
    assert answered.decisions.sequence == 9


def test_an_exception_is_an_incident_and_its_traceback_stays_with_the_author(address, log):
    bad, good = frames.frame([CUED], sequence=8), frames.frame([SEEN], sequence=9)
    _, refused, answered = talk(address, hello("nervous"), bad, good)
    reason, _, _, got = refusal(refused)
    assert reason == "INTERNAL" and "secret" not in str(refused)
    assert answered.decisions.sequence == 9
    incident = re.search(r"[0-9a-f]{12}", got).group()
    text = log.read_text()
    assert incident in text and "a secret of the author" in text


def test_an_agent_that_never_answers_well_is_refused_at_the_hello(address):
    (unwritten,) = talk(address, hello("unwritten"))
    assert refusal(unwritten)[:3] == ("SPEC_MISMATCH", "agents[0].act", "spaces that Agent plays")
    assert refusal(unwritten)[3].startswith("NotImplementedError, incident ")
    (wrong,) = talk(address, hello("half", action=spaces.Box(0, 1, (3,))))
    assert refusal(wrong) == (
        "SPEC_MISMATCH",
        "agents[0].act",
        "float32 [64, 3], or other numbers",
        "float64 [64, 2]",
    )


@pytest.mark.parametrize("policy", ["hoarder", "neighbours"])
def test_what_breaks_the_contract_is_found_at_the_hello(address, policy):
    (answer,) = talk(address, hello(policy))
    assert refusal(answer)[:3] == ("MODEL", "agents[0].model", "answers that depend on their own row alone")


def test_last_bits_may_depend_on_the_batch(address):
    assert talk(address, hello("sloppy"))[0].WhichOneof("kind") == "welcome"


def test_spaces_that_an_agent_names_are_checked_and_told(address):
    assert talk(address, hello("picky"))[0].WhichOneof("kind") == "welcome"
    (answer,) = talk(address, hello("picky", observation=spaces.Box(0, 2, (2,))))
    reason, field, expected, got = refusal(answer)
    assert (reason, field) == ("SPEC_MISMATCH", "agents[0].observation_space")
    assert "[0.0, 1.0]" in expected and "[0.0, 2.0]" in got
    with connect_blocking(address) as channel:
        described = agent_pb2_grpc.AgentServiceStub(channel).DescribeAgents(pb.DescribeAgentsRequest())
    specs = {held.policy_id: held for held in described.policies}
    assert specs["picky"].kind == "python:Picky"
    assert from_proto(specs["picky"].spec.action_space) == PLANE
    assert not specs["half"].HasField("spec")


def test_memory_comes_back_row_by_row(address):
    first, second = frames.frame([SEEN], sequence=1), frames.frame([SEEN[:2]], copies=[1, 2], sequence=2, step=1)

    async def scene():
        async with connect(address) as channel:
            stream = frames.Talk(channel)
            welcome = (await stream.hello(hello("counter"))).welcome
            once = (await stream.ask(first)).decisions.agents[0]
            second.agents[0].memory = once.memory[8:]
            twice = (await stream.ask(second)).decisions
            stream.close()
            return welcome, once, twice

    welcome, once, twice = asyncio.run(scene())
    assert list(welcome.memory_bytes) == [8]
    np.testing.assert_allclose(np.frombuffer(once.memory, np.float32).reshape(3, 2), [[1, 0.2], [1, 0.6], [1, 0.1]])
    remembered = np.frombuffer(twice.agents[0].memory, np.float32).reshape(2, 2)
    np.testing.assert_allclose(remembered, [[2, 0.6 + 0.2], [2, 0.1 + 0.6]], rtol=1e-6)
    np.testing.assert_allclose(frames.action_of(twice), remembered / 8)


def test_draws_are_keyed_and_every_call_draws_anew(address):
    whole = frames.action_of(ask(address, "dice"))
    part = frames.action_of(ask(address, "dice", SEEN[:2], copies=[2, 0]))
    np.testing.assert_array_equal(part, whole[[2, 0]])
    later = frames.action_of(ask(address, "dice", step=1))
    assert (later != whole).any()


def test_each_seat_knows_its_own_agent(address):
    message = hello("seated", agents=2)
    frame = frames.frame([SEEN], agents=(0, 1))
    _, answer = talk(address, message, frame)
    np.testing.assert_allclose(frames.action_of(answer.decisions, 0), [[0.0, 0.2]] * 3)
    np.testing.assert_allclose(frames.action_of(answer.decisions, 1), [[0.1, 0.2]] * 3)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("serve(Agent())", "an address to listen on, or one to join"),
        ("serve({}, listen='127.0.0.1:0')", "at least one agent"),
        ("serve(Agent(), listen='0.0.0.0:0')", "loopback"),
    ],
)
def test_a_process_that_cannot_serve_says_why(code, words):
    done = subprocess.run(
        [sys.executable, "-c", f"from agora import Agent, serve; {code}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]


def test_importing_the_package_costs_no_numpy():
    code = "import sys, agora; assert 'numpy' not in sys.modules; from agora import Agent; agora.serve"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="nobody"):
        agora.nobody  # noqa: B018
