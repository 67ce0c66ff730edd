"""Hosted environments show exactly what the original library shows when it is stepped directly."""

import importlib
import warnings

import numpy as np
import pytest
from gymnasium import spaces

from tests.env_server.pettingzoo.conftest import ZOO, numbers, seed_of
from tests.support import zoo

SEED = 11


def original(module, factory, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), factory)(**keywords)


def draw(environment, rng, step):
    """An action per agent for every copy, legal where there are masks."""
    actions = []
    for i, agent in enumerate(environment.agents):
        space, mask = environment.action_spaces[agent], step.action_masks.get(i)
        if isinstance(space, spaces.Box):
            drawn = rng.uniform(space.low, space.high, (environment.num_envs, *space.shape)).astype(space.dtype)
        elif mask is None:
            drawn = rng.integers(space.n, size=environment.num_envs) + space.start
        else:
            legal = np.where(mask[""].any(axis=1, keepdims=True), mask[""], 1)
            drawn = np.array([rng.choice(np.flatnonzero(row)) for row in legal])
        actions.append({"": drawn})
    return actions


PARALLEL = [
    ("mpe2.simple_spread_v3", {"N": 2, "max_cycles": 12}),
    ("mpe2.simple_adversary_v3", {"N": 2, "max_cycles": 12, "continuous_actions": True, "dynamic_rescaling": True}),
    ("mpe2.simple_speaker_listener_v4", {"max_cycles": 7}),
    ("mpe2.simple_world_comm_v3", {"max_cycles": 5}),
    ("pettingzoo.classic.rps_v2", {"num_actions": 5, "max_cycles": 6}),
]


@pytest.mark.parametrize(("module", "keywords"), PARALLEL)
def test_a_parallel_environment_is_shown_as_it_is(module, keywords, host):
    query = "&".join(f"{k}={str(v).lower()}" for k, v in keywords.items())
    hosted = host(f"{module}?{query}", 3, workers=2)
    theirs = [original(module, "parallel_env", **keywords) for _ in range(3)]
    assert hosted.agents == tuple(theirs[0].possible_agents)
    assert all(hosted.observation_spaces[agent] == theirs[0].observation_space(agent) for agent in hosted.agents)
    assert all(hosted.action_spaces[agent] == theirs[0].action_space(agent) for agent in hosted.agents)
    for seed in (SEED, 12):  # environments are used again, episode after episode
        rng = np.random.default_rng(seed)
        step = hosted.reset(seed, numbers(3))
        for copy, env in enumerate(theirs):
            seen, _ = env.reset(seed=seed_of(seed, copy))
            same(hosted, step, copy, env, seen, {})
        while step.awaited.any():
            actions = draw(hosted, rng, step)
            step = hosted.step(actions)
            for copy, env in enumerate(theirs):
                said = {agent: own(hosted, i, actions, copy) for i, agent in enumerate(hosted.agents)}
                seen, rewards, terminated, truncated, _ = env.step(said)
                same(hosted, step, copy, env, seen, rewards)
                assert step.terminated[copy].tolist() == [terminated[agent] for agent in hosted.agents]
                assert step.truncated[copy].tolist() == [truncated[agent] for agent in hosted.agents]
        assert not any(env.agents for env in theirs)


def own(hosted, i, actions, copy):
    value = actions[i][""][copy]
    return int(value) if isinstance(hosted.action_spaces[hosted.agents[i]], spaces.Discrete) else value


def same(hosted, step, copy, env, seen, rewards):
    for i, agent in enumerate(hosted.agents):
        assert np.array_equal(step.observations[i][""][copy], seen[agent]), agent
        assert step.rewards[copy, i] == rewards.get(agent, 0.0)
    if "" in step.state:
        assert np.array_equal(step.state[""][copy], env.state())
    else:
        assert all(np.array_equal(step.state[agent][copy], seen[agent]) for agent in hosted.agents)


TURNS = [
    ("pettingzoo.classic.tictactoe_v3", "env", {}),
    ("pettingzoo.classic.connect_four_v3", "env", {}),
    ("mpe2.simple_spread_v3", "env", {"N": 2, "max_cycles": 4}),
    (ZOO, "Candles", {"players": 4}),
]


@pytest.mark.parametrize(("module", "factory", "keywords"), TURNS)
def test_a_turn_based_environment_is_shown_as_its_own_loop_shows_it(module, factory, keywords, host):
    """``agent_iter`` and ``last`` hand every agent each reward exactly once: so the sums until its turns must agree."""
    query = "&".join(f"{k}={v}" for k, v in keywords.items())
    hosted = host(f"{module}:{factory}?{query}" if query else f"{module}:{factory}", 3, workers=2)
    for seed in (SEED, 12, 13):
        steps, taken = [hosted.reset(seed, numbers(3))], []
        rng = np.random.default_rng(seed)
        while steps[-1].awaited.any():
            assert (steps[-1].awaited.sum(axis=1) <= 1).all()
            taken.append(draw(hosted, rng, steps[-1]))
            steps.append(hosted.step(taken[-1]))
        for copy in range(3):
            follow(hosted, original(module, factory, **keywords), seed_of(seed, copy), copy, steps, taken)


def follow(hosted, env, seed, copy, steps, taken):
    """Play the same actions in the library's own loop."""
    env.reset(seed=seed)
    number, earned, ends = 0, dict.fromkeys(hosted.agents, 0.0), {}
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        i = hosted.agents.index(agent)
        earned[agent] += reward
        if terminated or truncated:
            ends[agent] = (terminated, truncated)
            env.step(None)
            continue
        step = steps[number]
        assert step.awaited[copy].tolist() == [other == agent for other in hosted.agents]
        paid = sum(s.rewards[copy, i] for s in steps[: number + 1])
        assert paid == pytest.approx(earned[agent]), (agent, number)
        seen = {f"{key}": value for key, value in observation.items()} if isinstance(observation, dict) else None
        for path, values in step.observations[i].items():
            assert np.array_equal(values[copy], seen[path] if seen else observation)
        if seen:
            assert np.array_equal(step.action_masks[i][""][copy], observation["action_mask"])
        env.step(own(hosted, i, taken[number], copy))
        number += 1
    assert not steps[number].awaited[copy].any()
    for i, agent in enumerate(hosted.agents):
        assert sum(step.rewards[copy, i] for step in steps) == pytest.approx(earned[agent])
        assert [sum(step.terminated[copy, i] for step in steps), sum(s.truncated[copy, i] for s in steps)] == [
            *map(int, ends[agent])
        ]


def test_candles_is_a_valid_environment_by_the_librarys_own_check():
    """What these tests rely on is checked by PettingZoo, not by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pettingzoo.test import api_test

        api_test(zoo.Candles(), num_cycles=50)


@pytest.mark.parametrize("source", ["mpe2.simple_spread_v3?N=2&max_cycles=6", f"{ZOO}:Candles"])
def test_splitting_copies_over_processes_changes_nothing(source, host):
    def play(workers):
        hosted, rng = host(source, 5, workers=workers), np.random.default_rng(0)
        steps = [hosted.reset(SEED, numbers(5))]
        assert len(hosted.pids) == workers
        while steps[-1].awaited.any():
            steps.append(hosted.step(draw(hosted, rng, steps[-1])))
        return [
            np.concatenate([s.rewards, *(o[""].reshape(5, -1) for o in s.observations), s.awaited], axis=1)
            for s in steps
        ]

    alone, *others = (play(workers) for workers in (1, 2, 3))
    for other in others:
        assert np.array_equal(alone, other)
