"""Policies as strangers have them, exported by torch: Stable-Baselines3's of every kind, and networks of one's own."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BasePolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor, nn

BOX = spaces.Box(-2.0, 3.0, (6,), np.float32)
MOVES = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([1.0, 5.0], np.float32))
PICTURE = spaces.Box(0, 255, (2, 36, 36), np.uint8)
BOTH = spaces.Dict({"picture": PICTURE, "speed": spaces.Box(-1.0, 1.0, (3,), np.float32)})
MEMORY = 16


@dataclass(frozen=True)
class Exported:
    """A model, the spaces that it is for, and what it should do.

    Attributes:
        act: greedy action (B, ...) for the observation's leaves (B, ...), by its author's own code; with memory, that
            of a second step which sees the same.
    """

    model: bytes
    observation: spaces.Space[Any]
    action: spaces.Space[Any]
    act: Callable[[Sequence[np.ndarray]], np.ndarray]


def export(
    module: nn.Module, rows: Sequence[np.ndarray], inputs: Sequence[str], outputs: Sequence[str], free: bool = True
) -> bytes:
    """The module's ONNX bytes; the first axis is ``free``, or 1 as in the rows."""
    into, names = io.BytesIO(), [*inputs, *outputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(torch.as_tensor(values[:1]) for values in rows),
            into,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in names} if free else None,
        )
    return into.getvalue()


