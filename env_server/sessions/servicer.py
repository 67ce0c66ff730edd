"""``EnvironmentService``: environments for whoever drives them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2
from env_server.environments import ENVIRONMENTS, load, make
from env_server.environments.base import Environment, PayoffEnvironment, not_exiting
from env_server.rollout.collect import Workshop
from env_server.sessions.connection import Connection
from env_server.sessions.messages import describe, schema


class EnvironmentServicer(environment_pb2_grpc.EnvironmentServiceServicer):
    """See ``EnvironmentService`` in protos/agora/v1/environment.proto."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def DescribeEnvironment(  # named by the contract
        self, request: pb.DescribeEnvironmentRequest, context: Any
    ) -> pb.DescribeEnvironmentResponse:
        """Names, and one game's agents and spaces, or only what its configuration may be."""
        if not request.environment.name:
            return pb.DescribeEnvironmentResponse(names=sorted(ENVIRONMENTS))
        if request.schema_only:
            game = await asyncio.to_thread(load, request.environment.name)
            return pb.DescribeEnvironmentResponse(config_schema_json=schema(game))
        return describe(await asyncio.to_thread(make, request.environment, 1))

    async def EvaluatePayoff(  # named by the contract
        self, request: pb.EvaluatePayoffRequest, context: Any
    ) -> pb.EvaluatePayoffResponse:
        """What joint actions pay."""
        spec, environments = request.environment, self._workshop.environments
        key = (spec.name, spec.config_json, 1, "payoff")
        environment = environments.find(key)
        if environment is None:
            environment = await asyncio.to_thread(make, spec, 1)
        try:
            response = await asyncio.to_thread(_evaluate, environment, request)
        except Refused:
            await environments.give(key, environment)
            raise
        await environments.give(key, environment)
        return response

    def Connect(  # named by the contract
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: Any
    ) -> AsyncIterator[pb.ConnectResponse]:
        """Reset and step; a refused request changes nothing."""
        return Connection(self._workshop).answers(request_iterator)


def _evaluate(environment: Environment, request: pb.EvaluatePayoffRequest) -> pb.EvaluatePayoffResponse:
    if not isinstance(environment, PayoffEnvironment):
        expected = "a game that can evaluate a joint action"
        raise Refused(policy_pb2.REASON_UNSUPPORTED, "environment.name", expected, request.environment.name)
    actions = from_tensor(request.actions, "actions")
    if actions.dtype != np.float64:
        raise Refused(policy_pb2.REASON_DATA_TYPE, "actions", "float64", actions.dtype.name)
    with not_exiting():
        payoffs, gradients = environment.payoff(actions, request.gradient)
    answer = pb.EvaluatePayoffResponse(payoffs=to_tensor(payoffs))
    if gradients is not None:
        answer.gradients.CopyFrom(to_tensor(gradients))
    return answer
