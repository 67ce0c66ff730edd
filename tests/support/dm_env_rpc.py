"""dm_env_rpc's own compliance suite, against the endpoint at ``DM_ENV_RPC_ADDRESS``.

``DM_ENV_RPC_ADDRESS=HOST:PORT python -m unittest tests.support.dm_env_rpc`` runs its 40 tests. The game, and who
answers for other agents, is what the server was started with.
"""

import os
import unittest
from typing import ClassVar

import grpc
from dm_env_rpc.v1 import compliance, connection, dm_env_rpc_pb2 as pb, tensor_utils

ADDRESS = "DM_ENV_RPC_ADDRESS"


class Connected(unittest.TestCase):
    """A connection of its own for each test."""

    def setUp(self):
        self._channel = grpc.insecure_channel(os.environ[ADDRESS])
        self.addCleanup(self._channel.close)
        self._connection = connection.Connection(self._channel)
        super().setUp()

    @property
    def connection(self):
        return self._connection


class InWorld(Connected):
    """A world of its own too."""

    def setUp(self):
        super().setUp()
        self._world = self.connection.send(pb.CreateWorldRequest()).world_name

    def tearDown(self):
        super().tearDown()
        self.connection.send(pb.LeaveWorldRequest())
        self.connection.send(pb.DestroyWorldRequest(world_name=self._world))

    @property
    def world_name(self):
        return self._world

    def enter(self):
        return self.connection.send(pb.JoinWorldRequest(world_name=self._world)).specs


class TestCreateDestroyWorld(Connected, compliance.CreateDestroyWorld):
    required_world_settings: ClassVar = {}
    invalid_world_settings: ClassVar = {
        "bogus": tensor_utils.pack_tensor(1),
        "num_envs": tensor_utils.pack_tensor(0),
        "environment": tensor_utils.pack_tensor("no such game"),
        "config_json": tensor_utils.pack_tensor("{"),
        "seed": tensor_utils.pack_tensor("one"),
    }
    has_multiple_world_support = True


class TestJoinLeaveWorld(InWorld, compliance.JoinLeaveWorld):
    invalid_join_settings: ClassVar = {
        "agent": tensor_utils.pack_tensor("nobody"),
        "seats": tensor_utils.pack_tensor("nobody=127.0.0.1:1"),
    }


class TestReset(InWorld, compliance.Reset):
    def join_world(self):
        return self.enter()


class TestResetWorld(InWorld, compliance.ResetWorld):
    pass


class TestStep(InWorld, compliance.Step):
    def setUp(self):
        super().setUp()
        self._specs = self.enter()

    @property
    def specs(self):
        return self._specs
