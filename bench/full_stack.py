"""What everything costs together: a step of a real collection against the same game over a bare grpcio stream.

Ours is ``Rollout.Collect`` as trainers use it, with validation on both sides, deadlines, metrics and the trajectory
log on; the agents are authors' agents (``agora.Agent``). The bare one is ``bench.bare_game``: the same arithmetic,
messages of the same length, and nothing else.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agora.channels import connect_blocking
from agora.polling import VARIABLES
from agora.v1 import environment_pb2, policy_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.asked import Asked
from bench.peer_game import AGENTS, GAME, PeerGame, PeerGameConfig
from bench.peer_rules import WIDTH
from bench.processes import Service, free_address
from bench.report import Row
from env_server.rollout.decisions import ports_for
from env_server.rollout.frame import Frame, FramePart

TITLE = "a step with validation, deadlines, metrics and log on, against a bare grpcio ping-pong of the same bytes"
WITHOUT = ("charging", "market", "matrix", "mpe", "scml")
STEP_TARGET, SPREAD_TARGET = 1.10, 2.0
INFORMATION = "for information"
AS_PEOPLE_GET_IT = dict.fromkeys(VARIABLES, "")
STEPS = 200


def padding(copies: int) -> tuple[int, int]:
    """Bytes by which our frames and answers are longer than their arrays."""
    game = PeerGame(PeerGameConfig(), copies)
    numbers = np.arange(copies, dtype=np.uint32)
    policies = {agent: policy_pb2.PolicyReference() for agent in AGENTS}
    ports, step = ports_for(game, policies, None, numbers), game.reset(0, numbers)
    frame = Frame([FramePart(port, numbers, np.arange(copies)) for port in ports], 0)
    chunks = frame.begin(0)
    for part in frame.parts:
        frame.add(part.write(chunks, step, None, None))
    asked = len(frame.encode(10_000_000)) - len(AGENTS) * copies * WIDTH * 4
    return asked, len(AGENTS) * (copies * 4 + 48)


@dataclass
class Collection:
    """Collects through an environment server; the game itself writes down when its steps come."""

    server: str
    times: Path
    seats: Sequence[seat_pb2.Seat]
    copies: int

    def median(self, blocks: int) -> float:
        """Seconds a step."""
        self.times.write_text("")
        config = json.dumps({"episode_steps": STEPS, "times": str(self.times)})
        request = rollout_pb2.CollectRequest(
            run="bench", seed=1, num_blocks=blocks, deadline_us=10_000_000, log=True, seats=self.seats,
            environment=environment_pb2.EnvironmentSpec(name="peer_game", config_json=config, num_envs=self.copies),
        )  # fmt: skip
        with connect_blocking(self.server) as channel:
            for _ in rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request):
                pass
        lines = self.times.read_text().splitlines()
        return statistics.median(float(seconds) for line in lines for seconds in json.loads(line))


def measure(copies: int, repeats: int, blocks: int) -> list[tuple[float, float, float, float]]:
    """Medians taken in turn: ours in one service, ours in four, bare, and bare with our setting of gRPC."""
    pads = padding(copies)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Service("env_server", ["--game", GAME, "--log-directory", str(folder)]))
        services = [stack.enter_context(Service("bench.peer_game")) for _ in range(1 + len(AGENTS))]
        together = [seat_pb2.Seat(agent=agent, addresses=[services[0].address]) for agent in AGENTS]
        apart = [seat_pb2.Seat(agent=a, addresses=[s.address]) for a, s in zip(AGENTS, services[1:], strict=True)]
        ours = [Collection(server.address, folder / "times", seats, copies) for seats in (together, apart)]
        bare = [_bare(stack, copies, pads, variables) for variables in (AS_PEOPLE_GET_IT, VARIABLES)]
        found = []
        for repeat in range(repeats + 1):
            one, four = (collection.median(blocks) for collection in ours)
            plain, tuned = (process.ask(blocks * STEPS) for process in bare)
            if repeat:
                found.append((one, four, plain, tuned))
    return found


def _bare(stack: ExitStack, copies: int, pads: tuple[int, int], variables: Mapping[str, str]) -> Asked:
    address, module = free_address(), "bench.bare_game"
    sizes = ["--copies", str(copies), "--pad"]
    server = Service(module, [*sizes, str(pads[1])], address, variables=variables)
    stack.enter_context(_unwaited(server))
    return stack.enter_context(Asked(module, ["--drive", address, *sizes, str(pads[0])], variables=variables))


def _unwaited(service: Service) -> ExitStack:
    """A service without a health service, as a context."""
    stack = ExitStack()
    stack.callback(service.stop)
    service.start(wait=False)
    return stack


def run(quick: bool) -> list[Row]:
    """Measure."""
    repeats, blocks = (3, 2) if quick else (9, 5)
    rows = []
    for copies in (1, 256):
        found = measure(copies, repeats, blocks)
        name = f"{copies} copies" if copies > 1 else "1 copy"
        ratios = [one / bare for one, _, bare, _ in found]
        spread = [four / one for one, four, _, _ in found]
        rows += [
            _row(f"full step / bare step, {name}", ratios, STEP_TARGET),
            _row(f"four services / one, {name}", spread, SPREAD_TARGET),
            Row(
                f"full step / bare step with our setting of gRPC, {name}",
                [one / tuned for one, _, _, tuned in found],
                "x",
                INFORMATION,
                True,
            ),
            Row(f"full step, {name}", [1e6 * one for one, _, _, _ in found], "us", INFORMATION, True),
            Row(f"bare step, {name}", [1e6 * bare for _, _, bare, _ in found], "us", INFORMATION, True),
        ]
    return rows


def _row(name: str, ratios: list[float], target: float) -> Row:
    return Row(name, ratios, "x", f"<= {target}", statistics.median(ratios) <= target)
