"""Everything that can be wrong in a hello or a frame is refused in words, and the stream answers on."""

import asyncio

import numpy as np
import pytest
from gymnasium import spaces

from agent_services.policies import load
from agora.agents.handler import Handler
from agora.agents.policy import Source
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.codec import to_tensor
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2
from tests.support import frames, models


def exchange(requests, shelves=None):
    """What a service answers to a list of requests."""
    if shelves is None:
        shelves = [Shelf("station_0", "onnx")]
        shelves[0].put(Held(load("onnx", Source(model=models.price_model())), NO_VERSION))

    async def talk():
        async def incoming():
            for request in requests:
                yield request

        servicer = AgentServicer(Handler(shelves))
        return [answer async for answer in servicer.Act(incoming(), None)]

    return asyncio.run(talk())


def good_frame(sequence=9):
    return frames.frame(frames.random_observation(3), sequence=sequence)


def replace(place, array):
    def change(frame):
        frame.agents[0].observation[place].CopyFrom(to_tensor(array))

    return change


def nan(frame):
    values = frames.random_observation(3)[0].copy()
    values[1, 2, 3] = np.nan
    frame.agents[0].observation[0].CopyFrom(to_tensor(values))


def edit(**fields):
    def change(frame):
        for name, value in fields.items():
            setattr(frame.agents[0], name, value)

    return change


def explore(**fields):
    return lambda frame: frame.agents[0].exploration.CopyFrom(pb.Exploration(**fields))


def truncate(frame):
    frame.agents[0].observation[0].data = frame.agents[0].observation[0].data[:-1]


def drop_leaf(frame):
    del frame.agents[0].observation[1]


def mask(array):
    return lambda frame: frame.agents[0].action_mask.add().CopyFrom(to_tensor(array))


