"""Frames written by hand are the messages that protobuf reads, and answers read at once are those read one by one."""

import numpy as np
import pytest
from gymnasium import spaces

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import leaves
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.environments.base import Step
from env_server.rollout.answers import AnswerReader
from env_server.rollout.decisions import AgentPort
from env_server.rollout.frame import Frame, FramePart

COPIES = np.arange(10, 15, dtype=np.uint32)
SEEN = spaces.Dict(
    {"near": spaces.Box(-1, 1, (3,), np.float32), "kind": spaces.Discrete(4), "on": spaces.MultiBinary(2)}
)
DONE = spaces.Box(-1.0, 1.0, (2,), np.float32)
MASK = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1]], np.uint8)


def port(index, done=DONE, exploration=None, explores=()):
    reference = policy_pb2.PolicyReference(policy_id=f"policy_{index}")
    more = {"explores": np.array(explores, np.uint8)} if explores else {}
    return AgentPort(index, leaves(SEEN), leaves(done), reference, exploration, **more)


def shown(masked=False):
    rng = np.random.default_rng(1)
    view = {
        "near": np.asfortranarray(rng.uniform(-1, 1, (5, 3)).astype(np.float32)),
        "kind": np.arange(5) % 4,
        "on": np.array([[0, 1], [1, 0], [1, 1], [0, 0], [1, 0]], np.int8),
    }
    flags = np.zeros((5, 2), np.bool_)
    masks = {1: {"": MASK}} if masked else {}
    other = {path: values[::-1] for path, values in view.items()}
    return Step([view, other], {}, np.zeros((5, 2)), flags, flags, ~flags, masks)


@pytest.mark.parametrize("rows", [np.arange(5), np.array([1, 4])])
@pytest.mark.parametrize("more", [False, True])
def test_a_frame_is_what_protobuf_reads(rows, more):
    exploration = pb.Exploration(noise_scale=0.5) if more else None
    ports = [port(0), port(1, exploration=exploration, explores=(0, 1, 0, 0, 1) if more else ())]
    memory = np.arange(8 * len(rows), dtype=np.uint8).reshape(len(rows), 8) if more else None
    steps = np.arange(len(rows), dtype=np.uint32) if more else None
    step, frame = shown(masked=more), Frame([FramePart(p, COPIES, rows) for p in ports], block=2**40)
    for number in (3, 300):
        chunks = frame.begin(number)
        for part in frame.parts:
            frame.add(part.write(chunks, step, memory, steps))
        frame.sequence = number
        asked = pb.ActRequest.FromString(frame.encode(5_000_000)).decisions
        assert (asked.sequence, asked.block, asked.step, asked.deadline_us) == (number, 2**40, number, 5_000_000)
        assert [part.index for part in asked.agents] == [0, 1]
        for part in asked.agents:
            assert part.copies == COPIES[rows].tobytes() and part.policy.policy_id == f"policy_{part.index}"
            values = [from_tensor(tensor) for tensor in part.observation]
            for value, leaf in zip(values, leaves(SEEN), strict=True):
                assert value.dtype == leaf.dtype
                assert np.array_equal(value, step.observations[part.index][leaf.path][rows])
            assert part.memory == (memory.tobytes() if more else b"")
            assert part.steps == (steps.tobytes() if more else b"")
        second = asked.agents[1]
        assert len(second.action_mask) == int(more) and second.HasField("exploration") == more
        assert [from_tensor(mask).tolist() for mask in second.action_mask] == [MASK[rows].tolist()] * more
        if more:
            assert list(second.exploration.rows) == [[0, 1, 0, 0, 1][row] for row in rows]


def test_an_environment_that_shows_something_else_is_refused():
    step = shown()
    step.observations[0]["near"] = step.observations[0]["near"].astype(np.float64)
    part = FramePart(port(0), COPIES, np.arange(5))
    with pytest.raises(Refused, match="near"):
        part.write([], step, None, None)


def reply(count=3, rows=5):
    said = pb.Decisions(sequence=1)
    for index in range(count):
        values = np.full((rows, 2), 0.1 * index, np.float32)
        part = said.agents.add(index=index, policy_id=f"policy_{index}", action=[to_tensor(values)])
        part.log_prob.CopyFrom(to_tensor(np.full(rows, -float(index), np.float32)))
        part.version.epoch, part.version.step = 1, index
    return said


def one_by_one(ports, said, rows=5):
    found = []
    for each, message in zip(ports, said.agents, strict=True):
        try:
            found.append(each.answer(message, rows))
        except Refused as refused:
            found.append(refused)
    return found


def same(one, other):
    if isinstance(one, Refused) or isinstance(other, Refused):
        return str(one) == str(other)
    return (
        np.array_equal(one.action[""], other.action[""])
        and np.array_equal(one.log_prob, other.log_prob)
        and np.array_equal(one.memory, other.memory)
        and (one.policy_id, one.version) == (other.policy_id, other.version)
    )


def wrong(change):
    said = reply()
    change(said.agents[1])
    return said


DEFECTS = {
    "another's": lambda part: setattr(part, "index", 7),
    "two leaves": lambda part: part.action.append(part.action[0]),
    "no leaf": lambda part: part.ClearField("action"),
    "type": lambda part: part.action[0].CopyFrom(to_tensor(np.zeros((5, 2), np.float64))),
    "shape": lambda part: part.action[0].CopyFrom(to_tensor(np.zeros((2, 5), np.float32))),
    "rows": lambda part: part.action[0].CopyFrom(to_tensor(np.zeros((4, 2), np.float32))),
    "bytes": lambda part: setattr(part.action[0], "data", part.action[0].data[:-1]),
    "bounds": lambda part: part.action[0].CopyFrom(to_tensor(np.full((5, 2), 2, np.float32))),
    "NaN": lambda part: part.action[0].CopyFrom(to_tensor(np.full((5, 2), np.nan, np.float32))),
    "log_prob": lambda part: part.log_prob.CopyFrom(to_tensor(np.full(5, np.inf, np.float32))),
    "memory": lambda part: setattr(part, "memory", b"123456"),
}


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_answers_read_at_once_are_those_read_one_by_one(defect):
    ports = [port(i) for i in range(3)]
    said = wrong(DEFECTS[defect]) if defect else reply()
    together = AnswerReader(ports, [5, 5, 5]).read(said)
    assert all(same(*pair) for pair in zip(together, one_by_one(ports, said), strict=True))
    assert isinstance(together[1], Refused) == (defect is not None)
    assert not isinstance(together[0], Refused) and not isinstance(together[2], Refused)


def test_memory_of_some_is_read():
    ports, said = [port(i) for i in range(3)], wrong(lambda part: setattr(part, "memory", bytes(range(10))))
    assert AnswerReader(ports, [5, 5, 5]).read(said)[1].memory.tolist() == [[2 * i, 2 * i + 1] for i in range(5)]


def test_agents_that_differ_are_read_beside_those_that_are_alike():
    ports = [port(0), port(1, done=spaces.Box(-9.0, 9.0, (2,), np.float32)), port(2)]
    said = wrong(lambda part: part.action[0].CopyFrom(to_tensor(np.full((5, 2), 8, np.float32))))
    together = AnswerReader(ports, [5, 5, 5]).read(said)
    assert together[1].action[""].max() == 8
    assert all(same(*pair) for pair in zip(together, one_by_one(ports, said), strict=True))


def test_another_number_of_answers_is_refused():
    with pytest.raises(Refused, match="expected 2 answers, got 3 answers"):
        AnswerReader([port(0), port(1)], [5, 5]).read(reply(3))
