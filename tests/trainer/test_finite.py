"""NaN ends a run at once: what is said, what stays on disk, and that no other start is tried. Real processes."""

import json
import re
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from agora.errors import Failed
from agora.service import EXIT_HOPELESS
from agora.spaces import leaves
from bench.processes import ROOT, Service
from tests.support.open_boxes import GOALS, Shore
from trainer.actor import Actor
from trainer.export import ActorExporter
from trainer.finite import actor_faults, loss_faults, require, tensor_faults

ZOO = "tests.support.open_boxes"
AGENTS = tuple(sorted(GOALS))
ROUND = 64
PPO = {"actor_hidden": [16], "critic_hidden": [16], "minibatches": 1, "actor_rate": 0.03, "critic_rate": 0.03}


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    with ExitStack() as stack:
        policies = tmp_path_factory.mktemp("policies")
        registry = stack.enter_context(Service("trainer.registry", ["--directory", str(policies)]))
        server = Service("env_server", ["--pettingzoo-module", ZOO]).start(wait=False)
        stack.callback(server.stop)
        ids = [word for agent in AGENTS for word in ("--policy-id", agent)]
        minds = stack.enter_context(Service("agent_services", [*ids, "--registry", registry.address]))
        server.wait()
        yield SimpleNamespace(registry=registry.address, server=server.address, minds=minds.address, policies=policies)


def trained(services, folder, epoch, scale=1.0, rounds=30, **training):
    """``python -m trainer`` on a run folder, to its end."""
    (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint" / "epoch").write_text(str(epoch - 1))
    chosen = {
        "algorithm": "mappo", "learner": PPO, "num_envs": ROUND, "max_environment_steps": rounds * ROUND, "log": False,
        "evaluate_every": 0, "evaluation": {"episodes": 4}, "checkpoint_seconds": 0.0, "keep_checkpoints": 99,
        **training,
    }  # fmt: skip
    game = {"name": f"pettingzoo:{ZOO}:Shore?scale={scale:.0f}", "config": {}}
    config = {"name": folder.name, "seed": 3, "environment": game, "training": chosen}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    words = [sys.executable, "-m", "trainer", "--run-directory", str(folder), "--registry", services.registry]
    words += ["--env-server", services.server]
    words += [word for agent in AGENTS for word in ("--agent", f"{agent}={services.minds}")]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)


def rows(folder, kind):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def tensors(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping


def test_agents_without_bounds_learn_over_real_services(services, tmp_path):
    done = trained(services, tmp_path / "open", 1)
    assert done.returncode == 0, done.stderr
    losses = [row["losses"] for row in rows(tmp_path / "open", "round")]
    assert len(losses) == 30 and np.isfinite([list(loss.values()) for loss in losses]).all()
    # A policy that stays at zero loses the goals' squares: 4, 9 and 2.25.
    returns = rows(tmp_path / "open", "evaluation")[-1]["returns"]
    assert all(returns[agent] > -0.25 * goal**2 for agent, goal in GOALS.items())


@pytest.mark.parametrize(
    ("epoch", "scale", "training", "words"),
    [
        # The first gradient step throws actors out of float32's range; losses after it are NaN.
        (10, 1.0, {"learner": PPO | {"actor_rate": 1e38}}, r"round 1: expected finite numbers, got nan for the loss of"
         r" the actor.* parameters of above's policy"),
        (11, 1.0, {"learner": PPO | {"critic_rate": 1e38}}, r"round 1: .* got (nan|inf) for the loss of the critic"),
        # A last step that spoils the critic alone is seen by no loss; the checkpoint sees it.
        (12, 1.0, {"learner": PPO | {"critic_rate": 1e38, "epochs": 1}}, r"round \d: .*(critic|learner/critic/)"),
        # The game pays more than float32 holds.
        (13, 1e300, {}, r"round 1: experience\.rewards: expected finite numbers .* got -inf for above in step 0"),
    ],
)  # fmt: skip
def test_what_is_not_finite_ends_the_run_with_a_sentence(services, tmp_path, epoch, scale, training, words):
    done = trained(services, tmp_path, epoch, scale, **training)
    assert done.returncode == EXIT_HOPELESS, done.stderr
    assert re.search(words, done.stderr.splitlines()[-1]), done.stderr
    assert "Traceback" not in done.stderr
    for path in (tmp_path / "checkpoint").glob("*.safetensors"):
        assert all(torch.isfinite(value).all() for value in tensors(path).values() if value.is_floating_point())


def test_the_last_good_checkpoint_and_policies_stay(services, tmp_path):
    """A good run is resumed with step sizes that no number survives: its files stay as they were."""
    assert trained(services, tmp_path, 20, rounds=2).returncode == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").glob("*.safetensors")}
    published = {path for path in services.policies.rglob("*") if path.is_file()}
    done = trained(services, tmp_path, 21, rounds=6, learner=PPO | {"actor_rate": 1e38, "critic_rate": 1e38})
    assert done.returncode == EXIT_HOPELESS and "round 3: expected finite numbers" in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoint").glob("*.safetensors")} == kept
    newer = {path for path in services.policies.rglob("*") if path.is_file()} - published
    assert len({path.stem.split(".")[0] for path in newer}) <= len(AGENTS)  # the resumed policies, under a new epoch


def network(*values):
    return Actor(
        observation=leaves(Shore().observation_space("free")),
        action=leaves(Shore().action_space("free"))[0],
        layers=[(np.array([[value]], np.float32), np.zeros(1, np.float32)) for value in values],
        activation="relu",
        log_std=np.zeros(1, np.float32),
    )


def test_faults_are_named_one_by_one():
    assert loss_faults({"actor": 1.0, "critic": np.inf, "entropy": np.nan}) == [
        "inf for the loss of the critic",
        "nan for the loss of the entropy",
    ]
    assert actor_faults(("a", "b"), [network(1.0), network(1.0, np.nan)]) == [
        "1 of 5 parameters of b's policy that are not"
    ]
    state = {"norm": {"sums": torch.tensor([1.0, np.nan])}, "counts": {"updates": 3}, "draws": torch.tensor([1])}
    assert tensor_faults(state) == ["learner/norm/sums with 1 of 2 that are not"]
    require(1, [])
    with pytest.raises(Failed, match=r"round 7: expected finite numbers, got a; b; c; d; e; f; and 2 more"):
        require(7, list("abcdefgh"))


def test_an_export_that_overflows_is_refused_with_the_agents_name():
    with pytest.raises(ValueError, match="ann: expected finite outputs mean of its exported policy, got inf"):
        ActorExporter().export_all([network(3e38, 3e38)], ["ann"])