class Wrapped(nn.Module):
    """A function of a policy, as a module."""

    def __init__(self, policy: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.policy, self.function = policy, function

    def forward(self, *observation: Tensor) -> Any:
        """What the function makes of them."""
        return self.function(self.policy, *observation)


class OnnxableSB3Policy(nn.Module):
    """As in Stable-Baselines3's manual, "Exporting models"."""

    def __init__(self, policy: BasePolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Actions, values, log-probabilities."""
        return self.policy(observation, deterministic=True)


def _predicted(policy: BasePolicy) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    def act(leaves: Sequence[np.ndarray]) -> np.ndarray:
        keys = list(policy.observation_space) if isinstance(policy.observation_space, spaces.Dict) else None
        seen = dict(zip(keys, leaves, strict=True)) if keys else leaves[0]
        return policy.predict(seen, deterministic=True)[0]

    return act


def _sb3(
    kind: type[BasePolicy],
    seen: spaces.Space[Any],
    does: spaces.Space[Any],
    outputs: Sequence[str],
    function: Any,
    **options: Any,
) -> Exported:
    torch.manual_seed(3)
    policy = kind(seen, does, lambda _: 1e-3, **options)
    if hasattr(policy, "action_net"):
        _spread(policy, seen)
    policy.eval()
    parts = list(seen.values()) if isinstance(seen, spaces.Dict) else [seen]
    names = list(seen) if isinstance(seen, spaces.Dict) else ["observation"]
    rows = [part.sample()[None] for part in parts]
    return Exported(export(Wrapped(policy, function), rows, names, outputs), seen, does, _predicted(policy))


def _spread(policy: Any, seen: spaces.Space[Any]) -> None:
    """Make a fresh actor's answers differ: wide, and around zero for the observations that there are."""
    batch = [seen.sample() for _ in range(64)]
    rows = {key: np.stack([one[key] for one in batch]) for key in seen} if isinstance(seen, spaces.Dict) else batch
    with torch.no_grad():
        policy.action_net.weight.mul_(30.0)
        features = policy.extract_features(policy.obs_to_tensor(rows if isinstance(rows, dict) else np.stack(rows))[0])
        latent = policy.mlp_extractor.forward_actor(features)
        policy.action_net.bias.sub_(policy.action_net(latent).mean(0))


def _normal(policy: Any, observation: Any) -> tuple[Tensor, Tensor]:
    found = policy.get_distribution(observation).distribution
    return found.mean, found.stddev.log()


def _from_parts(policy: Any, picture: Tensor, speed: Tensor) -> Tensor:
    return policy.get_distribution({"picture": picture, "speed": speed}).distribution.logits


def _of_bits(policy: Any, observation: Tensor) -> Tensor:
    logits = policy.get_distribution(observation).distribution.logits
    return torch.stack([torch.zeros_like(logits), logits], 2).flatten(1)


def _unscaled(policy: Any, observation: Tensor) -> Tensor:
    low, high = torch.as_tensor(MOVES.low), torch.as_tensor(MOVES.high)
    return low + 0.5 * (policy._predict(observation, deterministic=True) + 1.0) * (high - low)


def _manual(does: spaces.Space[Any], outputs: Sequence[str], free: bool) -> Exported:
    torch.manual_seed(4)
    policy = ActorCriticPolicy(BOX, does, lambda _: 1e-3)
    rows = [np.zeros((1, 6), np.float32)]
    return Exported(export(OnnxableSB3Policy(policy), rows, ["input"], outputs, free), BOX, does, _predicted(policy))


def _own(
    network: nn.Module, does: spaces.Space[Any], inputs: Sequence[str], outputs: Sequence[str], function: Any
) -> Exported:
    network.eval()
    memory = [np.zeros((1, MEMORY), np.float32)] if "memory" in inputs else []
    model = export(network, [np.zeros((1, 6), np.float32), *memory], inputs, outputs)
    return Exported(model, BOX, does, function)


class Agent(nn.Module):
    """As in CleanRL's ppo_continuous_action, with the running normalisation of observations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.seen_mean, self.seen_var = nn.Parameter(torch.randn(6)), nn.Parameter(torch.rand(6))
        self.actor_mean = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
        self.actor_logstd = nn.Parameter(torch.zeros(1, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation."""
        x = torch.clamp((x - self.seen_mean) / torch.sqrt(self.seen_var + 1e-8), -10, 10)
        mean = self.actor_mean(x)
        return mean, self.actor_logstd.expand_as(mean)


class TwoInOne(nn.Module):
    """As RLlib's default models: one head whose halves are mean and log_std, behind whatever comes first."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.LazyLinear(4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log standard deviation."""
        return torch.chunk(self.head(self.body(x)), 2, dim=-1)


class Recurrent(nn.Module):
    """A GRU or LSTM that is asked for one step at a time."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.width = MEMORY // 2 if kind is nn.LSTM else MEMORY
        self.rnn, self.head = kind(6, self.width), nn.Linear(self.width, 5)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the next memory."""
        before = memory.unsqueeze(0)
        if self.width == MEMORY:
            out, after = self.rnn(x.unsqueeze(0), before)
        else:
            parts = (before[..., : self.width].contiguous(), before[..., self.width :].contiguous())
            out, pair = self.rnn(x.unsqueeze(0), parts)
            after = torch.cat(pair, -1)
        return self.head(out[0]), after[0]


class Tokens(nn.Module):
    """A transformer over the observation's numbers, with a token of its own in front."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.own = nn.Linear(1, 12), nn.Parameter(torch.randn(1, 1, 12))
        layer = nn.TransformerEncoderLayer(12, 3, 32, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        """The first token."""
        tokens = torch.cat([self.own.expand(x.shape[0], -1, -1), self.embed(x.unsqueeze(-1))], 1)
        return self.encoder(tokens)[:, 0]


class Pictured(nn.Module):
    """An image inside the observation's numbers: convolutions, pools and norms."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ELU(), nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, 8)."""
        return self.net(x.view(-1, 1, 2, 3))


def _half(body: nn.Module) -> Exported:
    torch.manual_seed(5)
    network = TwoInOne(body).eval()
    network(torch.zeros(2, 6))

    def act(leaves: Sequence[np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return np.clip(network(torch.as_tensor(leaves[0]))[0].numpy(), MOVES.low, MOVES.high)

    return _own(network, MOVES, ["observation"], ["mean", "log_std"], act)


def _clean_rl() -> Exported:
    torch.manual_seed(6)
    network = Agent()

    def act(leaves: Sequence[np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            return np.clip(network(torch.as_tensor(leaves[0]))[0].numpy(), MOVES.low, MOVES.high)

    return _own(network, MOVES, ["observation"], ["mean", "log_std"], act)


def _recurrent(kind: type[nn.Module]) -> Exported:
    """``act`` sees the same observation in two steps, so that the second answer shows the memory."""
    torch.manual_seed(7)
    network = Recurrent(kind)

    def act(leaves: Sequence[np.ndarray]) -> np.ndarray:
        with torch.no_grad():
            seen = torch.as_tensor(leaves[0])
            _, memory = network(seen, torch.zeros(len(seen), MEMORY))
            return network(seen, memory)[0].argmax(1).numpy()

    names = ["observation", "memory"], ["logits", "next_memory"]
    return _own(network, spaces.Discrete(5), *names, act)


CASES: dict[str, Callable[[], Exported]] = {
    "ppo-box": lambda: _sb3(ActorCriticPolicy, BOX, MOVES, ["mean", "log_std"], _normal),
    "a2c-sde": lambda: _sb3(ActorCriticPolicy, BOX, MOVES, ["mean", "log_std"], _normal, use_sde=True),
    "ppo-multidiscrete": lambda: _sb3(
        ActorCriticPolicy, BOX, spaces.MultiDiscrete([3, 4]), ["logits"],
        lambda p, o: torch.cat([d.logits for d in p.get_distribution(o).distribution], 1),
    ),
    "ppo-multibinary": lambda: _sb3(ActorCriticPolicy, BOX, spaces.MultiBinary(3), ["logits"], _of_bits),
    "ppo-cnn": lambda: _sb3(
        ActorCriticCnnPolicy, PICTURE, spaces.Discrete(4), ["logits"],
        lambda p, o: p.get_distribution(o).distribution.logits,
    ),
    "ppo-dict": lambda: _sb3(MultiInputActorCriticPolicy, BOTH, spaces.Discrete(4), ["logits"], _from_parts),
    "dqn": lambda: _sb3(DQNPolicy, BOX, spaces.Discrete(4), ["logits"], lambda p, o: p.q_net(o)),
    "sac": lambda: _sb3(SACPolicy, BOX, MOVES, ["mean"], _unscaled),
    "td3": lambda: _sb3(TD3Policy, BOX, MOVES, ["mean"], _unscaled),
    "manual-box": lambda: _manual(MOVES, ["mean", "value", "log_prob"], free=False),
    "manual-box-free": lambda: _manual(MOVES, ["mean", "value", "log_prob"], free=True),
    "manual-discrete": lambda: _manual(spaces.Discrete(4), ["action", "value", "log_prob"], free=False),
    "manual-discrete-free": lambda: _manual(spaces.Discrete(4), ["action", "value", "log_prob"], free=True),
    "clean-rl": _clean_rl,
    "halves-mlp": lambda: _half(nn.Sequential(nn.Linear(6, 32), nn.Mish(), nn.LayerNorm(32), nn.BatchNorm1d(32))),
    "halves-transformer": lambda: _half(Tokens()),
    "halves-convolutions": lambda: _half(Pictured()),
    "gru": lambda: _recurrent(nn.GRU),
    "lstm": lambda: _recurrent(nn.LSTM),
}  # fmt: skip
