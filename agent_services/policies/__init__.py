"""The kinds of policy. A new kind is one new file here and one line in this table."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import cast

from agora.agents.policy import Policy, Source
from agora.errors import Refused
from agora.v1 import policy_pb2

KINDS = {
    "market": "agent_services.policies.market",
    "onnx": "agent_services.policies.onnx",
    "remote": "agent_services.policies.remote.oip",
    "scripted": "agent_services.policies.scripted",
    "torch": "agent_services.policies.torch",
}
"""Name → module with ``load(source: Source) -> Policy``. Imported when first used: torch and numba are large."""


def prepare(kind: str) -> ModuleType:
    """Import a kind's module, so that its first policy does not wait for that.

    Raises:
        Refused: no such kind.
    """
    if kind not in KINDS:
        raise Refused(policy_pb2.REASON_CONFIG, "policy", f"one of {', '.join(KINDS)}", kind)
    return importlib.import_module(KINDS[kind])


def load(kind: str, source: Source) -> Policy:
    """Build a policy.

    Raises:
        Refused: no such kind, or what the kind's ``load`` refuses.
    """
    return cast(Policy, prepare(kind).load(source))
