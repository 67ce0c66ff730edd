"""What a process that uses the package writes without being asked."""

from __future__ import annotations

import os
import subprocess
import sys

PEER_STOPS = """
import agora, grpc, os, sys, time
from concurrent.futures import ThreadPoolExecutor

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(self.talk)

    def talk(self, requests, context):
        for _ in range(100):
            yield b"x"
            time.sleep(0.05)

server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Handler(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
call = grpc.insecure_channel(f"127.0.0.1:{port}").stream_stream("/a/b")(iter([b"y"]))
next(call)
server.stop(None).wait()
try:
    list(call)
except grpc.RpcError as error:
    print(error.code().name)
sys.stdout.flush()
os._exit(0)
"""


def test_a_peer_that_stops_during_a_call_is_an_error_and_not_a_line_on_stderr() -> None:
    variables = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run([sys.executable, "-c", PEER_STOPS], env=variables, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("UNAVAILABLE\n", "")
