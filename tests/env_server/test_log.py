"""Every block is in the log once, whoever reads it and whatever dies."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest

from agora.channels import connect_blocking
from agora.errors import Refused
from agora.v1 import environment_pb2, policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc, seat_pb2
from bench.processes import Service
from env_server import log as log_module, parts
from env_server.log import TrajectoryLog, logged
from env_server.rollout.moments import Moments
from env_server.rollout.trajectory import AgentTrajectory, Trajectory

COPIES, STEPS = 3, 2


def trajectory(block, reward=0.0, state="s", copies=COPIES):
    shape = (STEPS, copies)
    agent = AgentTrajectory(
        observation={"": Moments([np.full(copies, block, np.float32)] * (STEPS + 1))},
        action_mask={},
        action={"": Moments([np.full(copies, block, np.int64)] * STEPS)},
        log_prob=np.zeros(shape, np.float32),
        reward=np.full(shape, reward),
        terminated=np.zeros(shape, bool),
        truncated=np.zeros(shape, bool),
        acted=np.ones(shape, np.uint8),
        policy_id="p",
        version=np.zeros((*shape, 2), np.uint64),
    )
    seen = {state: Moments([np.zeros(copies, np.float32)] * (STEPS + 1))}
    return Trajectory(block, np.arange(copies, dtype=np.uint32), seen, {}, [agent])


def write(directory, blocks, reward=0.0, run="r", **more):
    async def flushed():
        log = TrajectoryLog(directory, run, ("a",), 0.0)
        for block in blocks:
            log.add(trajectory(block, reward, **more))
        written = await log.flush()
        log.close()
        return written

    return [block.block for block in asyncio.run(flushed())]


def names(directory):
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def rewards(directory):
    """Reward by block as a user reads the log; each block has every row once."""
    table = pd.read_parquet(directory)
    assert not table.duplicated(["run", "block", "step", "copy"]).any()
    assert (table.groupby(["run", "block"]).size() == STEPS * COPIES).all()
    assert duckdb.sql(f"select count(*) from '{directory}/*.parquet'").fetchall() == [(len(table),)]
    return table.groupby("block")["a.reward"].agg(lambda values: values.unique().item()).to_dict()


def test_parts_are_named_after_their_first_and_last_block(tmp_path):
    assert write(tmp_path, [3, 4, 5]) == [3, 4, 5]
    write(tmp_path, [7])
    write(tmp_path, [10**9, 10**9 + 1])
    assert names(tmp_path) == [
        "r-000000003-000000005.parquet",
        "r-000000007-000000007.parquet",
        "r-1000000000-1000000001.parquet",
    ]
    assert [(part.first, part.last) for part in parts.parts_of(tmp_path, "r")] == [(3, 5), (7, 7), (10**9, 10**9 + 1)]


def test_rows_are_in_order_of_block_step_and_copy(tmp_path):
    write(tmp_path, range(4))
    write(tmp_path, [2, 1])
    table = pd.read_parquet(tmp_path)
    assert table[["block", "step", "copy"]].to_numpy().tolist() == [
        [block, step, copy] for block in range(4) for step in range(STEPS) for copy in range(COPIES)
    ]
    assert (table["a.action"] == table["block"]).all() and (table["a.observation"] == table["block"]).all()


@pytest.mark.parametrize(
    ("before", "again", "files"),
    [
        ([(0, 5)], (0, 5), [(0, 4)]),
        ([(0, 5)], (3, 8), [(0, 4), (5, 7)]),
        ([(3, 8)], (0, 5), [(0, 2), (3, 7)]),
        ([(0, 9)], (3, 5), [(0, 8)]),
        ([(3, 5)], (0, 9), [(0, 2), (3, 4), (5, 8)]),
        ([(0, 2), (4, 6)], (1, 8), [(0, 1), (2, 3), (4, 5), (6, 7)]),
    ],
)
def test_a_block_that_is_played_again_takes_the_place_of_its_rows(tmp_path, before, again, files):
    for first, end in before:
        write(tmp_path, range(first, end), reward=1.0)
    write(tmp_path, range(*again), reward=2.0)
    old = {block: 1.0 for first, end in before for block in range(first, end)}
    assert rewards(tmp_path) == old | dict.fromkeys(range(*again), 2.0)
    assert names(tmp_path) == [f"r-{first:09d}-{last:09d}.parquet" for first, last in files]


def test_what_older_versions_doubled_is_mended_when_it_is_played_again(tmp_path):
    log, other = tmp_path / "log", tmp_path / "other"
    write(log, range(4), reward=1.0)
    for first, last in ((2, 5), (1, 1)):
        write(other, range(first, last + 1), reward=1.0)
        name = f"r-{first:09d}-{last:09d}.parquet"
        (other / name).rename(log / name)
    for reward in (2.0, 3.0):
        write(log, range(6), reward=reward)
        assert rewards(log) == dict.fromkeys(range(6), reward)


def test_runs_in_one_folder_leave_each_other_alone(tmp_path):
    for run in ("r", "r-000000000", "r.x", "rzx"):
        write(tmp_path, range(2), run=run)
    write(tmp_path, [1], reward=2.0, run="r")
    table = pd.read_parquet(tmp_path)
    assert len(table) == 4 * 2 * STEPS * COPIES
    changed = table[table["a.reward"] == 2.0]
    assert set(changed["run"]) == {"r"} and set(changed["block"]) == {1}


@pytest.mark.parametrize("operation", range(8))
def test_a_kill_at_any_moment_of_a_write_loses_and_doubles_nothing(tmp_path, operation):
    """The writing process ends at its n-th call of the system's fsync and rename."""
    write(tmp_path, range(4), reward=1.0)
    write(tmp_path, range(6, 8), reward=1.0)
    child = os.fork()
    if not child:
        left = [operation]

        def dying(call):
            def at_last(*arguments, **named):
                if not left[0]:
                    os._exit(9)
                left[0] -= 1
                return call(*arguments, **named)

            return at_last

        os.fsync = dying(os.fsync)
        os.replace = dying(os.replace)
        type(tmp_path).replace = lambda path, target: os.replace(path, target)
        write(tmp_path, range(2, 9), reward=2.0)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    seen = rewards(tmp_path)
    assert {0, 1, 2, 3, 6, 7} <= set(seen) and seen[0] == seen[1] == 1.0
    write(tmp_path, range(2, 9), reward=2.0)
    assert rewards(tmp_path) == {0: 1.0, 1: 1.0} | dict.fromkeys(range(2, 9), 2.0)
    assert not [path for path in tmp_path.iterdir() if "draft" in path.name]


