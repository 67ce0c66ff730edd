"""The peer game over a bare grpcio bidirectional stream: raw bytes, nothing checked, nothing kept.

``python -m bench.bare_game --listen ADDRESS --copies B --pad BYTES`` decides for all four agents;
``python -m bench.bare_game --drive ADDRESS --copies B --pad BYTES`` holds the game: for every line of standard input, a
number of steps, it prints the median time of a step in seconds. ``--pad`` makes messages as long as those they are
compared with. Nothing of this project's channels is used: gRPC is as people get it.
"""

from __future__ import annotations

import argparse
import queue
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from bench.peer_rules import ACTIONS, AGENTS, WIDTH, Floats, decide, dynamics, rewards, start, weights

METHOD = "/bench.Bare/Act"


def serve(address: str, copies: int, pad: bytes) -> None:
    """A synchronous server, a thread per stream."""
    own = [weights(agent) for agent in range(AGENTS)]
    length = AGENTS * copies * WIDTH

    def act(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            seen = np.frombuffer(request, np.float32, length).reshape(AGENTS, copies, WIDTH)
            yield b"".join([decide(*pair).tobytes() for pair in zip(seen, own, strict=True)]) + pad

    server = grpc.server(ThreadPoolExecutor(4))
    handler: Any = grpc.stream_stream_rpc_method_handler(act)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bare", {"Act": handler}),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


class Game:
    """The copies, and the stream to whoever decides."""

    def __init__(self, address: str, copies: int, pad: bytes) -> None:
        self._pad, self._shape = pad, (AGENTS, copies, ACTIONS)
        self._out: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        channel = grpc.insecure_channel(address)
        grpc.channel_ready_future(channel).result(30.0)
        stream: Any = channel.stream_stream(METHOD)
        self._answers = stream(iter(self._out.get, None))
        self._seen: Floats = start(copies)

    def step(self) -> None:
        """Ask, and act."""
        self._out.put(self._seen.tobytes() + self._pad)
        answer = next(self._answers)
        actions = np.frombuffer(answer, np.float32, int(np.prod(self._shape))).reshape(self._shape)
        self._seen = dynamics(self._seen, actions)
        rewards(actions)

    def median(self, steps: int) -> float:
        """Seconds a step."""
        moments = []
        for _ in range(steps):
            moments.append(time.perf_counter())
            self.step()
        return statistics.median(float(seconds) for seconds in np.diff(moments))


def main() -> None:
    """Serve or drive."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen")
    parser.add_argument("--drive")
    parser.add_argument("--copies", type=int, required=True)
    parser.add_argument("--pad", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.listen:
        serve(chosen.listen, chosen.copies, bytes(chosen.pad))
    else:
        game = Game(chosen.drive, chosen.copies, bytes(chosen.pad))
        print("ready", flush=True)
        for line in sys.stdin:
            print(game.median(int(line)), flush=True)


if __name__ == "__main__":
    main()
