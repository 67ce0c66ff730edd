"""Hosted environments, closed after each test."""

import json

import numpy as np
import pytest

from agora.randomness import generator
from agora.v1 import environment_pb2 as pb
from env_server.environments import make
from env_server.environments.pettingzoo.source import ALLOWED

ZOO = "tests.support.zoo"


@pytest.fixture
def host(monkeypatch):
    """``host(source, copies, **settings)`` builds one."""
    monkeypatch.setattr("env_server.environments.pettingzoo.env.ALLOWED", [*ALLOWED, ZOO])
    hosted = []

    def build(source, copies=1, **settings):
        spec = pb.EnvironmentSpec(name=f"pettingzoo:{source}", config_json=json.dumps(settings), num_envs=copies)
        hosted.append(make(spec))
        return hosted[-1]

    yield build
    for environment in hosted:
        environment.close()


def numbers(count):
    return np.arange(count, dtype=np.uint32)


def seed_of(seed, copy):
    """What a copy's environment is reset with."""
    return int(generator(seed, copy).integers(2**31))


def odd_copies(seed, count):
    """Copies whose environments get an odd seed."""
    return np.array([seed_of(seed, copy) % 2 == 1 for copy in range(count)])
