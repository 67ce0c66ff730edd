"""Policies that are written, not learned, for the negotiation of a supply chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agora.agents.policy import Batch, Chosen, Decide, Decision, Spaces
from agora.errors import Refused
from agora.negotiation.haggler import haggle
from agora.negotiation.layout import Answer
from agora.v1 import policy_pb2

SEEN = ("factory", "commitments", "slots")
DONE = {column.name.lower(): column for column in Answer}


@dataclass(frozen=True)
class Haggler:
    """``agora.negotiation.haggler``: buys what it has sold, sells what it has bought, concedes round by round."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """The same for every factory."""
        seen = [leaf.path for leaf in spaces.observation]
        done = [leaf.path for leaf in spaces.action]
        if not set(SEEN) <= set(seen) or set(done) != set(DONE):
            expected, got = f"observations {list(SEEN)} and actions {list(DONE)}", f"{seen} and {done}"
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "observation_space", expected, got)
        places = [seen.index(path) for path in SEEN]

        def decide(batch: Batch) -> Decision:
            answers = haggle(*(batch.observation[place] for place in places))
            heads = []
            for leaf in spaces.action:
                values = np.clip(answers[..., DONE[leaf.path]], leaf.low, leaf.high)
                heads.append(Chosen(values.astype(leaf.dtype)))
            return Decision(heads)

        return decide
