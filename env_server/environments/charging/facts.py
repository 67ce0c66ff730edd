"""What the configured game knows of itself, for reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from env_server.environments.charging.config import ChargingConfig
from env_server.environments.charging.scenario import Scenario

CURRENCY = {"melbourne": "AUD", "brief": "CNY"}


def facts(config: ChargingConfig, scenario: Scenario) -> dict[str, Any]:
    """Names, units, and the prices that were really posted; see ``Environment.facts``."""
    periods = scenario.demand.shape[1]
    hours = 24 / periods
    labels = [f"{int(t * hours):02d}–{int((t + 1) * hours):02d} h" for t in range(periods)]
    if config.scenario != "melbourne":
        labels = [f"period {t}" for t in range(periods)]
    money = CURRENCY.get(config.scenario, "money")
    posted = [None if np.isnan(price) else float(price) for price in scenario.posted]
    return {
        "currency": money,
        "action": {"title": "price", "unit": f"{money}/kWh", "low": config.price_min, "high": config.price_max},
        "agent_titles": {f"station_{i}": name for i, name in enumerate(scenario.stations)},
        "panels": [
            {
                "title": "Price per period",
                "info": "prices",
                "unit": f"{money}/kWh",
                "labels": labels,
                "reference": posted,
                "reference_title": "posted price",
            },
            {
                "title": "Cars that charge, per period",
                "info": "flows",
                "unit": "cars",
                "labels": labels,
                "reference": [None] * len(posted),
            },
        ],
    }
