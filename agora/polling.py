"""How gRPC waits for messages in the processes of this project.

gRPC's event engine hands every message from its own threads to the one that waits for it. Without it the waiting thread
polls the socket itself: a bare step takes four fifths of the time (``python -m bench full_stack``). Processes that
may fork, such as training loops with clients in them, keep gRPC as it is: forking under this setting can crash.
"""

from __future__ import annotations

import os

VARIABLES = {"GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener"}


def poll_sockets() -> None:
    """Let this process wait so; it must be said before gRPC is imported. Whoever set it differently is obeyed."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
