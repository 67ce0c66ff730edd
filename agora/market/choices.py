"""What the choices of a market's seats mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from agora.market.messages import Kind

OFFSETS: Final = np.array([0, 1, 2, 3, 5, 8, 12])
"""Maker: ticks of a quote beyond the price nearest to the middle; one more choice, ``NO_QUOTE``, is none."""
NO_QUOTE: Final = len(OFFSETS)
SIZES: Final = np.array([1, 2, 5, 10])
"""Lots."""
STEPS: Final = np.array([-2, -1, 0, 1, 2, 4, 8])
"""Trader: ticks behind the best price of its side; below 0: before it."""
HOLD, LIMIT, POST, IOC, MARKET, CANCEL = range(6)
"""Trader: what to do. ``CANCEL`` cancels all its orders."""
KINDS: Final = np.array([0, Kind.LIMIT, Kind.POST, Kind.IOC, Kind.MARKET, 0], np.int64)
"""Messages of the acts."""
MAKER_CHOICES: Final = (len(OFFSETS) + 1, len(OFFSETS) + 1, len(SIZES))
"""Bid, ask, size."""
TRADER_CHOICES: Final = (len(KINDS), 2, len(STEPS), len(SIZES))
"""Act, side, step, size."""
