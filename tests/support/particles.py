"""Untrained actors of simple_spread, as agent services take them."""

from bench.in_process_training import environment_of, spec_of
from trainer.algorithms import make_learner
from trainer.export import ActorExporter


def spread_actors() -> dict[str, bytes]:
    """Per agent its ONNX model, the same for all."""
    spec = spec_of(environment_of("mpe:simple_spread", "{}", 1), "mpe:simple_spread")
    actors = make_learner("maddpg", {"share": True}, spec, 0).actors()
    return dict(zip(spec.agents, ActorExporter().export_all(actors), strict=True))
