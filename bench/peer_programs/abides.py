"""Plays ABIDES' reference market rmsc04 and hands its quotes and trades back; runs in ``.peers/abides``.

``abides.py CHECKOUT SEED END FILE``: CHECKOUT is the folder of a clone of abides-jpmc-public, END the close of a
session that opens at 09:30, as HH:MM:SS. FILE becomes an .npz with ``quoted`` (Q,) and ``traded`` (N,), ns since the
open; ``best`` (Q, 2), bid and ask, 0 where a side is empty; ``signed`` (N,), shares, positive if the incoming order
bought.

ABIDES draws order sizes with pomegranate 0.14, of which there is no wheel and which pip cannot build for Python 3.11
without help. Of it, ABIDES uses one mixture's ``sample`` alone, for which ``Mixture`` stands in. Built by hand,
pomegranate 0.14.9 draws the same 200,000 numbers from the same state, and the whole day of seed 1 is the same.
"""

from __future__ import annotations

import json
import sys
import types
import warnings
from typing import Any

import numpy as np

CLASSES = {"LogNormalDistribution": "lognormal", "NormalDistribution": "normal"}


class Mixture:
    """What ABIDES uses of ``pomegranate.GeneralMixtureModel``: one sample at a time of normals and log-normals."""

    def __init__(self, weights: list[float], parts: list[tuple[str, list[float]]]) -> None:
        self._weights = np.exp(np.log(np.array(weights) / sum(weights)))
        self._parts = parts

    @classmethod
    def from_json(cls, text: str) -> Mixture:
        """A mixture as pomegranate writes it; KeyError for parts of other kinds."""
        found = json.loads(text)
        return cls(found["weights"], [(CLASSES[part["name"]], part["parameters"]) for part in found["distributions"]])

    def sample(self, random_state: np.random.RandomState) -> float:
        """One number: the part is drawn from the state, and the number from another state that it gives the seed of."""
        own = np.random.RandomState(random_state.randint(1_000_000))
        method, parameters = self._parts[random_state.choice(len(self._parts), p=self._weights)]
        return float(getattr(own, method)(*parameters))


def play(checkout: str, seed: int, end: str) -> Any:
    """The exchange's order book after a session."""
    sys.modules["pomegranate"] = types.ModuleType("pomegranate")
    sys.modules["pomegranate"].GeneralMixtureModel = Mixture
    sys.path[:0] = [f"{checkout}/abides-core", f"{checkout}/abides-markets"]
    from abides_core import abides
    from abides_markets.configs import rmsc04

    config = rmsc04.build_config(seed=seed, end_time=end, stdout_log_level="ERROR", log_orders=False, book_log_depth=1)
    state = abides.run(config, kernel_random_state=config["random_state_kernel"])
    return state["agents"][0].order_books["ABM"]


def told(book: Any, opened: int) -> dict[str, np.ndarray]:
    """Quotes and trades of a book, ns since it opened; what is bought by incoming orders is positive."""
    trades = [*book.buy_transactions, *((when, -size) for when, size in book.sell_transactions)]
    trades.sort(key=lambda trade: trade[0])
    best = [[side[0][0] if len(side) else 0 for side in (row["bids"], row["asks"])] for row in book.book_log2]
    return {
        "quoted": np.array([row["QuoteTime"] - opened for row in book.book_log2], np.int64),
        "best": np.array(best, np.float64).reshape(-1, 2),
        "traded": np.array([when - opened for when, _ in trades], np.int64),
        "signed": np.array([size for _, size in trades], np.float64),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    checkout, seed, end, file = sys.argv[1:]
    book = play(checkout, int(seed), end)
    np.savez(file, **told(book, book.owner.mkt_open))
