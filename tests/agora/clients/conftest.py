import pytest

from bench.processes import Service


@pytest.fixture(scope="session")
def server():
    with Service("env_server", ["--max-sessions", "200"]) as service:
        yield service.address


@pytest.fixture(scope="session")
def randoms():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


@pytest.fixture(scope="session")
def middles():
    """A service that asks the middle price, whoever it is asked for."""
    with Service("agent_services", ["--policy", "scripted:fixed_price"]) as service:
        yield service.address
