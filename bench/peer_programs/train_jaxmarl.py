"""IPPO on JaxMARL's game, compiled end to end with it, with JaxMARL's published defaults. Needs jaxmarl.

JaxMARL's package brings games and no learners, so the learner is written here: PPO (Schulman et al. 2017,
arXiv:1707.06347) with one network for all agents, every setting and the order of work as in JaxMARL's own baseline for
this game. Actions are discrete, episodes 26 steps, both as there. ``log_return`` is what its log would say, divided by
the number of agents, by which the log multiplies: the return of stochastic policies while training.
``python -m bench.peer_programs.train_jaxmarl``; see ``bench.peer_programs.train_common``.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxmarl
import numpy as np
import optax
from flax.linen.initializers import orthogonal
from jaxmarl.wrappers.baselines import MPELogWrapper

from bench.peer_programs.train_common import ACTIONS, AGENTS, WIDTH, Floats, Meter, cpu_seconds, options

COPIES, STEPS, EPOCHS, PARTS, TOTAL = 16, 128, 4, 4, 10_000_000
RATE, DISCOUNT, LAMBDA, CLIP, ENTROPY, VALUE, NORM = 2.5e-4, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5
UPDATES = 20
"""How many updates run between two looks at the clock."""
GAME = MPELogWrapper(jaxmarl.make("MPE_simple_spread_v3"))


class Network(nn.Module):
    """Log-probabilities of actions, and the value."""

    @nn.compact
    def __call__(self, seen: Any) -> Any:
        """Two towers of two layers of 64."""
        outputs = []
        for width, gain in ((ACTIONS, 0.01), (1, 1.0)):
            hidden = seen
            for _ in range(2):
                hidden = nn.tanh(nn.Dense(64, kernel_init=orthogonal(2**0.5))(hidden))
            outputs.append(nn.Dense(width, kernel_init=orthogonal(gain))(hidden))
        return nn.log_softmax(outputs[0]), outputs[1][..., 0]


class Rows(NamedTuple):
    """One rollout; leading axes (steps, agents, copies), flattened for learning."""

    seen: Any
    action: Any
    log_probability: Any
    value: Any
    reward: Any
    over: Any
    finished_return: Any


class State(NamedTuple):
    """All that changes."""

    parameters: Any
    moments: Any
    game: Any
    seen: Any
    key: Any


NETWORK = Network()
LAST = TOTAL // (STEPS * COPIES) * EPOCHS * PARTS
STEP = optax.chain(optax.clip_by_global_norm(NORM), optax.adam(optax.linear_schedule(RATE, 0.0, LAST), eps=1e-5))


def stacked(named: dict[str, Any]) -> Any:
    """(agents, copies, ...) of what the game names by agent."""
    return jnp.stack([named[name] for name in GAME.agents])


def start(seed: int) -> State:
    """Before the first step."""
    key, own, games = jax.random.split(jax.random.key(seed), 3)
    parameters = NETWORK.init(own, jnp.zeros(WIDTH))
    seen, game = jax.vmap(GAME.reset)(jax.random.split(games, COPIES))
    return State(parameters, STEP.init(parameters), game, stacked(seen), key)


def act(state: State, _: None) -> tuple[State, Rows]:
    """One step of all copies."""
    key, draw, steps = jax.random.split(state.key, 3)
    logits, value = NETWORK.apply(state.parameters, state.seen)
    action = jax.random.categorical(draw, logits)
    chosen = jnp.take_along_axis(logits, action[..., None], -1)[..., 0]
    named = dict(zip(GAME.agents, action, strict=True))
    seen, game, reward, over, info = jax.vmap(GAME.step)(jax.random.split(steps, COPIES), state.game, named)
    returned = info["returned_episode_returns"].T
    row = Rows(state.seen, action, chosen, value, stacked(reward), stacked(over), returned)
    return state._replace(game=game, seen=stacked(seen), key=key), row


def advantages(rows: Rows, last: Any) -> Any:
    """Generalised advantage estimates (steps, agents, copies), Schulman et al. 2016, equation 16."""

    def back(carry: Any, row: Rows) -> Any:
        ahead, sum_ahead = carry
        goes_on = 1.0 - row.over
        here = row.reward + DISCOUNT * goes_on * ahead - row.value + DISCOUNT * LAMBDA * goes_on * sum_ahead
        return (row.value, here), here

    return jax.lax.scan(back, (last, jnp.zeros_like(last)), rows, reverse=True, unroll=8)[1]


def loss(parameters: Any, rows: Rows, gain: Any, goal: Any) -> Any:
    """Clipped policy loss, clipped value loss, and entropy."""
    logits, value = NETWORK.apply(parameters, rows.seen)
    ratio = jnp.exp(jnp.take_along_axis(logits, rows.action[..., None], -1)[..., 0] - rows.log_probability)
    gain = (gain - gain.mean()) / (gain.std() + 1e-8)
    policy = jnp.minimum(ratio * gain, ratio.clip(1 - CLIP, 1 + CLIP) * gain).mean()
    near = rows.value + (value - rows.value).clip(-CLIP, CLIP)
    error = 0.5 * jnp.maximum((value - goal) ** 2, (near - goal) ** 2).mean()
    entropy = -(jnp.exp(logits) * logits).sum(-1).mean()
    return VALUE * error - policy - ENTROPY * entropy


def learn(carry: Any, batch: Any) -> Any:
    """One gradient step on one part."""
    parameters, moments = carry
    slope = jax.grad(loss)(parameters, *batch)
    change, moments = STEP.update(slope, moments)
    return (optax.apply_updates(parameters, change), moments), None


def update(state: State, _: None) -> Any:
    """A rollout, and what is learned from it."""
    state, rows = jax.lax.scan(act, state, None, STEPS)
    gain = advantages(rows, NETWORK.apply(state.parameters, state.seen)[1])
    data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), (rows, gain, gain + rows.value))
    key, *epochs = jax.random.split(state.key, EPOCHS + 1)

    def epoch(carry: Any, key: Any) -> Any:
        order = jax.random.permutation(key, STEPS * AGENTS * COPIES).reshape(PARTS, -1)
        return jax.lax.scan(learn, carry, jax.tree.map(lambda x: x[order], data))

    (parameters, moments), _ = jax.lax.scan(epoch, (state.parameters, state.moments), jnp.stack(epochs))
    return State(parameters, moments, state.game, state.seen, key), rows.finished_return.mean() / AGENTS


def main() -> None:
    """Train."""
    given = options()
    state = start(given.seed)
    greedy = jax.jit(lambda parameters, seen: jax.nn.one_hot(NETWORK.apply(parameters, seen)[0].argmax(-1), ACTIONS))
    greedy(state.parameters, np.zeros((AGENTS, given.episodes, WIDTH), np.float32))

    def answer(observations: Floats) -> Floats:
        return np.asarray(greedy(state.parameters, observations))

    cpu, wall = cpu_seconds(), time.perf_counter()
    train = jax.jit(lambda state: jax.lax.scan(update, state, None, UPDATES)).lower(state).compile()
    compiling = {"compile_cpu_seconds": cpu_seconds() - cpu, "compile_wall_seconds": time.perf_counter() - wall}
    meter, steps, logged = Meter(given, answer), 0, float("nan")
    while meter.goes_on(steps, log_return=logged, **compiling):
        state, returns = train(state)
        logged, steps = float(returns[-1]), steps + UPDATES * STEPS * COPIES


if __name__ == "__main__":
    main()
