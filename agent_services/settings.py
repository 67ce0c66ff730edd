"""What an agent service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from agora.errors import Refused
from agora.names import check_policy_id
from agora.service import Listening
from agora.v1 import policy_pb2


@dataclass(frozen=True)
class Settings:
    """Answer for agents: a gRPC server (agora.v1.AgentService) that runs policies.

    Examples:
      python -m agent_services --policy scripted:fixed_price --parameter price=0.3
      python -m agent_services --policy-id station_0 --registry 127.0.0.1:7000
      python -m agent_services --policy remote:oip --parameter address=127.0.0.1:8081 --parameter model=prices
    """

    where: Annotated[Listening, tyro.conf.arg(name="")] = field(default_factory=Listening)
    policy: str = "onnx"
    """Kind of policy: onnx, torch, market:STYLE, scripted:NAME with NAME out of fixed_price, cost_plus, undercut,
    random, haggler and the particle_... of mpe's games, or remote:oip for a model of a server that speaks the Open
    Inference Protocol (MLServer, Triton, KServe)."""
    policy_id: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Id of a policy to hold; may be given several times. Without it: "default"."""
    registry: str | None = None
    """Address of the registry whose versions are served as they come (onnx and torch)."""
    model: Path | None = None
    """File to serve until the registry has a version: ONNX, or safetensors for torch."""
    parameter: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE for a scripted, market or remote policy; may be given several times. remote:oip needs address=HOST:PORT
    and model=NAME, and takes version=VERSION and timeout=SECONDS."""
    keep_versions: int = 8
    """How many versions of a policy stay in memory; older ones are fetched again when asked for."""

    @property
    def kind(self) -> str:
        """What stands before the colon of ``policy``."""
        return self.policy.partition(":")[0]

    @property
    def name(self) -> str:
        """What stands behind it."""
        return self.policy.partition(":")[2]

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """Every policy id once."""
        return tuple(dict.fromkeys(self.policy_id)) or ("default",)

    @property
    def parameters(self) -> dict[str, str]:
        """``parameter`` as a mapping.

        Raises:
            Refused: one of them is not KEY=VALUE.
        """
        pairs = [text.partition("=") for text in self.parameter]
        for text, (key, sign, _) in zip(self.parameter, pairs, strict=True):
            if not key or not sign:
                raise Refused(policy_pb2.REASON_CONFIG, "parameter", "KEY=VALUE", text)
        return {key: value for key, _, value in pairs}

    def check(self) -> None:
        """Refuse settings that do not go together.

        Raises:
            Refused: naming the setting, what was expected and what came.
        """
        for number, policy_id in enumerate(self.policy_id):
            check_policy_id(policy_id, f"policy_id[{number}]")
        learned = self.kind in ("onnx", "torch")
        if learned and self.registry is None and self.model is None:
            raise Refused(policy_pb2.REASON_CONFIG, "registry", f"--registry or --model for {self.kind}", "neither")
        for name in ("registry", "model") if not learned else ("parameter",):
            if getattr(self, name):
                raise Refused(policy_pb2.REASON_CONFIG, name, f"nothing for {self.policy}", str(getattr(self, name)))
        if self.keep_versions < 2:
            expected = ">= 2: the serving version and the one that replaces it"
            raise Refused(policy_pb2.REASON_CONFIG, "keep_versions", expected, str(self.keep_versions))
