"""An agent for every way to break the contract, each with the cases of the conformance suite that must name it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.broken import memory, numbers, refusals, rows, values, words
from tests.support.sound_agent import Sound

DEFECTS: Mapping[str, type[Sound]] = {
    kind.__name__: kind
    for module in (memory, numbers, refusals, rows, values, words)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Sound) and kind.cases
}
"""By name."""
