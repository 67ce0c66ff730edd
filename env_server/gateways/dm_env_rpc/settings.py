"""Settings of dm_env_rpc's requests: tensors of one element under known names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.gateways.dm_env_rpc import wire_pb2 as pb

Given = Mapping[str, pb.Tensor]
_INTEGERS = ("int32s", "int64s", "uint32s", "uint64s")


@dataclass(frozen=True)
class WorldSettings:
    """What ``CreateWorld`` may say; None: as the server was told when it started.

    Attributes:
        environment: name of the game.
        config_json: its configuration.
        num_envs: copies that are stepped together; with more than one, tensors have them as their first axis.
        seed: what the world's episodes are drawn from.
    """

    environment: str | None
    config_json: str | None
    num_envs: int
    seed: int

    @classmethod
    def read(cls, given: Given) -> Self:
        """Out of a request.

        Raises:
            Refused: an unknown name, a wrong type, or a seed out of range.
        """
        check_names(given, ("environment", "config_json", "num_envs", "seed"))
        seed = _number(given, "seed", 0)
        if not 0 <= seed < 2**63:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "settings.seed", "0 to 2**63 - 1", str(seed))
        return cls(text(given, "environment"), text(given, "config_json"), _number(given, "num_envs", 1), seed)


def check_names(given: Given, known: tuple[str, ...]) -> None:
    """Refuse settings that nobody reads.

    Raises:
        Refused: a name is not among ``known``.
    """
    for name in given:
        if name not in known:
            expected = "one of " + ", ".join(known) if known else "no settings"
            raise Refused(policy_pb2.REASON_CONFIG, f"settings.{name}", expected, repr(name))


def text(given: Given, name: str) -> str | None:
    """A setting that is a string, or None.

    Raises:
        Refused: it is not one string.
    """
    if name not in given:
        return None
    strings = given[name].strings.array
    if len(strings) != 1:
        got = f"{len(strings)} strings as {given[name].WhichOneof('payload')}"
        raise Refused(policy_pb2.REASON_DATA_TYPE, f"settings.{name}", "one string", got)
    return str(strings[0])


def _number(given: Given, name: str, default: int) -> int:
    if name not in given:
        return default
    payload = given[name].WhichOneof("payload")
    numbers: Sequence[int] = getattr(given[name], payload).array if payload in _INTEGERS else ()
    if len(numbers) != 1:
        got = f"{len(numbers)} numbers as {payload}"
        raise Refused(policy_pb2.REASON_DATA_TYPE, f"settings.{name}", "one integer", got)
    return int(numbers[0])