def test_many_writers_of_the_same_blocks_at_once(tmp_path):
    with ThreadPoolExecutor(6) as writers:
        ranges = [range(first % 7, first % 7 + 9) for first in range(0, 60, 5)]
        for written in writers.map(lambda blocks: write(tmp_path, blocks), ranges):
            assert written
    assert set(rewards(tmp_path)) == set().union(*ranges)
    assert names(tmp_path) == sorted(path.name for path in tmp_path.iterdir())


def test_a_folder_has_one_writer_at_a_time(tmp_path):
    """One holds the lock while the others ask for it; whoever gets it finds nobody inside."""
    inside, most, turns = [0], [0], []

    def enter(number):
        with parts.locked(tmp_path):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            os.sched_yield()
            turns.append(number)
            inside[0] -= 1

    with ThreadPoolExecutor(8) as threads:
        for entered in [threads.submit(enter, number) for number in range(400)]:
            entered.result()
    assert most == [1] and sorted(turns) == list(range(400))
    assert not list(tmp_path.iterdir())


def test_what_is_due_is_told_by_rows_bytes_and_time(tmp_path, monkeypatch):
    clock = [0.0]
    log = TrajectoryLog(tmp_path, "r", ("a",), 0.0, now=lambda: clock[0])
    clock[0] = 100.0
    assert not log.due
    log.add(trajectory(0))
    assert not log.due
    clock[0] += 4.9375
    log.add(trajectory(1))
    assert not log.due
    clock[0] += 0.0625
    assert log.due
    monkeypatch.setattr(log_module, "SECONDS_PER_PART", np.inf)
    assert not log.due
    monkeypatch.setattr(log_module, "ROWS_PER_PART", 2 * STEPS * COPIES)
    assert log.due
    monkeypatch.setattr(log_module, "ROWS_PER_PART", 2 * STEPS * COPIES + 1)
    assert not log.due
    monkeypatch.setattr(log_module, "BYTES_PER_PART", 2 * trajectory(0).nbytes)
    assert log.due
    monkeypatch.setattr(log_module, "BYTES_PER_PART", 2 * trajectory(0).nbytes + 1)
    assert not log.due


