"""Find the theta at which the equilibrium's mean price is the mean that the stations posted.

``python -m env_server.environments.charging.calibrate`` prints the value that ``CALIBRATED_THETA`` states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from scipy.optimize import brentq

from env_server.environments.charging.config import ChargingConfig
from env_server.environments.charging.env import Charging
from env_server.environments.charging.equilibrium import equilibrium


@dataclass(frozen=True)
class Calibrate:
    """Find theta (1/AUD) so that Melbourne's equilibrium prices meet the posted ones on average.

    Attributes:
        target: mean price to meet, AUD/kWh; 0: the mean of the competing stations that posted a price.
        low: smallest theta to consider.
        high: largest theta to consider.
        stations: site ids; none: the default configuration's.
    """

    target: float = 0.0
    low: float = 0.25
    high: float = 1.0
    stations: tuple[int, ...] = ()


def mean_price(config: ChargingConfig) -> float:
    """Mean over stations and periods of the equilibrium prices, money/kWh."""
    game = Charging(config, 1)
    start = np.full((game.num_stations, game.num_periods), 0.5)
    return float(game.prices(equilibrium(game, start)).mean())


def posted_mean(config: ChargingConfig) -> float:
    """Mean posted price of the competing stations that posted one, money/kWh.

    Raises:
        ValueError: none did.
    """
    posted = Charging(config, 1).scenario.posted
    if np.isnan(posted).all():
        raise ValueError("target: expected a price, as none of the stations posted one, got none")
    return float(np.nanmean(posted))


def calibrated_theta(config: ChargingConfig, target: float, low: float, high: float) -> float:
    """The theta in [low, high] whose equilibrium has the target's mean price, to 1e-6.

    Raises:
        ValueError: the mean price does not cross the target between low and high.
    """

    def excess(theta: float) -> float:
        return mean_price(config.model_copy(update={"theta": theta})) - target

    ends = excess(low), excess(high)
    if ends[0] * ends[1] > 0.0:
        raise ValueError(
            f"target: expected between {ends[0] + target:.4f} and {ends[1] + target:.4f} money/kWh, got {target:.4f}"
        )
    return float(brentq(excess, low, high, xtol=1e-6))


def main(flags: Calibrate) -> float:
    """Calibrate and print the result."""
    given: dict[str, Any] = {"stations": flags.stations} if flags.stations else {}
    config = ChargingConfig(**given)
    target = flags.target or posted_mean(config)
    theta = calibrated_theta(config, target, flags.low, flags.high)
    reached = mean_price(config.model_copy(update={"theta": theta}))
    print(f"theta = {theta:.4f} 1/AUD: equilibrium mean price {reached:.4f}, target {target:.4f} AUD/kWh")
    return theta


if __name__ == "__main__":
    main(tyro.cli(Calibrate))
