"""What agents and policies may be called.

Ids become names of files, flags, columns of the log, keys of experiment files and parts of URLs. What one of those
gives a meaning to is refused where an id first appears, which for agents is when their game is described.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agora.errors import Refused
from agora.v1 import policy_pb2

AGENT_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
POLICY_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
RESERVED: Final = frozenset({"state", "info"})
"""Begin names of the log's columns that belong to no agent."""
_SHOWN: Final = 200


def check_agent_ids(agents: Sequence[object], field: str) -> None:
    """Refuse agents that cannot be told apart everywhere.

    Raises:
        Refused: REASON_CONFIG: no agent; an id twice; one that is no string of 1 to 64 letters, digits, '_' and '-'
            (not first), or that is reserved.
    """
    if not agents:
        raise Refused(policy_pb2.REASON_CONFIG, field, "at least one agent", "none")
    for number, agent in enumerate(agents):
        if not isinstance(agent, str) or not AGENT_ID.fullmatch(agent) or agent in RESERVED:
            expected = "1 to 64 letters, digits, '_' and '-' (not first), other than " + " and ".join(sorted(RESERVED))
            raise Refused(policy_pb2.REASON_CONFIG, f"{field}[{number}]", expected, repr(agent)[:_SHOWN])
    if len(set(agents)) != len(agents):
        twice = sorted({str(agent) for agent in agents if list(agents).count(agent) > 1})
        raise Refused(policy_pb2.REASON_CONFIG, field, "every id once", f"{', '.join(twice)} more than once"[:_SHOWN])


def check_policy_id(policy_id: str, field: str = "policy_id") -> None:
    """Refuse an id that cannot be a folder's name.

    Raises:
        Refused: REASON_UNKNOWN_POLICY: not 1 to 128 letters, digits, '.', '_' and '-', '.' and '-' not first.
    """
    if not POLICY_ID.fullmatch(policy_id):
        expected = "1 to 128 letters, digits, '.', '_' and '-', the first a letter, a digit or '_'"
        raise Refused(policy_pb2.REASON_UNKNOWN_POLICY, field, expected, repr(policy_id)[:_SHOWN])
