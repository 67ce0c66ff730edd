"""Puts one run's training together from its configuration and the addresses of the other processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agora.errors import Refused
from agora.v1 import policy_pb2
from trainer.checkpoint import next_epoch
from trainer.collector import Collector
from trainer.publisher import Publisher
from trainer.registry.client import RegistryClient
from trainer.settings import TrainingSettings
from trainer.stage import make_learner
from trainer.stage.loop import Training
from trainer.stage.payoff import RemotePayoff
from trainer.tracker import Tracker


async def assemble(
    run_directory: Path,
    config: Mapping[str, Any],
    registry: str,
    env_servers: Sequence[str],
    seats: Mapping[str, Sequence[str]],
) -> Training:
    """Everything connected, nothing learned yet.

    Args:
        run_directory: where checkpoints and metrics go.
        config: name, seed, environment {name, config} and training of the run.
        registry: address of the policy registry.
        env_servers: addresses of environment servers.
        seats: agent to the addresses of its service.

    Raises:
        Refused: a setting is wrong, or the game cannot be learned by this algorithm.
        Unavailable: no environment server could be reached.
    """
    name, seed = str(config["name"]), int(config["seed"])
    settings = _settings(config["training"])
    collector = Collector(
        env_servers,
        seats,
        run=name,
        seed=seed,
        deadline=settings.deadline_seconds,
        patience=settings.patience_seconds,
    )
    game = config["environment"]
    spec = await collector.describe(game["name"], json.dumps(game["config"]))
    if not spec.has_payoff:
        expected = "a game that can evaluate a joint action"
        raise Refused(policy_pb2.REASON_UNSUPPORTED, "environment.name", expected, spec.name)
    scripted = _scripted(config, spec.agents)
    # What a scripted agent plays is in the replay only; nobody trains the actor of its seat.
    overrides = {"rivals": "replay", **settings.learner} if scripted else settings.learner
    try:
        learner = make_learner(settings.algorithm, settings.preset, overrides, spec, seed)
    except ValueError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "training", "a learner for this game", str(error)) from error
    learning = [agent for agent in spec.agents if agent not in scripted]
    client = RegistryClient(registry, settings.patience_seconds)
    checkpoints = run_directory / "checkpoint"
    return Training(
        settings=settings,
        spec=spec,
        learner=learner,
        collector=collector,
        payoff=RemotePayoff(list(env_servers), spec, settings.patience_seconds),
        publisher=Publisher(client, spec, learning, name, settings.algorithm),
        tracker=Tracker(run_directory),
        checkpoints=checkpoints,
        epoch=next_epoch(checkpoints),
    )


def _settings(values: Mapping[str, Any]) -> TrainingSettings:
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(("training", *(str(part) for part in first["loc"])))
        raise Refused(policy_pb2.REASON_CONFIG, field, first["msg"], repr(first["input"])) from error


def _scripted(config: Mapping[str, Any], agents: Sequence[str]) -> set[str]:
    """Agents whose service follows a script: nothing is published for them."""
    chosen = config.get("agents", {})
    overrides = chosen.get("overrides", {})

    def policy(agent: str) -> str:
        return str(overrides.get(agent, {}).get("policy") or chosen.get("policy", "onnx"))

    return {agent for agent in agents if policy(agent).startswith("scripted")}
