"""Puts one run's training together from its configuration and the addresses of the other processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agora.errors import Refused
from agora.v1 import policy_pb2
from trainer import algorithms, evaluation, stage
from trainer.algorithms import base
from trainer.checkpoint import next_epoch
from trainer.collector import Collector
from trainer.evaluation import Evaluator
from trainer.judge import Judge, can_judge
from trainer.practice import Practice
from trainer.publisher import Publisher
from trainer.registry.client import RegistryClient
from trainer.settings import Goal, TrainingSettings
from trainer.spec import GameSpec
from trainer.stage.base import Learner as StageLearner
from trainer.stage.loop import Training
from trainer.stage.payoff import RemotePayoff
from trainer.tracker import Tracker


async def assemble(
    run_directory: Path,
    config: Mapping[str, Any],
    registry: str,
    env_servers: Sequence[str],
    seats: Mapping[str, Sequence[str]],
) -> Training | Practice:
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
    settings = _settings(config["training"])
    name, seed, game = str(config["name"]), int(config["seed"]), config["environment"]
    dial = partial(
        Collector, env_servers, seats, run=name, deadline=settings.deadline_seconds, patience=settings.patience_seconds
    )
    collector = dial(seed=seed, log=settings.log)
    spec = await collector.describe(game["name"], json.dumps(game["config"]))
    scripted = _scripted(config, spec.agents)
    learning = [agent for agent in spec.agents if agent not in scripted]
    client = RegistryClient(registry, settings.patience_seconds)
    common: dict[str, Any] = {
        "settings": settings,
        "spec": spec,
        "collector": collector,
        "publisher": Publisher(client, spec, learning, name, settings.algorithm),
        "run_directory": run_directory,
    }
    payoff = partial(RemotePayoff, list(env_servers), spec, settings.patience_seconds)
    if _goal(settings, spec) == "equilibrium":
        common |= {"learner": _stage_learner(settings, spec, seed, bool(scripted)), "payoff": payoff()}
        return Training(**common, **_begun(run_directory))
    common |= {"learner": _learner(settings, spec, seed)} | await _around(settings, spec, dial, payoff)
    return Practice(**common, **_begun(run_directory))


async def _around(
    settings: TrainingSettings, spec: GameSpec, dial: Callable[..., Collector], payoff: Callable[[], RemotePayoff]
) -> dict[str, Any]:
    """What a run for return has beside learning: an evaluator, and a recorder and a judge where the game has use."""
    return {
        "evaluator": await _evaluator(settings, spec, dial(seed=evaluation.SEED, log=False, outcomes_only=True)),
        "recorder": dial(seed=evaluation.SEED, log=True, outcomes_only=True) if "arena" in spec.facts else None,
        "judge": Judge(dial(seed=evaluation.SEED, log=False), payoff(), spec) if can_judge(spec) else None,
    }


def _begun(run_directory: Path) -> dict[str, Any]:
    """What is written down only when nothing can be refused any more."""
    return {"tracker": Tracker(run_directory), "epoch": next_epoch(run_directory / "checkpoint")}


def _goal(settings: TrainingSettings, spec: GameSpec) -> Goal:
    """What is trained for.

    Raises:
        Refused: an equilibrium of a game that cannot evaluate a joint action, or by a learner that looks for none.
    """
    if settings.goal == "return":
        return "return"
    searches = settings.algorithm in stage.ALGORITHMS
    if spec.has_payoff and searches:
        return "equilibrium"
    if settings.goal is None and settings.algorithm in algorithms.ALGORITHMS:
        return "return"
    if not searches:
        known = stage.ALGORITHMS if settings.goal else {**stage.ALGORITHMS, **algorithms.ALGORITHMS}
        expected = f"one of {', '.join(sorted(known))}"
        raise Refused(policy_pb2.REASON_CONFIG, "training.algorithm", expected, settings.algorithm)
    expected = "a game that can evaluate a joint action"
    raise Refused(policy_pb2.REASON_UNSUPPORTED, "environment.name", expected, spec.name)


def _stage_learner(settings: TrainingSettings, spec: GameSpec, seed: int, scripted: bool) -> StageLearner:
    # What a scripted agent plays is in the replay only; nobody trains the actor of its seat.
    overrides = {"rivals": "replay", **settings.learner} if scripted else settings.learner
    with _refusing():
        return stage.make_learner(settings.algorithm, settings.preset, overrides, spec, seed)


def _learner(settings: TrainingSettings, spec: GameSpec, seed: int) -> base.Learner:
    with _refusing():
        return algorithms.make_learner(settings.algorithm, settings.learner, spec, seed)


@contextmanager
def _refusing() -> Iterator[None]:
    """A learner's reasons not to be made, as refusals of the run's settings."""
    try:
        yield
    except ValidationError as error:
        raise _refused(error, "training.learner") from error
    except ValueError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "training", "a learner for this game", str(error)) from error


async def _evaluator(settings: TrainingSettings, learned: GameSpec, collector: Collector) -> Evaluator:
    chosen, spec = settings.evaluation, learned
    if chosen.environment is not None:
        spec = await collector.describe(chosen.environment.name, json.dumps(chosen.environment.config))
        evaluation.check_same_spaces(learned, spec)
    return Evaluator(collector, spec, chosen.episodes, chosen.num_envs)


def _settings(values: Mapping[str, Any]) -> TrainingSettings:
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        raise _refused(error, "training") from error


def _refused(error: ValidationError, under: str) -> Refused:
    first = error.errors()[0]
    field = ".".join((under, *(str(part) for part in first["loc"])))
    return Refused(policy_pb2.REASON_CONFIG, field, first["msg"], repr(first["input"]))


def _scripted(config: Mapping[str, Any], agents: Sequence[str]) -> set[str]:
    """Agents whose service follows a script: nothing is published for them."""
    chosen = config.get("agents", {})
    overrides = chosen.get("overrides", {})

    def policy(agent: str) -> str:
        return str(overrides.get(agent, {}).get("policy") or chosen.get("policy", "onnx"))

    return {agent for agent in agents if policy(agent) != "onnx"}
