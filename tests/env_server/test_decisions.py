"""Agents as services know them, their answers checked, and what stands in for an answer that never came."""

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.codec import to_tensor
from agora.errors import Refused
from agora.spaces import from_proto, leaves
from agora.v1 import agent_pb2 as pb, policy_pb2, rollout_pb2
from env_server.rollout.decisions import AgentPort, agent_specs, middle, ports_for

ACTION = spaces.Dict({"kind": spaces.Discrete(3), "size": spaces.Box(0.0, 1.0, (2,), np.float32)})
SEEN = spaces.Discrete(4)
LARGEST = float(np.finfo(np.float32).max)


def port(index=1):
    return AgentPort(index, leaves(SEEN), leaves(ACTION), policy_pb2.PolicyReference(), None)


def said(index=1, rows=3, kind=None, log_prob=None, memory=b""):
    message = pb.Actions(index=index, policy_id="p", memory=memory)
    message.version.epoch, message.version.step = 4, 7
    message.action.append(to_tensor(np.arange(rows) if kind is None else kind))
    message.action.append(to_tensor(np.full((rows, 2), 0.25, np.float32)))
    message.log_prob.CopyFrom(to_tensor(np.full(rows, -2.0, np.float32) if log_prob is None else log_prob))
    return message


def test_an_answer_is_unpacked():
    answer = port().answer(said(memory=bytes(range(6))), 3)
    assert answer.action["kind"].tolist() == [0, 1, 2] and answer.action["size"].tolist() == [[0.25, 0.25]] * 3
    assert answer.log_prob.tolist() == [-2.0] * 3 and (answer.policy_id, answer.version) == ("p", (4, 7))
    assert answer.memory.tolist() == [[0, 1], [2, 3], [4, 5]] and answer.memory.dtype == np.uint8
    assert port().answer(said(), 3).memory.size == 0


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        (said(index=0), "agents[1].index", "expected 1, got 0"),
        (said(rows=2), "agents[1].action[0]", "expected [3], got [2]"),
        (said(kind=np.array([0, 1, 3])), "agents[1].action[0]", "expected [0, 2], got 3"),
        (said(log_prob=np.full(3, np.nan, np.float32)), "agents[1].log_prob", "NOT_FINITE"),
        (said(log_prob=np.zeros(2, np.float32)), "agents[1].log_prob", "expected [3], got [2]"),
        (said(log_prob=np.zeros(3, np.float64)), "agents[1].log_prob", "expected float32"),
        (said(memory=b"1234"), "agents[1].memory", "as many bytes for each of 3 rows, got 4 bytes"),
    ],
)
def test_a_wrong_answer_is_refused_by_field(message, field, words):
    with pytest.raises(Refused) as caught:
        port().answer(message, 3)
    assert caught.value.field == field and words in str(caught.value)


@pytest.mark.parametrize("leaves_sent", [1, 3])
def test_an_answer_of_another_number_of_leaves_is_refused(leaves_sent):
    message = said()
    if leaves_sent == 1:
        del message.action[1]
    else:
        message.action.append(message.action[1])
    with pytest.raises(Refused, match=rf"SHAPE: agents\[1\]\.action: expected 2 leaves, got {leaves_sent}"):
        port().answer(message, 3)


def test_a_log_probability_may_be_anything_finite():
    for value in (-LARGEST, LARGEST, 0.0):
        answer = port().answer(said(log_prob=np.full(3, value, np.float32)), 3)
        assert answer.log_prob.tolist() == [value] * 3


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Box(0.0, 1.0, (2,), np.float32), [0.5, 0.5]),
        (spaces.Box(-1.0, 3.0, (), np.float64), 1.0),
        (spaces.Box(np.array([0, 2, -4], np.float32), np.array([1, 6, -2], np.float32)), [0.5, 4.0, -3.0]),
        (spaces.Box(-np.inf, np.inf, (1,), np.float32), [0.0]),
        (spaces.Box(2.0, np.inf, (1,), np.float32), [2.0]),
        (spaces.Box(-2.0, np.inf, (1,), np.float32), [0.0]),
        (spaces.Box(-np.inf, -3.0, (1,), np.float32), [-3.0]),
        (spaces.Box(-np.inf, 3.0, (1,), np.float32), [0.0]),
        (spaces.Box(np.array([-np.inf, 1.0], np.float32), np.array([np.inf, 2.0], np.float32)), [0.0, 1.5]),
        (spaces.Box(-np.inf, np.inf, (1,), np.float64), [0.0]),
        (spaces.Box(-LARGEST, LARGEST, (1,), np.float32), [0.0]),
        (spaces.Box(-0.5 * LARGEST, 0.75 * LARGEST, (1,), np.float64), [0.125 * LARGEST]),
        (spaces.Box(-1e308, 1.5e308, (1,), np.float64), [2.5e307]),
        (spaces.Discrete(5), 0),
        (spaces.Discrete(5, start=3), 3),
        (spaces.MultiDiscrete([3, 4]), [0, 0]),
        (spaces.Box(-7, 9, (2,), np.int32), [-7, -7]),
        (spaces.Box(0, 1, (2,), np.bool_), [False, False]),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning:gymnasium.*")
def test_what_stands_in_for_an_action_that_never_was(space, expected):
    (leaf,) = leaves(space)
    found = middle(leaf, 3)
    assert found.dtype == leaf.dtype and found.tolist() == [expected] * 3
    found[0] = found[1]  # the caller's to write to
    assert found.flags.owndata and space.contains(space.dtype.type(found[1]) if not leaf.shape else found[1])


AGENTS = ("a", "b", "c")
GAME = SimpleNamespace(
    agents=AGENTS,
    observation_spaces={"a": SEEN, "b": ACTION, "c": SEEN},
    action_spaces={"a": ACTION, "b": SEEN, "c": SEEN},
)
POLICIES = {agent: policy_pb2.PolicyReference(policy_id=agent * 2) for agent in AGENTS}


def test_agents_as_messages():
    specs = agent_specs(GAME, {"b": POLICIES["b"]})
    assert [(spec.index, spec.id, spec.policy.policy_id) for spec in specs] == [
        (0, "a", ""),
        (1, "b", "bb"),
        (2, "c", ""),
    ]
    assert [spec.HasField("policy") for spec in specs] == [False, True, False]
    assert [from_proto(spec.observation_space) for spec in specs] == [SEEN, ACTION, SEEN]
    assert [from_proto(spec.action_space) for spec in specs] == [ACTION, SEEN, SEEN]


@pytest.mark.parametrize("unilateral", [None, False, True])
def test_ports_of_all_agents(unilateral):
    exploration = None
    if unilateral is not None:
        exploration = rollout_pb2.CollectExploration(
            noise_scale=1.0, temperature=2.0, epsilon=0.5, unilateral=unilateral
        )
    ports = ports_for(GAME, POLICIES, exploration, np.array([7, 1, 2, 3], np.uint32))
    assert [(port.index, port.policy.policy_id) for port in ports] == [(0, "aa"), (1, "bb"), (2, "cc")]
    assert [len(port.observation_leaves) for port in ports] == [1, 2, 1]
    assert [len(port.action_leaves) for port in ports] == [2, 1, 1]
    for port in ports:
        told = port.exploration
        assert told is None if unilateral is None else (told.noise_scale, told.temperature, told.epsilon) == (1, 2, 0.5)
    # By the copies' numbers, not their places: of three agents, 7, 1 and so on modulo 3.
    turns = [[0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert [port.explores.tolist() for port in ports] == (turns if unilateral else [[]] * 3)
    assert all(port.explores.dtype == np.uint8 for port in ports)
