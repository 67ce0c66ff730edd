"""Models behind the Open Inference Protocol, version 2: a model server is asked for every decision.

Inputs and outputs have the names that ONNX policies have (``agent_services/policies/onnx.py``). The model's metadata
must declare them, with -1 as the first axis. The model need not read every leaf, and may have outputs that nobody asks
for.

===========================  =============================  ===========================================================
``PATH``                     the leaf's own or FP32, FP64   (B, ...) input: an observation leaf; ``observation`` where
                                                            the space is one leaf
``mean`` / ``mean.PATH``     FP32 or FP64                   (B, size) output for a Box leaf, in the action's own units
``log_std[.PATH]``           FP32 or FP64                   (B, size) output, optional: the policy's own spread
``logits[.PATH]``            FP32 or FP64                   (B, choices) output for a leaf of choices
``action[.PATH]``            the leaf's own; FP32 or FP64   (B, ...) output of a model that settles the action itself;
                             for a real leaf                read where there is no ``mean`` or ``logits``
``memory``, ``next_memory``  FP32                           (B, M) input and output, optional, as for ONNX policies
===========================  =============================  ===========================================================

Parameters: ``address`` and ``model``; ``version`` (default: the server's choice) and ``timeout`` (seconds, default 2).
"""

from __future__ import annotations

import logging
import math

import numpy as np

from agent_services.policies.remote import oip_pb2 as pb
from agent_services.policies.remote.server import ModelServer
from agent_services.policies.remote.signature import Signature, match
from agent_services.policies.remote.tensors import add_input, read_output
from agora.agents.policy import Array, Batch, Decide, Decision, Source, Spaces
from agora.errors import Refused
from agora.v1 import policy_pb2

log = logging.getLogger(__name__)

REQUEST_BYTES = 3 * 1024 * 1024
"""Larger batches are asked in pieces: gRPC servers take no message above 4 MiB unless they are told to."""
MAX_TIMEOUT = 20.0
"""Seconds. Calls that last much longer see so many keepalive pings that a foreign server may hang up."""
_PARAMETERS = ("address", "model", "version", "timeout")


def load(source: Source) -> RemotePolicy:
    """A policy that a model server computes. That the server is down is only logged: agents are seated later.

    Raises:
        Refused: REASON_CONFIG: another protocol, or a parameter that is missing, unknown or out of range.
    """
    if source.name != "oip":
        raise Refused(policy_pb2.REASON_CONFIG, "policy", "remote:oip", f"remote:{source.name}")
    for key in source.parameters:
        if key not in _PARAMETERS:
            raise Refused(policy_pb2.REASON_CONFIG, f"parameter.{key}", f"one of {', '.join(_PARAMETERS)}", key)
    for key in ("address", "model"):
        if not source.parameters.get(key):
            raise Refused(policy_pb2.REASON_CONFIG, f"parameter.{key}", f"{key}=VALUE", "nothing")
    address, model, version, timeout = (source.parameters.get(key, "") for key in _PARAMETERS)
    server = ModelServer(address, model, version, _seconds(timeout or "2"))
    try:
        log.info("model server %s %s", address, "is ready" if server.is_ready() else "says that it is not ready yet")
    except Refused as error:
        log.warning("%s; agents are refused until it is there", error)
    return RemotePolicy(server)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value <= MAX_TIMEOUT:
        raise Refused(policy_pb2.REASON_CONFIG, "parameter.timeout", f"seconds above 0, up to {MAX_TIMEOUT:g}", text)
    return value


class RemotePolicy:
    """Whatever the model server holds under the model's name.

    Attributes:
        memory_bytes: as the model's metadata were when an agent was last seated.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """The decision function for an agent with these spaces; blocks while it asks for the model's metadata.

        Raises:
            Refused: the server cannot be reached (retryable), it has no such model (REASON_MODEL), or the model's
                inputs or outputs do not fit the spaces (REASON_SPEC_MISMATCH).
        """
        signature = match(self._server.metadata(), spaces)
        self.memory_bytes = 4 * signature.memory

        async def decide(batch: Batch) -> Decision:
            return signature.decision(await self._ask(signature, batch), batch.rows)

        return decide

    async def _ask(self, signature: Signature, batch: Batch) -> dict[str, Array]:
        """The outputs by name, each (n, ...)."""
        feed, outputs = signature.feed(batch), signature.outputs
        answers: dict[str, Array] = {o.name: np.empty((batch.rows, *o.shape), o.dtype) for o in outputs}
        at_once = _rows_at_once([*feed.values(), *answers.values()])
        for start in range(0, batch.rows, at_once):
            rows = slice(start, min(start + at_once, batch.rows))
            request = pb.ModelInferRequest(model_name=self._server.model, model_version=self._server.version)
            for name, values in feed.items():
                add_input(request, name, values[rows])
            for output in outputs:
                request.outputs.add(name=output.name)
            response = await self._server.infer(request)
            for output in outputs:
                read_output(response, output, answers[output.name][rows])
        return answers


def _rows_at_once(arrays: list[Array]) -> int:
    """How many rows fit into a message."""
    row_bytes = sum(array[:1].nbytes for array in arrays)
    return max(1, REQUEST_BYTES // max(row_bytes, 1))
