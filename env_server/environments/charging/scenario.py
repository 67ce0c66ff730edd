"""From a configuration to the arrays of the game."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.randomness import generator
from env_server.environments.charging.config import ChargingConfig

Floats = NDArray[np.float64]

DATA: Final = Path(__file__).parent / "data" / "melbourne.csv"
FAULTY_SITES: Final = (35, 44)
"""Site 35 is a sensor fault (a constant), site 44 never delivered anything."""
DATA_PERIODS: Final = 8
EARTH_RADIUS_KM: Final = 6371.0088
BRIEF_ZONES: Final = 24
BRIEF_SPACING_S: Final = 240.0


@dataclass(frozen=True)
class Scenario:
    """The game's arrays, for Z zones, N stations and T periods. All float64 and read-only.

    Attributes:
        stations: names of the stations.
        demand: (Z, T), mean number of cars per day that want to charge.
        demand_cv: (Z, T), coefficient of variation of the demand from day to day.
        detour: (Z, N), money to reach a station.
        capacity: (N,), cars per period.
        energy_cost: (T,), money/kWh.
        quality: (N,), utility.
        posted: (N,), money/kWh that the stations really posted, NaN where unknown.
        outside: utility of leaving; minus infinity where nobody can.
    """

    stations: tuple[str, ...]
    demand: Floats
    demand_cv: Floats
    detour: Floats
    capacity: Floats
    energy_cost: Floats
    quality: Floats
    posted: Floats
    outside: float

    @property
    def flow_scale(self) -> float:
        """Mean demand per station and period: the unit of observed flows and of the flow tolerance, in cars."""
        return float(self.demand.sum()) / float(self.detour.shape[1] * self.demand.shape[1])


def build(config: ChargingConfig) -> Scenario:
    """The arrays of a configuration.

    Raises:
        ValueError: a station id is unknown or repeated, too few stations lie around the centre, there is no demand, or
            an array has a shape that does not fit the number of stations and periods.
    """
    scenario = _BUILDERS[config.scenario](config)
    if not scenario.demand.sum() > 0.0:
        raise ValueError("demand: expected some, got zero in every zone and period")
    for array in vars(scenario).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return scenario


def great_circle_km(latitude: Floats, longitude: Floats, to_latitude: Floats, to_longitude: Floats) -> Floats:
    """Distance between every point of one list and every point of another by the haversine formula.

    Args:
        latitude: degrees, (A,).
        longitude: degrees, (A,).
        to_latitude: degrees, (C,).
        to_longitude: degrees, (C,).

    Returns:
        km, (A, C).
    """
    lat, lon, to_lat, to_lon = (np.radians(x) for x in (latitude, longitude, to_latitude, to_longitude))
    north = np.sin((to_lat[None, :] - lat[:, None]) / 2) ** 2
    east = np.sin((to_lon[None, :] - lon[:, None]) / 2) ** 2
    root = np.sqrt(north + np.cos(lat)[:, None] * np.cos(to_lat)[None, :] * east)
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(root, 1.0)))


def _spread(name: str, value: float | Sequence[float], length: int) -> Floats:
    """One value for all or one each, as (length,)."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim and array.shape != (length,):
        raise ValueError(f"{name}: expected one number or {length}, got {array.size}")
    return np.full(length, array) if array.ndim == 0 else array.copy()


def _quality(config: ChargingConfig, stations: int) -> Floats:
    return _spread("quality", config.quality or 0.0, stations)


@cache
def _sites() -> dict[int, dict[str, float]]:
    """The valid sites of the data by id; an unposted price is NaN."""
    with DATA.open(newline="") as file:
        rows = [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(file)]
    return {int(row["station_id"]): row for row in rows if int(row["station_id"]) not in FAULTY_SITES}


def _columns(sites: Sequence[dict[str, float]], prefix: str) -> Floats:
    return np.array([[site[f"{prefix}_p{p}"] for p in range(DATA_PERIODS)] for site in sites])


def _chosen(config: ChargingConfig) -> list[int]:
    """Ids of the competing stations: those asked for, or the busiest around the centre, busiest first."""
    sites = _sites()
    if config.stations:
        unknown = [site for site in config.stations if site not in sites]
        if unknown or len(set(config.stations)) < len(config.stations):
            raise ValueError(f"stations: expected distinct ids among {sorted(sites)}, got {config.stations}")
        return list(config.stations)
    centre = np.array([config.centre_latitude]), np.array([config.centre_longitude])
    near = [i for i, s in sites.items() if _distance(*centre, [s])[0, 0] <= config.radius_km]
    if len(near) < config.num_stations:
        raise ValueError(
            f"num_stations: expected at most {len(near)} within {config.radius_km} km of the centre, "
            f"got {config.num_stations}"
        )
    energy = {i: sum(sites[i][f"kwh_mean_p{p}"] for p in range(DATA_PERIODS)) for i in near}
    return sorted(near, key=lambda i: (-energy[i], i))[: config.num_stations]