def test_a_part_holds_65536_rows_or_64_mebibytes(tmp_path):
    log = TrajectoryLog(tmp_path, "r", ("a",), 0.0, now=lambda: 0.0)
    for copies in (65_536 // STEPS - 1, 1):
        assert not log.due
        log.add(trajectory(0, copies=copies))
    assert log.due
    log.close()
    large = SimpleNamespace(steps=1, copies=[0], nbytes=32 * 2**20 - 1)
    for _ in range(2):
        log.add(large)
    assert not log.due
    large.nbytes = 2
    log.add(large)
    assert log.due
    log.close()


def test_what_was_written_no_longer_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "ROWS_PER_PART", 2 * STEPS * COPIES)
    clock = [0.0]

    async def run():
        log = TrajectoryLog(tmp_path, "r", ("a",), 0.0, now=lambda: clock[0])
        counted = log_module.ROWS._value.get()
        for block in range(2):
            log.add(trajectory(block))
        assert log.due
        assert [block.block for block in await log.flush()] == [0, 1] and not log.due
        assert log_module.ROWS._value.get() - counted == 2 * STEPS * COPIES
        clock[0] = 100.0
        log.add(trajectory(2))
        assert not log.due
        clock[0] = 105.0
        assert log.due
        assert await log.flush() and await log.flush() == [] and not log.due
        # What was added after a flush began waits for the next one.
        writing = log.flush()
        log.add(trajectory(3))
        assert await writing == []
        log.close()

    asyncio.run(run())
    assert names(tmp_path) == ["r-000000000-000000001.parquet", "r-000000002-000000002.parquet"]


def test_one_part_is_written_at_a_time_in_the_order_of_its_blocks(tmp_path, monkeypatch):
    gate, running, order = threading.Event(), [0], []

    def put(directory, run, tables):
        running[0] += 1
        assert gate.wait(60) and running[0] == 1
        order.append(list(tables))
        running[0] -= 1

    monkeypatch.setattr(log_module, "put", put)

    async def run():
        log = TrajectoryLog(tmp_path / "a" / "b", "r", ("a",), 0.0)
        writing = []
        for block in range(3):
            log.add(trajectory(block))
            writing.append(log.flush())
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*writing)
        log.add(trajectory(9))
        log.close()

    asyncio.run(run())
    assert order == [[0], [1], [2]] and not list((tmp_path / "a" / "b").iterdir())


def test_blocks_are_played_while_others_are_written_and_handed_on_as_soon_as_they_are(tmp_path, monkeypatch):
    """A part is three blocks. The first one's write begins, two more blocks are played, and then it ends."""
    monkeypatch.setattr(log_module, "ROWS_PER_PART", 3 * STEPS * COPIES)
    gate, got, parts_written, flush, write = threading.Event(), [], [], TrajectoryLog.flush, TrajectoryLog._write

    def slow(self, blocks):
        assert gate.wait(60)
        return write(self, blocks)

    def kept(self):
        parts_written.append(flush(self))
        return parts_written[-1]

    async def game():
        for block in range(4):
            yield trajectory(block)
        assert not got and len(parts_written) == 1 and not parts_written[0].done()
        gate.set()
        await asyncio.wait(parts_written)
        yield trajectory(4)
        # The second part is not full, and the first is handed on all the same.
        assert got == [0, 1, 2] and len(parts_written) == 1
        yield trajectory(5)

    async def run():
        log = TrajectoryLog(tmp_path, "r", ("a",), 0.0)
        async for block in logged(game(), log):
            got.append(block.block)
        log.close()

    monkeypatch.setattr(TrajectoryLog, "_write", slow)
    monkeypatch.setattr(TrajectoryLog, "flush", kept)
    asyncio.run(run())
    assert got == list(range(6)) and set(rewards(tmp_path)) == set(range(6))
    assert names(tmp_path) == ["r-000000000-000000002.parquet", "r-000000003-000000005.parquet"]


