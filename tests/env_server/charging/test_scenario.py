"""Configuration and data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from env_server.environments.charging import Charging, ChargingConfig
from env_server.environments.charging.scenario import build, great_circle_km


def test_great_circle() -> None:
    lat, lon = np.array([-37.8136, 0.0, 0.0]), np.array([144.9631, 0.0, 0.0])
    to_lat, to_lon = np.array([-33.8688, 0.0, 90.0]), np.array([151.2093, 1.0, 77.0])
    km = great_circle_km(lat, lon, to_lat, to_lon)
    assert km[0, 0] == pytest.approx(713.8, abs=1.0)  # Melbourne to Sydney
    assert km[1, 1] == pytest.approx(2 * np.pi * 6371.0088 / 360)
    assert km[2, 2] == pytest.approx(np.pi / 2 * 6371.0088)
    np.testing.assert_allclose(great_circle_km(to_lat, to_lon, lat, lon), km.T)
    assert great_circle_km(lat, lon, lat, lon)[0, 0] == 0.0


def test_melbourne_is_the_data() -> None:
    config = ChargingConfig()
    scenario = build(config)
    assert scenario.stations == ("site 30", "site 7", "site 54", "site 43")
    assert scenario.demand.shape == (61, 8)
    # 71,341.882 kWh a day over all sites, less 4,800 of the faulty site 35; 30 kWh each.
    assert scenario.demand.sum() == pytest.approx((71341.882 - 4800.0) / 30)
    assert scenario.detour[30, 0] == 0.0  # site 30 costs nothing to reach from itself
    assert (scenario.detour >= 0).all()
    np.testing.assert_array_equal(scenario.posted, [0.45, 0.25, 0.25, np.nan])
    # From site 0 to site 30: 11.1 km, times 1.3 by road, at 30 km/h and 20 AUD/h.
    assert scenario.detour[0, 0] == pytest.approx(11.08 * 1.3 / 30 * 20, rel=0.01)


def test_melbourne_periods_can_be_merged() -> None:
    fine, coarse = build(ChargingConfig()), build(ChargingConfig(num_periods=4))
    np.testing.assert_allclose(coarse.demand, fine.demand.reshape(-1, 4, 2).sum(axis=2))


def test_stations_can_be_chosen() -> None:
    assert build(ChargingConfig(stations=(34, 60))).stations == ("site 34", "site 60")
    assert build(ChargingConfig(radius_km=5.0, num_stations=2)).stations == ("site 54", "site 29")


def test_brief_has_its_settings() -> None:
    config = ChargingConfig(scenario="brief")
    scenario = build(config)
    assert scenario.demand.shape == (24, 8)
    assert scenario.detour.shape == (24, 4)
    assert scenario.demand.sum() == pytest.approx(3750.0)
    assert scenario.outside == -12.0
    assert (config.theta, config.session_energy, config.energy_cost) == (0.1, 50.0, 0.6)
    assert (config.price_min, config.price_max, config.capacity, config.wait_seconds) == (0.5, 2.0, 120.0, 600.0)
    assert config.value_of_time / 3600 == 0.005
    again, other = build(config), build(ChargingConfig(scenario="brief", layout_seed=1))
    assert scenario.demand.tobytes() == again.demand.tobytes()
    assert not np.allclose(scenario.detour, other.detour)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        build(ChargingConfig()).demand[0, 0] = 1.0


CUSTOM: dict[str, Any] = {"scenario": "custom", "demand": [[1.0, 2.0]], "detour": [[0.0, 1.0]]}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"thta": 0.3}, "thta"),
        ({"theta": 0.0}, "theta"),
        ({"theta": float("nan")}, "theta"),
        ({"scenario": "sydney"}, "scenario"),
        ({"price_min": 0.8, "price_max": 0.8}, "price_min: expected < price_max 0.8, got 0.8"),
        ({"num_periods": 3}, "num_periods: expected a divisor of 8 for melbourne, got 3"),
        ({"scenario": "custom"}, "demand and detour: expected both"),
        ({"demand": [[1.0]], "detour": [[1.0]]}, "only for scenario custom, got scenario melbourne"),
        ({"scenario": "brief", "capacity": None}, "only for scenario melbourne, got brief"),
        ({"scenario": "brief", "stations": (1, 2)}, "only for scenario melbourne, got brief"),
        (["theta"], "dictionary"),
    ],
)
def test_bad_settings_are_refused(settings: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ChargingConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stations": (30, 35)}, r"stations: expected distinct ids among .* got \(30, 35\)"),
        ({"stations": (30, 30)}, "stations: expected distinct ids"),
        ({"num_stations": 40}, "num_stations: expected at most .* within 10.0 km of the centre, got 40"),
        ({"energy_cost": (0.2, 0.3)}, "energy_cost: expected one number or 8, got 2"),
        ({"quality": (0.2,)}, "quality: expected one number or 4, got 1"),
        ({**CUSTOM, "demand": [[0.0]]}, "demand: expected some, got zero"),
        ({**CUSTOM, "demand": [[1.0, 2.0], [1.0]]}, "got ragged or unequal rows"),
        ({**CUSTOM, "detour": [[1.0], [2.0]]}, "got ragged or unequal rows"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], words: str) -> None:
    config = ChargingConfig(**settings)
    with pytest.raises(ValueError, match=words):
        Charging(config, 1)


def test_a_configuration_is_immutable_and_survives_json() -> None:
    config = ChargingConfig(scenario="brief", shift_cost=None)
    with pytest.raises(ValidationError):
        config.theta = 1.0  # type: ignore[misc]
    assert ChargingConfig.model_validate_json(config.model_dump_json()) == config