def _distance(latitude: Floats, longitude: Floats, sites: Sequence[dict[str, float]]) -> Floats:
    return great_circle_km(
        latitude, longitude, np.array([s["latitude"] for s in sites]), np.array([s["longitude"] for s in sites])
    )


def _melbourne(config: ChargingConfig) -> Scenario:
    """Sites of the data: all are zones, some compete."""
    zones = list(_sites().values())
    chosen = [_sites()[i] for i in _chosen(config)]
    fold = (len(zones), config.num_periods, DATA_PERIODS // config.num_periods)
    mean = _columns(zones, "kwh_mean").reshape(fold).sum(axis=2)
    std = np.sqrt((_columns(zones, "kwh_std").reshape(fold) ** 2).sum(axis=2))
    km = _distance(np.array([s["latitude"] for s in zones]), np.array([s["longitude"] for s in zones]), chosen)
    money_per_km = config.value_of_time / config.speed * config.detour_factor * config.trip_legs
    peak = (mean + std)[[zones.index(s) for s in chosen]].max(axis=1) / config.session_energy
    drive = -config.theta * (config.session_energy * config.outside_price + money_per_km * config.outside_km)
    utility = {"drive": drive, "utility": config.outside_utility, "none": -np.inf}
    return Scenario(
        stations=tuple(f"site {int(s['station_id'])}" for s in chosen),
        demand=mean / config.session_energy,
        demand_cv=std / np.maximum(mean, 1e-12),
        detour=money_per_km * km,
        capacity=peak if config.capacity is None else _spread("capacity", config.capacity, len(chosen)),
        energy_cost=_spread("energy_cost", config.energy_cost, config.num_periods),
        quality=_quality(config, len(chosen)),
        posted=np.array([s["price_aud_per_kwh"] for s in chosen]),
        outside=utility[config.outside],
    )


def _synthetic(config: ChargingConfig, demand: Floats, detour: Floats) -> Scenario:
    """A game of given demand (Z, T) and detours (Z, N)."""
    stations, periods = detour.shape[1], demand.shape[1]
    if config.capacity is None:
        raise ValueError("capacity: expected a number or one per station, got None")
    return Scenario(
        stations=tuple(f"station {i}" for i in range(stations)),
        demand=demand,
        demand_cv=np.full(demand.shape, config.demand_noise_cv),
        detour=detour,
        capacity=_spread("capacity", config.capacity, stations),
        energy_cost=_spread("energy_cost", config.energy_cost, periods),
        quality=_quality(config, stations),
        posted=np.full(stations, np.nan),
        outside=config.outside_utility if config.outside == "utility" else -np.inf,
    )


def _brief(config: ChargingConfig) -> Scenario:
    """A generated town in place of a licensed network.

    24 zones stand on a jittered grid of 6 by 4, four minutes apart; travel is by the grid (Manhattan distance), and
    stations stand in zones spread evenly over the list, as 3, 10, 13 and 18 of 24 are over Sioux Falls. A zone's cars
    are log-normal around the mean, and leave by a morning and an evening peak.
    """
    rng = generator(config.layout_seed, 0)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(4), indexing="ij"), axis=-1).reshape(BRIEF_ZONES, 2)
    place = BRIEF_SPACING_S * (grid + rng.uniform(-0.3, 0.3, grid.shape))
    spread = (np.arange(config.num_stations) + 0.5) / config.num_stations
    home = place[(spread * BRIEF_ZONES).astype(np.int64)]
    seconds = np.abs(place[:, None, :] - home[None, :, :]).sum(axis=2)
    weight = np.exp(0.4 * rng.standard_normal(BRIEF_ZONES))
    hour = (np.arange(config.num_periods) + 0.5) / config.num_periods
    profile = 0.6 + np.exp(-(((hour - 0.3) / 0.12) ** 2)) + np.exp(-(((hour - 0.75) / 0.12) ** 2))
    demand = config.total_demand * np.outer(weight / weight.sum(), profile / profile.sum())
    return _synthetic(config, demand, seconds * config.value_of_time / 3600.0)


def _custom(config: ChargingConfig) -> Scenario:
    """Demand and detours as given."""
    rows = {len(row) for row in config.demand}, {len(row) for row in config.detour}
    if any(len(lengths) != 1 or 0 in lengths for lengths in rows) or len(config.demand) != len(config.detour):
        raise ValueError("demand, detour: expected (zones, periods) and (zones, stations), got ragged or unequal rows")
    return _synthetic(config, np.array(config.demand), np.array(config.detour))


_BUILDERS: Final[dict[str, Callable[[ChargingConfig], Scenario]]] = {
    "melbourne": _melbourne,
    "brief": _brief,
    "custom": _custom,
}
