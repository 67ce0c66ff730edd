"""Where a PettingZoo environment comes from: "MODULE:FACTORY?KEY=VALUE&...", and what of it may be called."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from agora.errors import Refused
from agora.v1 import policy_pb2

ALLOWED = ["mpe2", "pettingzoo.atari", "pettingzoo.butterfly", "pettingzoo.classic", "pettingzoo.sisl"]
"""Environments may come from these modules and from those below them; whoever starts the server adds to them.

PettingZoo's own helpers are not among them: some import whatever module they are told to.
"""
MAKERS = "pettingzoo.utils.conversions"
"""Factories that its functions made say that they are of this module."""
DEFAULT_FACTORIES = ("parallel_env", "env")
_MODULE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", re.ASCII)
_FACTORY = re.compile(r"^[A-Za-z]\w*$", re.ASCII)
_FIELD = "environment.name"
_FORM = "pettingzoo:MODULE?KEY=VALUE&... or pettingzoo:MODULE:FACTORY?KEY=VALUE&..."


def allow(module: str) -> None:
    """Let environments come from ``module`` and from those below it.

    Raises:
        Refused: that is not a module's name.
    """
    if not _MODULE.match(module):
        raise Refused(policy_pb2.REASON_CONFIG, "pettingzoo_module", "the name of a module", repr(module))
    if module not in ALLOWED:
        ALLOWED.append(module)


@dataclass(frozen=True)
class Source:
    """A factory of environments, and what it is called with.

    Attributes:
        module: name of the module that has it.
        factory: its name; empty: ``parallel_env`` if the module has it, else ``env``.
        keywords: its arguments.
    """

    module: str
    factory: str
    keywords: dict[str, Any]

    @classmethod
    def parse(cls, text: str, allowed: Iterable[str]) -> Source:
        """Read what stands behind "pettingzoo:". Nothing is imported.

        Raises:
            Refused: UNKNOWN_ENVIRONMENT: it is malformed, or does not lie under one of the ``allowed`` modules.
        """
        place, _, query = text.partition("?")
        module, colon, factory = place.partition(":")
        if not _MODULE.match(module) or (colon and not _FACTORY.match(factory)):
            raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, _FORM, repr(text))
        _check_allowed(module, allowed)
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
        except ValueError as error:
            raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, _FORM, f"{text!r}: {error}") from error
        keywords = {key: _value(value) for key, value in pairs}
        if len(keywords) != len(pairs):
            raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, "every key once", repr(text))
        return cls(module, factory, keywords)

    def find(self, allowed: Iterable[str]) -> Callable[..., Any]:
        """Import the factory.

        Raises:
            Refused: there is none, it is not of an allowed module (UNKNOWN_ENVIRONMENT), or its module lacks another
                one (UNSUPPORTED).
        """
        module = self._import()
        names = (self.factory,) if self.factory else DEFAULT_FACTORIES
        found = (getattr(module, name) for name in names if hasattr(module, name))
        factory: Callable[..., Any] | None = next(found, None)
        if not callable(factory):
            expected = f"a function or class {' or '.join(names)} in {self.module}"
            raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, expected, "none")
        # A module's namespace holds what it imported, too.
        _check_allowed(str(getattr(factory, "__module__", None)), [*allowed, MAKERS])
        return factory

    def _import(self) -> Any:
        try:
            return importlib.import_module(self.module)
        except ImportError as error:
            missing = getattr(error, "name", None) or ""
            if f"{self.module}.".startswith(f"{missing}.") and missing != "pettingzoo":
                raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, "a module", str(error)) from error
            raise Refused(
                policy_pb2.REASON_UNSUPPORTED, _FIELD, "a module whose imports succeed", str(error)
            ) from error

    def build(self, allowed: Iterable[str]) -> Any:
        """Build an environment.

        Raises:
            Refused: as for ``find``, or the factory raised (CONFIG).
        """
        factory = self.find(allowed)
        try:
            return factory(**self.keywords)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            expected = f"arguments that {self.module} can build an environment from"
            raise Refused(policy_pb2.REASON_CONFIG, "environment.config.source", expected, got) from error


def _check_allowed(module: str, allowed: Iterable[str]) -> None:
    if not any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed):
        expected = f"a module under {', '.join(sorted(allowed))} (the server's flag --pettingzoo-module adds to them)"
        raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, _FIELD, expected, repr(module))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
