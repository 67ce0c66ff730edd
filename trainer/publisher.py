"""Actors become policy versions: exported to ONNX, checked, published."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from agora.spaces import to_proto
from agora.v1 import policy_pb2, policy_registry_pb2 as pb
from trainer.actor import Actor
from trainer.collector import Version
from trainer.export import ActorExporter
from trainer.registry.client import RegistryClient
from trainer.spec import GameSpec


class Publisher:
    """Publishes learning agents' actors under the agents' ids.

    Attributes:
        versions: what was published last, per agent.
    """

    def __init__(
        self, registry: RegistryClient, spec: GameSpec, learning: Sequence[str], run: str, algorithm: str
    ) -> None:
        self.versions: dict[str, Version] = {}
        self._registry = registry
        self._spec = spec
        self._learning = [spec.agents.index(agent) for agent in learning]
        self._run = run
        self._algorithm = algorithm
        self._exporter = ActorExporter()

    async def publish(self, actors: Sequence[Actor], version: Version, environment_steps: int) -> None:
        """Export all agents' actors and publish the learning agents' as ``version``.

        Raises:
            ValueError: what an actor does is not finite, or its model does something else.
            Refused: the registry has that version with other bytes, or an actor is not acceptable.
            Unavailable: the registry stayed down.
        """
        models = await asyncio.to_thread(self._exporter.export_all, actors, self._spec.agents)
        await asyncio.gather(
            *(
                self._registry.publish(self._manifest(i, models[i], version, environment_steps), models[i])
                for i in self._learning
            )
        )
        self.versions = {self._spec.agents[i]: version for i in self._learning}

    async def close(self) -> None:
        """Hang up."""
        await self._registry.close()

    def _manifest(self, index: int, model: bytes, version: Version, environment_steps: int) -> pb.PolicyManifest:
        agent = self._spec.agents[index]
        lineage = pb.PolicyLineage(run=self._run, algorithm=self._algorithm, environment_steps=environment_steps)
        if agent in self.versions:
            epoch, step = self.versions[agent]
            lineage.parent.CopyFrom(policy_pb2.PolicyVersion(epoch=epoch, step=step))
        return pb.PolicyManifest(
            policy_id=agent,
            version=policy_pb2.PolicyVersion(epoch=version[0], step=version[1]),
            sha256=hashlib.sha256(model).hexdigest(),
            size_bytes=len(model),
            spec=policy_pb2.PolicySpec(
                observation_space=to_proto(self._spec.observation_spaces[index]),
                action_space=to_proto(self._spec.action_spaces[index]),
            ),
            lineage=lineage,
        )