PRICES = np.full((3, 4, 8), 0.5, np.float32)
FRAMES = {
    "shape": (replace(0, PRICES[:, :3]), "SHAPE", "agents[0].observation[0]", "[3, 4, 8]", "[3, 3, 8]"),
    "rows": (replace(0, PRICES[:2]), "SHAPE", "agents[0].observation[0]", "[3, 4, 8]", "[2, 4, 8]"),
    "dtype": (replace(0, PRICES.astype("f8")), "DATA_TYPE", "agents[0].observation[0]", "float32", "float64"),
    "NaN": (nan, "NOT_FINITE", "agents[0].observation[0]", "finite", "nan at [1, 2, 3]"),
    "infinity": (replace(0, PRICES * np.inf), "NOT_FINITE", "agents[0].observation[0]", "finite", "inf"),
    "above": (replace(0, PRICES * 3), "OUT_OF_BOUNDS", "agents[0].observation[0]", "[0.0, 1.0]", "1.5"),
    "above one by one": (
        replace(1, np.full((3, 8), 1.5, np.float32)),
        "OUT_OF_BOUNDS",
        "agents[0].observation[1]",
        "[0.0, 1.0]",
        "1.5 at [0, 0]",
    ),
    "bytes": (truncate, "SHAPE", "agents[0].observation[0]", "384 bytes", "383 bytes"),
    "leaves": (drop_leaf, "SHAPE", "agents[0].observation", "2 leaves", "1"),
    "agent": (edit(index=7), "UNKNOWN_AGENT", "agents[0].index", "[0]", "7"),
    "policy": (
        lambda f: f.agents[0].policy.CopyFrom(policy_pb2.PolicyReference(policy_id="nobody")),
        "UNKNOWN_POLICY",
        "agents[0].policy.policy_id",
        "station_0",
        "nobody",
    ),
    "copies": (edit(copies=b"abc"), "SHAPE", "agents[0].copies", "4 bytes a number", "3 bytes"),
    "copy": (edit(copies=b"\xff" * 12), "OUT_OF_BOUNDS", "agents[0].copies", "65535", "4294967295"),
    "steps": (edit(steps=b"1234"), "SHAPE", "agents[0].steps", "3 numbers", "4 bytes"),
    "memory": (edit(memory=b"1234"), "SHAPE", "agents[0].memory", "0 bytes", "4 bytes"),
    "noise": (explore(noise_scale=-1), "OUT_OF_BOUNDS", "agents[0].exploration.noise_scale", ">= 0", "-1.0"),
    "temperature": (explore(temperature=np.nan), "NOT_FINITE", "agents[0].exploration.temperature", "finite", "nan"),
    "epsilon": (explore(epsilon=1.5), "OUT_OF_BOUNDS", "agents[0].exploration.epsilon", "at most 1", "1.5"),
    "explored rows": (explore(rows=b"11"), "SHAPE", "agents[0].exploration.rows", "3 bytes", "2"),
    "mask's type": (mask(PRICES), "DATA_TYPE", "agents[0].action_mask[0]", "uint8", "float32"),
    "mask's shape": (mask(np.ones((3, 2), np.uint8)), "SHAPE", "agents[0].action_mask[0]", "[3, 8]", "[3, 2]"),
    "exact version": (
        lambda f: f.agents[0].policy.exact_version.CopyFrom(policy_pb2.PolicyVersion(epoch=4, step=2)),
        "VERSION_UNAVAILABLE",
        "agents[0].policy.exact_version",
        "version 4-2",
        "not held",
    ),
    "no type": (
        lambda f: f.agents[0].observation[0].CopyFrom(tensor_pb2.Tensor()),
        "DATA_TYPE",
        "agents[0].observation[0]",
        "a known data type",
        "number 0",
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_bad_frame_is_refused_and_the_stream_lives_on(name):
    change, reason, field, expected, got = FRAMES[name]
    bad = good_frame(sequence=41)
    change(bad)
    requests = [
        pb.ActRequest(hello=frames.hello()),
        pb.ActRequest(decisions=bad),
        pb.ActRequest(decisions=good_frame(42)),
    ]
    welcome, refused, answered = exchange(requests)
    assert welcome.WhichOneof("kind") == "welcome"
    assert refused.refusal.sequence == 41
    refusal = refused.refusal.refusal
    assert policy_pb2.Reason.Name(refusal.reason) == f"REASON_{reason}", refusal
    assert refusal.field == field
    assert expected in refusal.expected and got in refusal.got
    assert field in refusal.message
    assert answered.decisions.sequence == 42


def test_the_agent_at_fault_is_named():
    shelves = [Shelf(f"station_{i}", "onnx") for i in range(2)]
    for shelf in shelves:
        shelf.put(Held(load("onnx", Source(model=models.price_model())), NO_VERSION))
    bad = frames.frame(frames.random_observation(3), agents=(0, 1))
    bad.agents[1].observation[1].CopyFrom(to_tensor(np.zeros((3, 9), np.float32)))
    _, refused = exchange([pb.ActRequest(hello=frames.hello(2)), pb.ActRequest(decisions=bad)], shelves)
    assert refused.refusal.refusal.field == "agents[1].observation[1]"


def doubled(hello):
    hello.agents.add().CopyFrom(hello.agents[0])


def no_space(hello):
    hello.agents[0].action_space.Clear()


def action(space):
    return lambda hello: hello.agents[0].action_space.CopyFrom(frames.hello(action=space).agents[0].action_space)


HELLOS = {
    "version": (lambda h: h.protocol_versions.__setitem__(0, 7), "PROTOCOL_VERSION", "protocol_versions", "1", "[7]"),
    "nobody": (lambda h: h.ClearField("agents"), "SHAPE", "agents", "at least one", "none"),
    "doubled": (doubled, "UNKNOWN_AGENT", "agents[1].index", "of its own", "0"),
    "policy": (
        lambda h: setattr(h.agents[0].policy, "policy_id", "nobody"),
        "UNKNOWN_POLICY",
        "agents[0].policy.policy_id",
        "station_0",
        "nobody",
    ),
    "no space": (no_space, "SPEC_MISMATCH", "agents[0].action_space", "well-formed", "nothing"),
    "width": (action(models.action_space(9)), "SPEC_MISMATCH", "agents[0].model.outputs.mean", "(B, 9)", "8"),
    "kind": (action(spaces.Discrete(3)), "SPEC_MISMATCH", "agents[0].model.outputs", "logits", "mean"),
}


@pytest.mark.parametrize("name", HELLOS)
def test_a_bad_hello_is_refused_and_ends_the_stream(name):
    change, reason, field, expected, got = HELLOS[name]
    bad = frames.hello()
    change(bad)
    answers = exchange([pb.ActRequest(hello=bad), pb.ActRequest(decisions=good_frame())])
    assert len(answers) == 1 and answers[0].refusal.sequence == 0
    refusal = answers[0].refusal.refusal
    assert policy_pb2.Reason.Name(refusal.reason) == f"REASON_{reason}", refusal
    assert refusal.field == field
    assert expected in refusal.expected and got in refusal.got


def test_a_frame_before_the_hello_is_refused_and_a_second_hello_ends_the_stream():
    say_hello = pb.ActRequest(hello=frames.hello())
    answers = exchange([pb.ActRequest(decisions=good_frame(3)), pb.ActRequest(), say_hello, say_hello, say_hello])
    reasons = [policy_pb2.Reason.Name(a.refusal.refusal.reason) for a in answers]
    assert reasons == ["REASON_NOT_READY", "REASON_UNSUPPORTED", "REASON_UNSPECIFIED", "REASON_NOT_READY"]
    assert answers[0].refusal.sequence == 3


def test_what_was_not_agreed_on_is_refused():
    bad = frames.frame(frames.random_observation(3), noise=0.1)
    _, refused = exchange([pb.ActRequest(hello=frames.hello(capabilities=[1])), pb.ActRequest(decisions=bad)])
    assert refused.refusal.refusal.reason == policy_pb2.REASON_UNSUPPORTED
    assert "CAPABILITY_EXPLORATION" in refused.refusal.refusal.expected


def test_a_fault_of_ours_names_an_incident_only():
    class Broken:
        memory_bytes = 0

        def bind(self, spaces):
            def decide(batch):
                if len(batch.draws.copies) == 3:
                    raise KeyError("secret")
                return load("scripted", Source("random")).bind(spaces)(batch)

            return decide

    shelf = Shelf("station_0", "onnx")
    shelf.put(Held(Broken(), NO_VERSION))
    say_hello = pb.ActRequest(hello=frames.hello())
    fine = pb.ActRequest(decisions=frames.frame(frames.random_observation(2)))
    _, refused, answered = exchange([say_hello, pb.ActRequest(decisions=good_frame()), fine], [shelf])
    assert refused.refusal.refusal.reason == policy_pb2.REASON_INTERNAL
    assert "secret" not in str(refused)
    assert answered.WhichOneof("kind") == "decisions"


def test_streams_close_in_any_order():
    shelf = Shelf("station_0", "onnx")
    shelf.put(Held(load("onnx", Source(model=models.price_model())), NO_VERSION))
    handler = Handler([shelf])

    async def scene():
        first, second = await handler.open(frames.hello()), await handler.open(frames.hello())
        second.close()
        first.close()

    asyncio.run(scene())
    assert not shelf.seats
