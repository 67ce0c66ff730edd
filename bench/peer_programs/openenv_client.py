"""OpenEnv's own client, deciding for all agents of the peer game. Needs openenv-core and numpy.

``python -m bench.peer_programs.openenv_client COPIES PORT``; see ``bench.peer_rules.measure_on_request``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np
from openenv.core.generic_client import GenericEnvClient

from bench.peer_rules import AGENTS, decide, measure_on_request, weights

COPIES, PORT = int(sys.argv[1]), int(sys.argv[2])


def main() -> None:
    """Step with the asynchronous client, on a loop of its own."""
    loop = asyncio.new_event_loop()
    client = GenericEnvClient(base_url=f"http://127.0.0.1:{PORT}", max_message_size_mb=100)
    result: Any = loop.run_until_complete(client.reset())
    own = [weights(agent) for agent in range(AGENTS)]

    def step() -> None:
        nonlocal result
        seen = np.asarray(result.observation["observations"], np.float32)
        actions = np.stack([decide(*pair) for pair in zip(seen, own, strict=True)])
        result = loop.run_until_complete(client.step({"actions": actions.tolist()}))

    measure_on_request(step, COPIES)


if __name__ == "__main__":
    main()
