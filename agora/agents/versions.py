"""The versions of a policy that are in memory, and which of them acts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from prometheus_client import Counter

from agora.agents import metrics
from agora.agents.policy import Policy, Spaces
from agora.errors import Refused
from agora.v1 import policy_pb2 as pb

Version = tuple[int, int]
"""(epoch, step)."""
NO_VERSION: Version = (0, 0)
_REMEMBERED_REFUSALS = 256


@dataclass(frozen=True)
class Held:
    """A policy version in memory.

    Attributes:
        sha256: of the model's bytes, hex; empty without a model.
        spaces: what it was made for and tried on; None if that is not known beforehand.
        spec: the same for people and programs that ask; None if it fits many spaces or does not tell.
        exact: whether the rows beside a row may not change a bit of its answer. What others wrote, on libraries whose
            sums depend on the size of a batch, is only held to nearly the same answer.
    """

    policy: Policy
    version: Version
    sha256: str = ""
    spaces: Spaces | None = None
    spec: pb.PolicySpec | None = None
    exact: bool = True


@dataclass(frozen=True)
class Requirement:
    """Which version must act: at least ``minimum``, or ``exact``; neither means the newest there is."""

    minimum: Version | None = None
    exact: Version | None = None

    @classmethod
    def from_proto(cls, reference: pb.PolicyReference) -> Requirement:
        """From a frame's reference."""
        match reference.WhichOneof("requirement"):
            case "min_version":
                return cls(minimum=(reference.min_version.epoch, reference.min_version.step))
            case "exact_version":
                return cls(exact=(reference.exact_version.epoch, reference.exact_version.step))
        return ANY


ANY = Requirement()


@dataclass
class Shelf:
    """The versions of one policy id.

    Attributes:
        keep: how many versions stay in memory, the serving one included.
        fetch: brings an older version in, if there is a registry: puts or refuses it here. Raises nothing.
        seats: the spaces of the agents that open streams announced for this policy.
        serving: what acts when no version is asked for; it never becomes older.
        refused: why versions were refused.
        rows: counts decisions.
    """

    policy_id: str
    kind: str
    keep: int = 8
    fetch: Callable[[Version], Awaitable[None]] | None = None
    seats: list[Spaces] = field(default_factory=list)
    serving: Held | None = None
    refused: OrderedDict[Version, Refused] = field(default_factory=OrderedDict)
    rows: Counter = field(init=False)
    _held: OrderedDict[Version, Held] = field(default_factory=OrderedDict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.rows = metrics.ROWS.labels(self.policy_id)

    def held(self) -> list[Held]:
        """Everything in memory."""
        return list(self._held.values())

    def put(self, held: Held) -> None:
        """Add a version. If it is the newest, it acts from the next frame on."""
        self._held[held.version] = held
        self._held.move_to_end(held.version)
        self.refused.pop(held.version, None)
        if self.serving is None or held.version > self.serving.version:
            self.serving = held
        for version in list(self._held):
            if len(self._held) > self.keep and version not in (self.serving.version, held.version):
                del self._held[version]
        self._wake()

    def refuse(self, version: Version, why: Refused) -> None:
        """Remember that a version cannot act, and why."""
        self.refused[version] = why
        while len(self.refused) > _REMEMBERED_REFUSALS:
            self.refused.popitem(last=False)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def find(self, requirement: Requirement) -> Held | None:
        """The version that must act, if it is here now."""
        if requirement.exact is not None:
            held = self._held.get(requirement.exact)
            if held is not None:
                self._held.move_to_end(requirement.exact)
            return held
        serving = self.serving
        if serving is None or (requirement.minimum is not None and serving.version < requirement.minimum):
            return None
        return serving

    async def wait(self, requirement: Requirement, seconds: float | None) -> Held:
        """The version that must act, as soon as it is here.

        Raises:
            Refused: REASON_VERSION_UNAVAILABLE, after ``seconds`` (None waits for ever) or when it never can come.
        """
        fetching = None
        if requirement.exact is not None and self.fetch is not None:
            fetching = asyncio.ensure_future(self.fetch(requirement.exact))
        try:
            async with asyncio.timeout(seconds):
                while (held := self.find(requirement)) is None:
                    if requirement.exact in self.refused:
                        raise self.unavailable(requirement, retryable=False)
                    if self.fetch is None:
                        raise self.unavailable(requirement, retryable=False)
                    await self._changed.wait()
                return held
        except TimeoutError:
            raise self.unavailable(requirement, retryable=True) from None
        finally:
            if fetching is not None:
                fetching.cancel()

    def unavailable(self, requirement: Requirement, *, retryable: bool) -> Refused:
        """Why a version cannot act."""
        wanted = requirement.exact or requirement.minimum
        expected = "any version" if wanted is None else f"{'at least ' * (requirement.exact is None)}{_text(wanted)}"
        got = _text(self.serving.version) if self.serving else "none"
        if requirement.exact is not None:
            got = "not held"
        reasons = [v for v in self.refused if wanted is None or v == wanted or (not requirement.exact and v > wanted)]
        if reasons:
            got += f"; {_text(max(reasons))} was refused: {self.refused[max(reasons)]}"
        field_ = "policy.exact_version" if requirement.exact else "policy.min_version" if wanted else "policy"
        return Refused(pb.REASON_VERSION_UNAVAILABLE, field_, expected, got, retryable=retryable)


def _text(version: Version) -> str:
    return f"version {version[0]}-{version[1]}"
