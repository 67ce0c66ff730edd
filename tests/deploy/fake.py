"""Stands in for every process of a run: ``fake.py MODULE FLAGS``. FAKE_* variables make it misbehave."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AGENTS = ("station_0", "station_1")


def serve(address: str, environment: bool) -> None:
    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    from agora.v1 import environment_pb2 as pb, environment_pb2_grpc

    class Environment(environment_pb2_grpc.EnvironmentServiceServicer):
        def DescribeEnvironment(self, request, context):
            if "wrong" in request.environment.config_json:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "config.wrong: unknown")
            agents = [pb.DescribeEnvironmentResponse().agents.add(index=i, id=a) for i, a in enumerate(AGENTS)]
            return pb.DescribeEnvironmentResponse(
                names=["charging"], agents=agents, config_json="{}", facts_json='{"currency": "AUD"}', has_payoff=True
            )

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    checker = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if environment:
        environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(Environment(), server)
    names = ["agora.v1.EnvironmentService"] if environment else []
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    server.add_insecure_port(address)
    server.start()
    checker.set("", health_pb2.HealthCheckResponse.SERVING)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.wait_for_termination()


def train(folder: Path) -> None:
    """Write rows; the first life crashes half way if FAKE_CRASHES, and no life ends if FAKE_ENDLESS."""
    metrics = folder / "metrics.jsonl"
    resumed = metrics.exists()
    write(metrics, kind="start", time=time.time(), epoch=2 if resumed else 1, resumed=resumed)
    for number in range(1, 4):
        rewards, versions = dict.fromkeys(AGENTS, 10.0), {agent: [1, number] for agent in AGENTS}
        write(metrics, kind="round", round=number, environment_steps=100 * number, steps_per_second=50.0,
              rewards=rewards, versions=versions, noise=0.1, losses={})  # fmt: skip
        time.sleep(0.05)
        if os.environ.get("FAKE_CRASHES") and not resumed:
            sys.exit(7)
    while os.environ.get("FAKE_ENDLESS"):
        time.sleep(0.1)
    write(metrics, kind="check", round=3, environment_steps=300, nash_conv=0.5, nash_conv_estimated=0.4, relative=0.005,
          relative_estimated=0.004, ani=0.999, payoffs=dict.fromkeys(AGENTS, 50.0),
          best_response_payoffs=dict.fromkeys(AGENTS, 50.25), actions={agent: [0.25, 0.75] for agent in AGENTS},
          evaluations=10)  # fmt: skip
    write(metrics, kind="end", time=time.time(), reason="converged", round=3)


def write(path: Path, **row: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--listen")
    parser.add_argument("--run-directory", type=Path)
    known, _ = parser.parse_known_args()
    if known.module != "trainer":
        serve(known.listen, known.module == "env_server")
        return
    if os.environ.get("FAKE_REFUSES"):
        print("CONFIG: training.learner.width: expected > 0, got -1")
        sys.exit(2)
    threading.Thread(target=serve, args=(known.listen, False), daemon=True).start()
    train(known.run_directory)


if __name__ == "__main__":
    main()
