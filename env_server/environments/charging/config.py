"""Every assumption of the charging game, with its unit and default.

Money is AUD in scenario ``melbourne`` and yuan in scenario ``brief``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from env_server.environments.base import EnvironmentConfig

Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]

CALIBRATED_THETA: Final = 0.4512
"""1/AUD; what ``python -m env_server.environments.charging.calibrate`` finds for the default scenario."""

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "melbourne": {},
    "brief": {
        "theta": 0.1,
        "session_energy": 50.0,
        "value_of_time": 18.0,
        "wait_seconds": 600.0,
        "energy_cost": 0.6,
        "price_min": 0.5,
        "price_max": 2.0,
        "capacity": 120.0,
        "shift_cost": 2.0,
        "outside": "utility",
        "outside_utility": -12.0,
    },
    "custom": {"congestion": "none", "outside": "none", "shift_cost": None, "capacity": 1.0},
}
"""What a scenario sets where the user sets nothing; ``melbourne`` is the fields' own defaults."""


class ChargingConfig(EnvironmentConfig):
    """Configuration of the charging game.

    Choosing a scenario fills every field that is not given from ``PRESETS``, so that a validated configuration states
    all assumptions. The variant of ``brief`` that counts revenue only, with nobody leaving or shifting, is
    ``ChargingConfig(scenario="brief", energy_cost=0.0, outside="none", shift_cost=None)``.
    """

    scenario: Literal["melbourne", "brief", "custom"] = Field(
        "melbourne", description="where zones, stations and demand come from; custom: from `demand` and `detour`"
    )
    num_stations: int = Field(4, ge=1, le=64, description="competing stations (ignored where `stations` is given)")
    num_periods: int = Field(8, ge=1, le=96, description="periods of a day; melbourne: a divisor of 8")
    stations: tuple[int, ...] = Field((), description="melbourne: site ids; empty: the busiest around the centre")
    centre_latitude: float = Field(-37.8136, ge=-90, le=90, description="degrees; default Melbourne's centre")
    centre_longitude: float = Field(144.9631, ge=-180, le=180, description="degrees")
    radius_km: Positive = Field(10.0, description="great-circle distance from the centre within which to choose")
    layout_seed: int = Field(0, ge=0, description="brief: seed of the generated network of 24 zones")
    total_demand: Positive = Field(3750.0, description="brief: cars that want to charge, per day")
    demand: tuple[tuple[NonNegative, ...], ...] = Field((), description="custom: cars per (zone, period)")
    detour: tuple[tuple[float, ...], ...] = Field((), description="custom: money per (zone, station)")

    theta: Positive = Field(CALIBRATED_THETA, description="sensitivity of choice to cost, 1/money")
    session_energy: Positive = Field(30.0, description="energy of one charging session, kWh")
    energy_cost: float | tuple[float, ...] = Field(
        0.2, description="a station's cost of energy, money/kWh, or one a period"
    )
    quality: tuple[float, ...] = Field((), description="utility of each station beside its costs; empty: zero")
    price_min: float = Field(0.1, description="price of action 0, money/kWh")
    price_max: float = Field(0.8, description="price of action 1, money/kWh")
    value_of_time: NonNegative = Field(20.0, description="money/hour, for driving and waiting alike")
    speed: Positive = Field(30.0, description="melbourne: mean driving speed, km/h")
    detour_factor: float = Field(1.3, ge=1.0, description="melbourne: road distance over great-circle distance")
    trip_legs: Positive = Field(
        1.0, description="melbourne: how often the distance is driven for charging; 2: there and back, 1: on an errand"
    )

    congestion: Literal["power", "linear", "none"] = Field(
        "power", description="power: a wait of wait_seconds*(q/capacity)**wait_exponent; linear: money, slope*q"
    )
    capacity: Positive | tuple[Positive, ...] | None = Field(
        None,
        description="cars per period at which the wait is wait_seconds; None (melbourne only): each station's busiest "
        "period's mean plus one standard deviation of energy, in sessions",
    )
    wait_seconds: NonNegative = Field(300.0, description="power: wait at capacity, s, valued at value_of_time")
    wait_exponent: float = Field(2.0, ge=1.0, le=16.0, description="power: exponent of load over capacity")
    congestion_slope: NonNegative = Field(0.0, description="linear: money per car of the period")

    shift_cost: NonNegative | None = Field(
        2.0, description="money to charge one period earlier or later, inside the day; None: nobody shifts"
    )
    outside: Literal["drive", "utility", "none"] = Field(
        "drive",
        description="drive (melbourne): as a station without a wait at outside_km and outside_price, by default the "
        "socket at home; utility: outside_utility; none: all cars charge at the stations",
    )
    outside_utility: float = Field(0.0, ge=-600, le=600, description="outside='utility': utility of leaving")
    outside_km: NonNegative = Field(0.0, description="outside='drive': great-circle km to the fallback")
    outside_price: NonNegative = Field(0.25, description="outside='drive': money/kWh there")

    episode_rounds: int = Field(8, ge=1, le=1_000_000, description="rounds before an episode is truncated")
    initial_prices: Literal["random", "middle"] = Field(
        "random", description="the prices seen at reset: uniform in the bounds per (seed, copy), or the middle"
    )
    demand_noise: bool = Field(
        False,
        description="day-to-day noise: each zone and period's demand times max(0, 1 + cv*x)/mean, x standard normal "
        "clipped at 4, so that the mean is kept; `payoff` is always of the mean demand",
    )
    demand_noise_cv: float = Field(
        0.3, ge=0.0, le=10.0, description="coefficient of variation cv; melbourne: from the data's columns instead"
    )
    flow_tolerance: float = Field(
        1e-9, ge=1e-12, le=1e-3, description="largest residual of a flow, over mean demand per station and period"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        """Fill the fields that were not given from the scenario's preset."""
        if not isinstance(values, dict):
            return values
        preset = PRESETS.get(str(values.get("scenario", "melbourne")), {})
        return {**preset, **values}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse combinations that mean nothing."""
        if self.price_min >= self.price_max:
            raise ValueError(f"price_min: expected < price_max {self.price_max}, got {self.price_min}")
        if self.scenario == "melbourne" and 8 % self.num_periods:
            raise ValueError(f"num_periods: expected a divisor of 8 for melbourne, got {self.num_periods}")
        if self.scenario == "custom" and not (self.demand and self.detour):
            raise ValueError("demand and detour: expected both for scenario custom, got none")
        if self.scenario != "custom" and (self.demand or self.detour):
            raise ValueError(f"demand and detour: only for scenario custom, got scenario {self.scenario}")
        if self.scenario != "melbourne" and (self.capacity is None or self.outside == "drive" or self.stations):
            raise ValueError(
                f"capacity=None, outside='drive' and stations: only for scenario melbourne, got {self.scenario}"
            )
        return self
