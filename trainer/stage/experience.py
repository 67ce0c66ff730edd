"""From a block of trajectories to the joint transitions that a replay keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.segments import ACTED, Segment
from trainer.stage.layout import Layout, Leaves
from trainer.stage.replay import Floats, Transitions

CriticState = Callable[[Leaves, Sequence[Leaves]], Floats]
"""What critics see beside actions, float32 (K, 1 or N, S), of state leaves and all agents' observation leaves."""


@np.errstate(over="ignore")  # the replay names what float32 cannot hold
def transitions(
    segment: Segment, layout: Layout, critic_state: CriticState, rival_weight: float, ahead: bool
) -> Transitions:
    """All steps of all copies, step by step.

    Args:
        segment: T steps of B copies.
        layout: of the game.
        critic_state: the algorithm's.
        rival_weight: weight, for an agent, of a transition in which a rival explored or did not act itself.
        ahead: whether the next state matters (a discount above 0).

    Returns:
        T * B joint transitions.
    """
    agents = segment.agents
    rows = agents[0].reward.size
    now, then = (_moment(segment, layout, critic_state, part) for part in (slice(None, -1), slice(1, None)))
    if not ahead:
        then = (then[0][:, :, :0], then[1][:, :, :0])
    rewards = np.stack([part.reward.reshape(rows) for part in agents], axis=1).astype(np.float32)
    ended = np.stack([part.terminated.reshape(rows) for part in agents], axis=1)
    actions = np.stack([part.action[""].reshape(rows, -1) for part in agents], axis=1).astype(np.float32)
    return Transitions(
        critic_state=now[0],
        observations=now[1],
        actions=actions,
        rewards=rewards,
        weights=_weights(segment, rival_weight),
        continues=(~ended).astype(np.float32),
        next_critic_state=then[0],
        next_observations=then[1],
    )


def evaluations(
    critic_state: Floats,
    observations: Floats,
    actions: NDArray[np.float32],
    payoffs: NDArray[np.float64],
    departed: NDArray[np.bool_],
    rival_weight: float,
) -> Transitions:
    """Payoffs evaluated at one moment, as transitions after which nothing follows.

    Args:
        critic_state: float32 (1, views, S).
        observations: float32 (1, N, O).
        actions: float32 (K, N, A).
        payoffs: float64 (K, N).
        departed: bool (K, N), whose action differs from its policy's.
        rival_weight: as in ``transitions``.
    """
    k, n = payoffs.shape
    return Transitions(
        critic_state=np.repeat(critic_state, k, axis=0),
        observations=np.repeat(observations, k, axis=0),
        actions=actions,
        rewards=payoffs.astype(np.float32),
        weights=_deviation_weights(departed, rival_weight),
        continues=np.zeros((k, n), np.float32),
        next_critic_state=np.zeros((k, critic_state.shape[1], 0), np.float32),
        next_observations=np.zeros((k, n, 0), np.float32),
    )


def _moment(segment: Segment, layout: Layout, critic_state: CriticState, part: slice) -> tuple[Floats, Floats]:
    def flat(values: Leaves) -> Leaves:
        return {path: value[part].reshape(-1, *value.shape[2:]) for path, value in values.items()}

    seen = [flat(agent.observation) for agent in segment.agents]
    return critic_state(flat(segment.state), seen), layout.observations(seen)


def _weights(segment: Segment, rival_weight: float) -> Floats:
    """How much each step says to each agent (K, N): nothing where it did not act itself.

    An action's log-probability is 0 exactly where its agent was greedy.
    """
    acted = _column([part.acted == ACTED for part in segment.agents])
    departed = _column([part.log_prob != 0 for part in segment.agents]) | ~acted
    return _deviation_weights(departed, rival_weight) * acted


def _deviation_weights(departed: NDArray[np.bool_], rival_weight: float) -> Floats:
    """1 for an agent whose rivals all did as their policies say, else ``rival_weight``; (K, N) of bool (K, N)."""
    by_rivals = departed.sum(axis=1, keepdims=True) > departed
    return np.where(by_rivals, rival_weight, 1.0).astype(np.float32)


def _column(parts: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.stack([part.reshape(-1) for part in parts], axis=1)
