# SPDX-License-Identifier: AGPL-3.0-or-later
"""Random streams of their own for published agents, which all draw from the process's global generators."""

from __future__ import annotations

import random
from types import TracebackType

import numpy as np


class Stream:
    """Inside ``with``, ``random`` and ``numpy.random`` draw from this stream and move it on."""

    def __init__(self, *key: int) -> None:
        words = np.random.SeedSequence(key).generate_state(8)
        self._python = random.Random(words.tobytes()).getstate()
        self._numpy = np.random.MT19937(words)
        self._outer_python = self._python
        self._outer_numpy: np.random.BitGenerator = self._numpy

    def __enter__(self) -> None:
        self._outer_python = random.getstate()
        self._outer_numpy = np.random.get_bit_generator()  # type: ignore[attr-defined]
        random.setstate(self._python)
        np.random.set_bit_generator(self._numpy)  # type: ignore[attr-defined]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._python = random.getstate()
        random.setstate(self._outer_python)
        np.random.set_bit_generator(self._outer_numpy)  # type: ignore[attr-defined]
