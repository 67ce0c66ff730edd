"""The environment's own payoff of joint actions, by RPC: what verification rests on."""

from __future__ import annotations

import logging
import time

import grpc
import numpy as np
from numpy.typing import NDArray

from agora.channels import connect_blocking
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused, Unavailable, explain
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc
from trainer.spec import GameSpec

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.2
LEAST_SECONDS = 2.0
"""Of the last try: with less it would find no more than that its time is up."""


class RemotePayoff:
    """Callable as ``payoff(actions, gradient)``; blocking, for use outside the event loop.

    Attributes:
        evaluations: joint actions evaluated so far.
    """

    def __init__(self, servers: list[str], spec: GameSpec, patience: float) -> None:
        self.evaluations = 0
        self._servers = servers
        self._channels = [connect_blocking(address) for address in servers]
        self._environment = spec.environment(1)
        self._patience = patience

    def __call__(
        self, actions: NDArray[np.float64], gradient: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Payoffs float64 (M, N) of joint actions float64 (M, N, A), and own-action gradients (M, N, A) or None.

        Raises:
            Refused: the actions or the game's configuration are wrong.
            Unavailable: no server answered within ``patience``.
        """
        request = pb.EvaluatePayoffRequest(
            environment=self._environment, actions=to_tensor(np.asarray(actions, np.float64)), gradient=gradient
        )
        answer = self._call(request)
        self.evaluations += len(actions)
        gradients = from_tensor(answer.gradients, "gradients") if answer.HasField("gradients") else None
        return from_tensor(answer.payoffs, "payoffs"), gradients

    def _call(self, request: pb.EvaluatePayoffRequest) -> pb.EvaluatePayoffResponse:
        give_up = time.monotonic() + self._patience
        attempt = 0
        while True:
            number = attempt % len(self._servers)
            attempt += 1
            try:
                stub = environment_pb2_grpc.EnvironmentServiceStub(self._channels[number])
                return stub.EvaluatePayoff(request, timeout=max(give_up - time.monotonic(), LEAST_SECONDS))
            except grpc.RpcError as error:
                failure = explain(error, self._servers[number])
                transient = isinstance(failure, Unavailable) or (isinstance(failure, Refused) and failure.retryable)
                if not transient or time.monotonic() > give_up:
                    raise failure from error
                log.warning("trying again for %.0f s: %s", give_up - time.monotonic(), failure)
                time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            channel.close()
