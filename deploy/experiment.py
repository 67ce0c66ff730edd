"""What an experiment is: one file from which a whole run follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from agora.settings import Settings
from trainer.settings import TrainingSettings

RESUMABLE: Final = (("training", "max_environment_steps"), ("training", "epsilon"))
"""What a resumed run may change: when to stop. Anything else would make it another experiment."""

IMPORTS: Final = ("games", "pettingzoo_modules")
"""Fields of the environment that a resumed run keeps where they are not given again."""

LEARNS: Final = "onnx"
"""The policy of those who learn."""
Policy = Annotated[str, Field(pattern=r"^(onnx|(scripted|market):[A-Za-z0-9_]\S*)$")]
Replicas = Annotated[int, Field(ge=1, le=64)]
Parameters = dict[str, float | str]
GameName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
GameClass = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+:[A-Za-z_][A-Za-z0-9_]*$")]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class EnvironmentSettings(Settings):
    """Which game, and how it is set up."""

    name: str = Field("charging", min_length=1, description="the environment's name in the server's table")
    config: dict[str, Any] = Field(
        default_factory=dict, description="its configuration; missing keys take its defaults, unknown ones are refused"
    )
    games: dict[GameName, GameClass] = Field(
        default_factory=dict, description="games of your own: name to MODULE:CLASS, an Environment class"
    )
    pettingzoo_modules: tuple[Module, ...] = Field(
        (), description="modules of your own from which PettingZoo environments may be imported"
    )

    @property
    def imports(self) -> list[str]:
        """The flags by which an environment server is told which code it may import."""
        flags = [("--game", f"{name}={place}") for name, place in self.games.items()]
        flags += [("--pettingzoo-module", module) for module in self.pettingzoo_modules]
        return [word for flag in flags for word in flag]


class AgentOverrides(Settings):
    """What one agent does otherwise than the rest."""

    policy: Policy | None = Field(None, description="as `agents.policy`; none: the same")
    replicas: Replicas | None = Field(None, description="as `agents.replicas`; none: the same")
    parameters: Parameters | None = Field(None, description="as `agents.parameters`; none: the same")


class AgentSettings(Settings):
    """What answers for an agent."""

    policy: Policy = Field(
        LEARNS, description="what runs the policies: onnx (learns), scripted:NAME or market:STYLE (do not)"
    )
    replicas: Replicas = Field(1, description="processes that answer for the same agent")
    parameters: Parameters = Field(default_factory=dict, description="of a scripted policy, such as {price: 0.3}")


class AgentsSettings(AgentSettings):
    """The agent services: one per agent and replica, or one for all that learn."""

    together: bool = Field(
        False, description="whether one service answers for all learning agents without overrides, one frame a step"
    )
    overrides: dict[str, AgentOverrides] = Field(
        default_factory=dict, description="by agent id: an agent may follow a script while the others learn"
    )

    def of(self, agent: str) -> AgentSettings:
        """What answers for this agent."""
        own = self.overrides.get(agent, AgentOverrides())
        return AgentSettings(
            policy=self.policy if own.policy is None else own.policy,
            replicas=self.replicas if own.replicas is None else own.replicas,
            parameters=self.parameters if own.parameters is None else own.parameters,
        )

    def shared(self, ids: Sequence[str]) -> list[str]:
        """The agents that one service answers for."""
        learns = self.together and self.policy == LEARNS
        return [agent for agent in ids if agent not in self.overrides] if learns else []


class Experiment(Settings):
    """A run, from the game to the stop rule."""

    name: Identifier = Field(description="the run's name, and its folder's")
    seed: int = Field(0, ge=0, lt=2**63, description="keys all randomness of the run")
    environment: EnvironmentSettings = Field(default_factory=EnvironmentSettings, description="the game")
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="how to train, check and stop")
    agents: AgentsSettings = Field(default_factory=AgentsSettings, description="who answers for the agents")
    env_servers: int = Field(1, ge=1, le=64, description="environment servers that play blocks side by side")
    transport: Literal["tcp", "unix"] = Field("tcp", description="loopback ports, or sockets in a temporary folder")
    restarts: int = Field(12, ge=0, description="how often a process may be restarted within ten minutes")
    metrics: bool = Field(False, description="whether every process serves Prometheus /metrics on a loopback port")
