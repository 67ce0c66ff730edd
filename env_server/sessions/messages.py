"""A session's steps and actions as messages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.spaces import Leaf, leaves, ordered, to_proto
from agora.v1 import environment_pb2 as pb, policy_pb2, tensor_pb2
from env_server.environments import ENVIRONMENTS
from env_server.environments.base import Environment, PayoffEnvironment, Step, Values
from env_server.rollout.decisions import agent_specs
from env_server.sessions.session import Session


class Wire:
    """Translates for one session; what its spaces are is worked out once."""

    def __init__(self, session: Session) -> None:
        environment = session.environment
        self._driven = session.driven
        self._observations = [leaves(environment.observation_spaces[agent]) for agent in environment.agents]
        self._actions = [leaves(environment.action_spaces[agent]) for agent in environment.agents]
        self._state = leaves(environment.state_space)

    def actions(self, said: Sequence[pb.StepEnvironment.AgentActions]) -> list[Values]:
        """What a driver sent, for ``Session.step``.

        Raises:
            Refused: another number of agents or leaves than there are, or a malformed tensor.
        """
        if len(said) != len(self._actions):
            raise Refused(policy_pb2.REASON_SHAPE, "step.agents", f"{len(self._actions)} agents", str(len(said)))
        return [_values(part.action, self._actions[i], f"agents[{i}].action") for i, part in enumerate(said)]

    def transition(self, step: Step) -> pb.Transition:
        """What a driver gets."""
        views = [pb.Transition.AgentView() for _ in self._actions]
        for i in self._driven:
            views[i].observation.extend(_tensors(step.observations[i], self._observations[i]))
            if masks := step.action_masks.get(i):
                views[i].action_mask.extend(_tensors(masks, self._actions[i]))
        return pb.Transition(
            agents=views,
            state=_tensors(step.state, self._state),
            rewards=to_tensor(step.rewards),
            terminated=to_tensor(step.terminated),
            truncated=to_tensor(step.truncated),
            awaited=to_tensor(step.awaited),
            alive=None if step.alive is None else to_tensor(step.alive),
        )


def describe(environment: Environment) -> pb.DescribeEnvironmentResponse:
    """A built game as a message."""
    return pb.DescribeEnvironmentResponse(
        names=sorted(ENVIRONMENTS),
        agents=agent_specs(environment, {}),
        state_space=to_proto(environment.state_space),
        config_json=environment.config.model_dump_json(),
        config_schema_json=schema(type(environment)),
        has_payoff=isinstance(environment, PayoffEnvironment),
        facts_json=json.dumps(environment.facts),
    )


def schema(game: type[Environment]) -> str:
    """What a game's configuration may be, as JSON schema."""
    return json.dumps(game.Config.model_json_schema())


def _values(tensors: Sequence[tensor_pb2.Tensor], members: Sequence[Leaf], field: str) -> Values:
    if tensors and len(tensors) != len(members):
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(members)} leaves", str(len(tensors)))
    arrays = [from_tensor(tensor, f"{field}[{number}]") for number, tensor in enumerate(tensors)]
    return {leaf.path: array for leaf, array in zip(members, arrays, strict=False)}


def _tensors(values: Values, members: Sequence[Leaf]) -> list[tensor_pb2.Tensor]:
    return [to_tensor(array) for array in ordered(values, members)]
