"""``EnvironmentService``: environments for whoever drives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import Space, leaves, ordered, to_proto
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2, tensor_pb2
from agora.version import PROTOCOL_VERSION
from env_server.environments import ENVIRONMENTS, make
from env_server.environments.base import Environment, PayoffEnvironment, Step, Values
from env_server.pool import Pool
from env_server.rollout.decisions import agent_specs


class EnvironmentServicer(environment_pb2_grpc.EnvironmentServiceServicer):
    """See ``EnvironmentService`` in protos/agora/v1/environment.proto."""

    def __init__(self, environments: Pool[Environment]) -> None:
        self._environments = environments

    async def DescribeEnvironment(  # named by the contract
        self, request: pb.DescribeEnvironmentRequest, context: Any
    ) -> pb.DescribeEnvironmentResponse:
        """Names, and one game's agents and spaces."""
        if not request.environment.name:
            return pb.DescribeEnvironmentResponse(names=sorted(ENVIRONMENTS))
        return describe(await asyncio.to_thread(make, request.environment, 1))

    async def EvaluatePayoff(  # named by the contract
        self, request: pb.EvaluatePayoffRequest, context: Any
    ) -> pb.EvaluatePayoffResponse:
        """What joint actions pay."""
        spec = request.environment
        key = (spec.name, spec.config_json, 1, "payoff")
        environment = self._environments.find(key)
        if environment is None:
            environment = await asyncio.to_thread(make, spec, 1)
        try:
            return await asyncio.to_thread(_evaluate, environment, request)
        finally:
            await self._environments.give(key, environment)

    async def Connect(  # named by the contract
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: Any
    ) -> AsyncIterator[pb.ConnectResponse]:
        """Reset and step; a refused request changes nothing."""
        environment: Environment | None = None
        async for request in request_iterator:
            try:
                kind = request.WhichOneof("kind")
                if kind == "open" and environment is None:
                    environment = await asyncio.to_thread(_open, request.open)
                    yield pb.ConnectResponse(opened=describe(environment))
                    continue
                if environment is None or kind in ("open", None):
                    raise Refused(policy_pb2.REASON_NOT_READY, "kind", "open once, then reset and step", str(kind))
                advance = _reset if kind == "reset" else _step
                step = await asyncio.to_thread(advance, environment, request)
                yield pb.ConnectResponse(transition=_transition(environment, step))
            except Refused as refused:
                yield pb.ConnectResponse(refusal=refused.to_proto())


def describe(environment: Environment) -> pb.DescribeEnvironmentResponse:
    """A built game as a message."""
    return pb.DescribeEnvironmentResponse(
        names=sorted(ENVIRONMENTS),
        agents=agent_specs(environment, {}),
        state_space=to_proto(environment.state_space),
        config_json=environment.config.model_dump_json(),
        config_schema_json=json.dumps(environment.Config.model_json_schema()),
        has_payoff=isinstance(environment, PayoffEnvironment),
        facts_json=json.dumps(environment.facts),
    )


def _open(request: pb.OpenEnvironment) -> Environment:
    if PROTOCOL_VERSION not in request.protocol_versions:
        got = str(list(request.protocol_versions))
        raise Refused(policy_pb2.REASON_PROTOCOL_VERSION, "open.protocol_versions", f"[{PROTOCOL_VERSION}]", got)
    return make(request.environment)


def _reset(environment: Environment, request: pb.ConnectRequest) -> Step:
    if request.reset.seed >= 2**63:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "reset.seed", "below 2**63", str(request.reset.seed))
    return environment.reset(request.reset.seed, np.arange(environment.num_envs, dtype=np.uint32))


def _step(environment: Environment, request: pb.ConnectRequest) -> Step:
    sent = request.step.agents
    if len(sent) != len(environment.agents):
        expected = f"{len(environment.agents)} agents"
        raise Refused(policy_pb2.REASON_SHAPE, "step.agents", expected, str(len(sent)))
    return _advance(environment, [_action(environment, i, part) for i, part in enumerate(sent)])


def _action(environment: Environment, index: int, part: pb.StepEnvironment.AgentActions) -> Values:
    members = leaves(environment.action_spaces[environment.agents[index]])
    field = f"step.agents[{index}].action"
    if len(part.action) != len(members):
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(members)} leaves", str(len(part.action)))
    values = {}
    for number, (leaf, tensor) in enumerate(zip(members, part.action, strict=True)):
        array = from_tensor(tensor, f"{field}[{number}]")
        leaf.check(array, environment.num_envs, f"{field}[{number}]")
        values[leaf.path] = array
    return values


def _advance(environment: Environment, actions: Sequence[Values]) -> Step:
    try:
        return environment.step(actions)
    except (ValueError, RuntimeError) as error:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "step", "a legal step", str(error)) from error


def _evaluate(environment: Environment, request: pb.EvaluatePayoffRequest) -> pb.EvaluatePayoffResponse:
    if not isinstance(environment, PayoffEnvironment):
        expected = "a game that can evaluate a joint action"
        raise Refused(policy_pb2.REASON_UNSUPPORTED, "environment.name", expected, request.environment.name)
    actions = from_tensor(request.actions, "actions")
    if actions.dtype != np.float64:
        raise Refused(policy_pb2.REASON_DATA_TYPE, "actions", "float64", actions.dtype.name)
    try:
        payoffs, gradients = environment.payoff(actions, request.gradient)
    except ValueError as error:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "actions", "joint actions of the game", str(error)) from error
    answer = pb.EvaluatePayoffResponse(payoffs=to_tensor(payoffs))
    if gradients is not None:
        answer.gradients.CopyFrom(to_tensor(gradients))
    return answer


def _transition(environment: Environment, step: Step) -> pb.Transition:
    def tensors(values: Values, space: Space) -> list[tensor_pb2.Tensor]:
        return [to_tensor(array) for array in ordered(values, leaves(space))]

    views = []
    for i, agent in enumerate(environment.agents):
        masks = step.action_masks.get(i)
        views.append(
            pb.Transition.AgentView(
                observation=tensors(step.observations[i], environment.observation_spaces[agent]),
                action_mask=tensors(masks, environment.action_spaces[agent]) if masks else (),
            )
        )
    return pb.Transition(
        agents=views,
        state=tensors(step.state, environment.state_space),
        rewards=to_tensor(step.rewards),
        terminated=to_tensor(step.terminated),
        truncated=to_tensor(step.truncated),
        awaited=to_tensor(step.awaited),
    )
