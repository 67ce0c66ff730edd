"""All copies of a game, played by several processes in step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.wire import Kind, report_dtype
from env_server.environments.scml.engine import Engine


class Fleet:
    """Processes, each with its share of the copies; they work side by side, and every call waits for all of them."""

    def __init__(self, shape: tuple[int, ...], copies: int, processes: int, patience: float) -> None:
        """Nothing is started yet; see ``Engine`` for ``patience``."""
        self._report = report_dtype(shape)
        self._patience = patience
        self._shares = np.array_split(np.arange(copies), processes)
        self._engines: list[Engine | None] = [None] * processes

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run."""
        return [engine.pid for engine in self._engines if engine is not None and engine.alive]

    def start(self, worlds: Sequence[dict[str, Any]], run: str | None) -> NDArray[Any]:
        """Begin new worlds, and play each to its first question; processes that are missing are started.

        Args:
            worlds: per copy, as in a START message.
            run: folder for tables, or None.

        Returns:
            Records of ``report_dtype``, one per copy, in order.

        Raises:
            Refused: a process is gone, hangs, or cannot play.
        """
        engines = [self._engine(i) for i in range(len(self._engines))]
        for engine, share in zip(engines, self._shares, strict=True):
            order = {"run": run, "worlds": [worlds[i] for i in share]}
            engine.ask(Kind.START, json.dumps(order).encode())
        return self._gather(engines)

    def _engine(self, place: int) -> Engine:
        engine = self._engines[place]
        if engine is None or not engine.alive:
            if engine is not None:
                engine.close()
            self._engines[place] = engine = Engine(self._patience)
        return engine

    def answer(self, answers: NDArray[Any]) -> NDArray[Any]:
        """Play on.

        Args:
            answers: records of ``answers_dtype`` for all copies that have not ended, in order.

        Returns:
            Their records of ``report_dtype``, in order.

        Raises:
            Refused: a process is gone, hangs, or a world broke down.
        """
        asked = []
        for engine, share in zip(self._engines, self._shares, strict=True):
            mine = answers[np.searchsorted(answers["copy"], share[0]) : np.searchsorted(answers["copy"], share[-1] + 1)]
            if len(mine) and engine is not None:
                engine.ask(Kind.ANSWERS, mine.tobytes())
                asked.append(engine)
        return self._gather(asked)

    def _gather(self, engines: Sequence[Engine]) -> NDArray[Any]:
        return np.concatenate([np.frombuffer(engine.answer(), self._report) for engine in engines])

    def close(self) -> None:
        """End all processes."""
        for engine in self._engines:
            if engine is not None:
                engine.close()
        self._engines = [None] * len(self._engines)