def test_nothing_played_is_nothing_written(tmp_path):
    async def run(fails):
        async def game():
            if fails:
                raise RuntimeError("at once")
            for block in ():
                yield block

        log = TrajectoryLog(tmp_path / "log", "r", ("a",), 0.0)
        got = [block async for block in logged(game(), log)]
        log.close()
        return got

    assert asyncio.run(run(False)) == []
    with pytest.raises(RuntimeError, match="at once"):
        asyncio.run(run(True))
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("rows", [1, 2 * STEPS * COPIES, 10**9])
@pytest.mark.parametrize("fails", [False, True])
def test_blocks_are_handed_on_when_they_are_on_disk_also_before_a_failure(tmp_path, monkeypatch, rows, fails):
    monkeypatch.setattr(log_module, "ROWS_PER_PART", rows)

    async def played():
        for block in range(5):
            yield trajectory(block, reward=1.0)
        if fails:
            raise RuntimeError("a service died")

    async def run():
        log, got = TrajectoryLog(tmp_path, "r", ("a",), 0.0), []
        try:
            async for block in logged(played(), log):
                got.append(block.block)
                assert set(got) <= set(rewards(tmp_path))
        except RuntimeError:
            got.append("died")
        log.close()
        return got

    assert asyncio.run(run()) == [*range(5), *(["died"] if fails else [])]
    assert len(names(tmp_path)) >= {1: 2, 2 * STEPS * COPIES: 2, 10**9: 1}[rows]


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="/file"):
        write(tmp_path / "file", [0])
    write(tmp_path, range(3))
    with pytest.raises(Refused, match=r"CONFIG: run: .* every game; .*000000002\.parquet has rows of another"):
        write(tmp_path, [1], state="other")
    (tmp_path / "r-000000000-000000002.parquet").write_bytes(b"PAR1")
    with pytest.raises(Refused, match=r"INTERNAL: log: expected .*r-000000000-000000002\.parquet to be readable"):
        write(tmp_path, [1])
    assert write(tmp_path, range(3)) == [0, 1, 2]
    with pytest.raises(Refused, match="CONFIG: run"):
        TrajectoryLog(tmp_path, "a/b", ("a",), 0.0)


# Real processes.

AGENTS = ("player_0", "player_1")


@pytest.fixture(scope="module")
def minds():
    flags = [flag for agent in AGENTS for flag in ("--policy-id", agent)]
    with Service("agent_services", ["--policy", "scripted:random", *flags]) as service:
        yield service.address


def server(folder):
    return Service("env_server", ["--log-directory", str(folder)])


def items(address, minds, blocks, copies, first=0):
    seats = [
        seat_pb2.Seat(agent=agent, addresses=[minds], policy=policy_pb2.PolicyReference(policy_id=agent))
        for agent in AGENTS
    ]
    request = pb.CollectRequest(
        run="r",
        log=True,
        environment=environment_pb2.EnvironmentSpec(name="matrix", config_json="{}", num_envs=copies),
        seats=seats,
        seed=1,
        first_block=first,
        num_blocks=blocks,
        deadline_us=10_000_000,
    )
    channel = connect_blocking(address)
    return rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request, timeout=120)


def counts(folder):
    rows = duckdb.sql(
        f"select block, count(*), count(distinct (step, copy)) from '{folder}/*.parquet' group by all order by all"
    ).fetchall()
    assert all(total == distinct for _, total, distinct in rows)
    assert len(pd.read_parquet(folder)) == sum(total for _, total, _ in rows)
    return {block: total for block, total, _ in rows}


def test_what_was_delivered_is_on_disk_when_the_server_is_killed(tmp_path, minds):
    copies = 8192  # so that a part is full several times
    with server(tmp_path) as killed:
        got = []
        for item in items(killed.address, minds, 60, copies):
            if item.segment.last:
                got.append(item.segment.block)
            if len(got) == 19:
                killed.kill()
                break
    steps = counts(tmp_path)
    assert set(got) <= set(steps) and len(got) == 19
    with server(tmp_path) as again:
        assert sum(item.segment.last for item in items(again.address, minds, 60 - 19, copies, first=19)) == 41
    steps = counts(tmp_path)
    assert set(steps) == set(range(60)) and len(set(steps.values())) == 1


def test_the_same_collections_at_once_on_one_server_and_on_two(tmp_path, minds):
    failures = []

    def collect(address, first):
        try:
            assert sum(item.segment.last for item in items(address, minds, 20, 4, first)) == 20
        except Exception as error:
            failures.append(error)

    with ExitStack() as stack:
        one, two = (stack.enter_context(server(tmp_path)) for _ in range(2))
        threads = [
            threading.Thread(target=collect, args=(service.address, first))
            for service in (one, one, two)
            for first in (0, 10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
    assert set(counts(tmp_path)) == set(range(30))
