"""What counts until a target is met."""

import json
import math

from bench.charging_training import reached


def check(steps, evaluations, relative):
    return {"kind": "check", "environment_steps": steps, "evaluations": evaluations, "relative": relative}


def test_the_checks_own_evaluations_add_up():
    rows = [
        check(100, 1_000, 0.5),
        {"kind": "round"},
        check(200, 2_000, 0.01),
        check(300, 4_000, 0.02),
        check(400, 8_000, 0.002),
    ]
    lines = "\n".join(map(json.dumps, rows))
    assert reached(lines) == ((200.0, math.inf), (200.0 + 3_000.0, math.inf))
    lines += "\n" + json.dumps(check(500, 16_000, 0.001))
    assert reached(lines) == ((200.0, 500.0), (3_200.0, 500.0 + 31_000.0))
