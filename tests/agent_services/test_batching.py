"""A row's answer is a function of its own observation and (seed, block, step, agent, copy), to the last bit."""

import asyncio
import itertools

import numpy as np
import pytest
from gymnasium import spaces
from onnx import helper
from safetensors.numpy import save

from agent_services.policies import load
from agora.agents.handler import Handler
from agora.agents.policy import Source
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.codec import from_tensor
from agora.v1 import agent_pb2 as pb
from tests.support import frames, models

SIZES = (1, 2, 3, 7, 16, 31, 64, 256)
MIXED = spaces.Dict(
    {
        "price": spaces.Box(-1.0, 3.0, (3,), np.float32),
        "stay": spaces.Discrete(3, start=5),
        "slots": spaces.MultiDiscrete([2, 5]),
    }
)


def stream_of(what, **kwargs):
    shelf = Shelf("station_0", "any")
    shelf.put(Held(what, NO_VERSION))
    return asyncio.run(Handler([shelf]).open(frames.hello(**kwargs)))


def decide(stream, frame):
    into = pb.Decisions()
    asyncio.run(stream.decide(frame, into))
    return into


def bytes_by_row(stream, frame):
    actions = decide(stream, frame).agents[0]
    parts = [from_tensor(t) for t in (*actions.action, actions.log_prob)]
    return [b"".join(part[row].tobytes() for part in parts) for row in range(len(parts[0]))]


def mixed_model(activation):
    """Discrete and continuous leaves with odd widths, which leave no vector whole."""
    rng = np.random.default_rng(1)
    nodes = [helper.make_node("Gemm", ["observation", "w", "b"], ["h0"]), helper.make_node(activation, ["h0"], ["h"])]
    weights = {"w": rng.normal(size=(5, 33)).astype(np.float32), "b": rng.normal(size=33).astype(np.float32)}
    outputs = {"mean.price": 3, "log_std.price": 3, "logits.stay": 3, "logits.slots": 7}
    for name, width in outputs.items():
        weights[f"{name}.w"] = rng.normal(size=(33, width)).astype(np.float32) * 0.3
        nodes.append(helper.make_node("MatMul", ["h", f"{name}.w"], [name]))
    return models.serialize(nodes, {"observation": ["B", 5]}, {n: ["B", w] for n, w in outputs.items()}, weights)


def torch_model():
    rng = np.random.default_rng(2)
    sizes = (40, 33, 8)
    tensors = {"log_std": np.full(8, -1.0, np.float32)}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        tensors[f"actor.{2 * i}.weight"] = rng.normal(size=(b, a)).astype(np.float32)
        tensors[f"actor.{2 * i}.bias"] = rng.normal(size=b).astype(np.float32)
    return save(tensors, {"activation": "elu", "output": "sigmoid"})


OBSERVATION = spaces.Box(-1.0, 1.0, (5,), np.float32)


def memory_model():
    """Counts in its memory how often it decided, and answers with that."""
    nodes = [
        helper.make_node("Add", ["memory", "one"], ["next_memory"]),
        helper.make_node("Mul", ["observation", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "next_memory"], ["mean"]),
    ]
    weights = {"one": np.ones(1, np.float32), "zero": np.zeros(1, np.float32)}
    return models.serialize(
        nodes, {"observation": ["B", 1], "memory": ["B", 1]}, {"mean": ["B", 1], "next_memory": ["B", 1]}, weights
    )


CASES = {
    "charging": lambda: (load("onnx", Source(model=models.price_model())), {}),
    "charging, odd and Elu": lambda: (load("onnx", Source(model=models.price_model(3, 4, 8, (33, 17), "Elu"))), {}),
    "mixed, Softplus": lambda: (
        load("onnx", Source(model=mixed_model("Softplus"))),
        {"observation": OBSERVATION, "action": MIXED},
    ),
    "torch": lambda: (load("torch", Source(model=torch_model())), {}),
    "random": lambda: (load("scripted", Source("random")), {"observation": OBSERVATION, "action": MIXED}),
    "undercut": lambda: (load("scripted", Source("undercut")), {}),
}


@pytest.mark.parametrize("explores", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_neither_size_nor_order_nor_subset_of_a_batch_changes_a_row(case, explores):
    policy, made_for = CASES[case]()
    stream, replica = stream_of(policy, **made_for), stream_of(CASES[case]()[0], **made_for)
    options = {"noise": 0.1, "temperature": 0.7} if explores else {}
    everything = frames.random_observation(256, space=made_for.get("observation"))
    whole = bytes_by_row(stream, frames.frame(everything, **options))
    rng = np.random.default_rng(0)
    for size in SIZES:
        copies = rng.permutation(256)[:size]
        part = frames.frame([values[copies] for values in everything], copies, **options)
        assert bytes_by_row(replica, part) == [whole[copy] for copy in copies], size


def test_rows_at_steps_of_their_own_draw_what_frames_at_that_step_draw():
    stream = stream_of(load("onnx", Source(model=models.price_model())))
    seen = frames.random_observation(6)
    steps = [4, 0, 4, 2, 0, 9]
    mixed = bytes_by_row(stream, frames.frame(seen, noise=0.1, steps=steps))
    for row, step in enumerate(steps):
        alone = frames.frame([values[row : row + 1] for values in seen], [row], noise=0.1, step=step)
        assert bytes_by_row(stream, alone) == [mixed[row]]
    assert len(set(mixed)) == 6


def test_seed_block_step_agent_and_copy_each_change_the_draws():
    policy = load("scripted", Source("random"))
    seen = frames.random_observation(2)
    base = stream_of(policy)
    other_block = frames.frame(seen)
    other_block.block = 4
    answers = [
        bytes_by_row(base, frames.frame(seen)),
        bytes_by_row(base, frames.frame(seen, step=1)),
        bytes_by_row(base, other_block),
        bytes_by_row(stream_of(policy, seed=6), frames.frame(seen)),
        bytes_by_row(stream_of(policy, agents=2, policy="station_0"), frames.frame(seen, agents=(1,))),
    ]
    assert len({row for rows in answers for row in rows}) == 10


def test_only_the_rows_named_explore():
    stream = stream_of(load("onnx", Source(model=models.price_model())))
    seen = frames.random_observation(8)
    some = frames.frame(seen, noise=0.2)
    some.agents[0].exploration.rows = bytes([0, 1] * 4)
    greedy, all_noisy = (decide(stream, frames.frame(seen, noise=noise)) for noise in (None, 0.2))
    answer = decide(stream, some)
    action, log_prob = frames.action_of(answer), from_tensor(answer.agents[0].log_prob)
    assert np.array_equal(action[::2], frames.action_of(greedy)[::2])
    assert np.array_equal(action[1::2], frames.action_of(all_noisy)[1::2])
    assert not log_prob[::2].any() and log_prob[1::2].all()
    assert not from_tensor(greedy.agents[0].log_prob).any()


def test_memory_travels_with_the_row():
    box = spaces.Box(0.0, 100.0, (1,), np.float32)
    stream = stream_of(load("onnx", Source(model=memory_model())), observation=box, action=box)
    assert list(stream.welcome().memory_bytes) == [4]
    seen, memory = [np.zeros((3, 1), np.float32)], bytes(12)
    for decision in range(1, 4):
        frame = frames.frame(seen)
        frame.agents[0].memory = memory
        answer = decide(stream, frame)
        memory = answer.agents[0].memory
        assert frames.action_of(answer).tolist() == [[decision]] * 3
        assert np.frombuffer(memory, "<f4").tolist() == [decision] * 3
