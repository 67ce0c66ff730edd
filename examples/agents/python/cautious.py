"""A charging station that asks what all stations asked on average in the last round.

``python cautious.py --listen 127.0.0.1:7140`` waits to be dialled by games; ``python cautious.py --join SERVER --name
NAME --token TOKEN`` dials in to a server's lobby.
"""

from typing import Any

import tyro

from agora import Agent, serve


class Cautious(Agent):
    """Never the dearest, never the cheapest."""

    def act(self, observation: Any, legal: Any) -> Any:
        """Mean prices (n, periods) of the last round's (n, stations, periods)."""
        return observation["last_round_all_prices"].mean(axis=1)


def main(listen: str | None = None, join: str | None = None, name: str | None = None, token: str = "") -> None:
    """Serve a Cautious."""
    serve(Cautious(), listen=listen, join=join, name=name, token=token)


if __name__ == "__main__":
    tyro.cli(main)
