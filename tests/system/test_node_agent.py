"""The agent in JavaScript, as a process: it keeps the contract and plays."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from agora.channels import connect
from agora.codec import from_tensor
from agora.v1 import environment_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.processes import ROOT, Service, free_address, wait_healthy
from tests.support.docs import paste
from tests.support.tools import needs

pytestmark = needs("Node")
EXAMPLE = "examples/agents/node"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the example and the contract, with nothing else beside them."""
    copy = tmp_path_factory.mktemp("node")
    shutil.copytree(ROOT / EXAMPLE, copy / EXAMPLE, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "protos", copy / "protos")
    return copy


@pytest.fixture(scope="module")
def agent(folder):
    subprocess.run(["npm", "ci", "--prefix", EXAMPLE], cwd=folder, check=True, capture_output=True, timeout=100)
    address = free_address()
    process = subprocess.Popen(["node", f"{EXAMPLE}/agent.js", "--listen", address], cwd=folder)
    try:
        wait_healthy(address, process=process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_it_keeps_the_contract(agent):
    command = [sys.executable, "-m", "agora.conformance", "agent", agent, "--json"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    found = json.loads(said.stdout)
    assert said.returncode == 0, [case for case in found["cases"] if case["verdict"] == "failed"]
    assert found["counts"]["passed"] >= 165
    assert found["counts"]["advice"] == 0


def collected(server, agent):
    async def main():
        request = rollout_pb2.CollectRequest(
            run="node",
            environment=environment_pb2.EnvironmentSpec(
                name="charging", config_json='{"episode_rounds": 4}', num_envs=3
            ),
            seats=[seat_pb2.Seat(agent=f"station_{i}", addresses=[agent]) for i in range(4)],
            num_blocks=1,
            deadline_us=5_000_000,
        )
        async with connect(server) as channel:
            return [answer async for answer in rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request)]

    return asyncio.run(main())


def test_it_plays_the_price_war(agent):
    with Service("env_server") as server:
        segment, summary = collected(server.address, agent)
    assert summary.summary.substituted_actions == 0
    for trajectory in segment.segment.agents:
        assert trajectory.policy_id == "middle"
        assert np.array_equal(from_tensor(trajectory.action[0]), np.full((4, 3, 8), 0.5, np.float32))


def test_the_page_about_other_languages_works_as_it_stands(folder, agent):
    _, checked, played = paste(ROOT / "docs" / "doors" / "node.md", folder)
    assert " 0 failed, " in checked.splitlines()[-1]
    assert "0 default answers" in played
