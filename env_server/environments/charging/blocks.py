"""What the compiled arithmetic works on: the game's constants, and the arrays of one block of joint prices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from env_server.environments.charging.lanes import LANES, compiled, inlined

Floats = NDArray[np.float64]


class Game(NamedTuple):
    """What the compiled code needs: Z zones, N stations, T periods, K = N*T flows; all float64.

    Attributes:
        pull: (N, Z), exp(quality - theta * detour) over the zone's largest such term or the outside's.
        pairs: (N*(N+1)/2, Z), products of two stations' pulls, lower triangle by rows.
        leave: (Z,), exp(outside utility) on the zone's scale; zeros where nobody can leave.
        demand: (1, T, Z), expected cars.
        energy_cost: (T,), money/kWh.
        slope: (N,), wait in money = slope * q**exponent.
        exponent: of the wait, at least 1.
        theta: 1/money.
        energy: kWh per charging.
        shift: exp(-theta * shift cost), 0 where nobody shifts.
        tolerance: largest |F(q) - q| accepted, cars.
        least: smallest flow that is told apart from none, far below the tolerance, cars.
        middle: money/kWh, the price that ``start`` belongs to.
        start: (K,), flows at the middle price.
        trend: (K, K), relative change of each flow per money/kWh of each price there.
    """

    pull: Floats
    pairs: Floats
    leave: Floats
    demand: Floats
    energy_cost: Floats
    slope: Floats
    exponent: float
    theta: float
    energy: float
    shift: float
    tolerance: float
    least: float
    middle: float
    start: Floats
    trend: Floats


class Work(NamedTuple):
    """A block's arrays; W = 3N flows are coupled in a band where cars shift, else N; P pairs of stations.

    Attributes:
        paid: (K, L), money for energy.
        q: (K, L), flows.
        f: (K, L), the demand F(q) that they cause.
        b: (K, L), exp(-theta * (paid + wait)), on the scale of the period's largest.
        scale: (T, L), logarithm of the scale of b.
        reach: (3T, L), factors of b for cars of period t that charge a period earlier, at once, or later.
        top: (T, L), logarithm of the scale of c.
        c: (K, L), b as seen from a period: with its neighbours', shifted. Scratch in ``differentiate``.
        g: (K, L), sum over zones of pull * share. Scratch in ``differentiate``.
        root: (K, L), sqrt(dwait/dq).
        step: (K, L), right-hand side and solution.
        demand: (T*Z, L), cars.
        share: (T*Z, L), demand over the logit's denominator.
        square: (T*Z, L), demand over the denominator squared.
        curve: (P*T, L), sum over zones of pairs * square.
        band: (K*W, L), lower band of H.
        factor: (K*W, L), of the Newton matrix.
        error: (1, L), largest |F(q) - q|.
    """

    paid: Floats
    q: Floats
    f: Floats
    b: Floats
    scale: Floats
    reach: Floats
    top: Floats
    c: Floats
    g: Floats
    root: Floats
    step: Floats
    demand: Floats
    share: Floats
    square: Floats
    curve: Floats
    band: Floats
    factor: Floats
    error: Floats


@compiled
def workspace(game: Game) -> Work:
    """Arrays for one block; band starts at zero, as its corners between uncoupled flows are never written."""
    n, z = game.pull.shape
    t = game.energy_cost.size
    k = n * t
    w = band_width(game)
    flows = np.empty((8, k, LANES))
    zones = np.empty((3, t * z, LANES))
    bands = np.zeros((2, k * w, LANES))
    return Work(
        flows[0], flows[1], flows[2], flows[3],
        np.empty((t, LANES)), np.empty((3 * t, LANES)), np.empty((t, LANES)), flows[4], flows[5],
        flows[6], flows[7],
        zones[0], zones[1], zones[2],
        np.empty((game.pairs.shape[0] * t, LANES)), bands[0], bands[1], np.empty((1, LANES)),
    )  # fmt: skip


@inlined
def band_width(game: Game) -> int:
    """Flows at most how far apart are coupled, plus one."""
    return game.slope.size * (3 if game.shift > 0.0 else 1)
