"""Compiled arithmetic of the logit equilibrium: Newton's method on a block of ``LANES`` joint prices at a time.

The mathematics is told in ``flows``. Arrays of a block are (rows, LANES); flows are rows k = period * N + station,
zones are rows period * Z + zone, and entry (k, k - d) of a band matrix is row k * width + d.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from env_server.environments.charging.lanes import (
    LANES,
    Lanes,
    compiled,
    exponential,
    load,
    maximum,
    minimum,
    splat,
    square_root,
    store,
)

Floats = NDArray[np.float64]

FULL_STEPS: Final = 12
"""Newton steps of a block before the lanes that are not there yet get a line search each."""
SEARCHED_STEPS: Final = 300
TINY: Final = 1e-280
"""Added to denominators that no choice contributes to."""


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
        best: (T, L), logarithm of the scale of b.
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
    best: Floats
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


@compiled
def band_width(game: Game) -> int:
    """Flows at most how far apart are coupled, plus one."""
    return game.slope.size * (3 if game.shift > 0.0 else 1)


@compiled
def _power(base: Lanes, exponent: float, scratch: Floats) -> Lanes:
    """base**exponent for base > 0; small integers by multiplication."""
    if exponent == 1.0:
        return base
    if exponent == 2.0:
        return base * base
    if exponent == 3.0:
        return base * base * base
    if exponent == 4.0:
        return (base * base) * (base * base)
    store(scratch, 0, base)
    for lane in range(LANES):
        scratch[0, lane] = scratch[0, lane] ** exponent
    return load(scratch, 0)


@compiled
def _attract(game: Game, w: Work) -> None:
    """Fill b, on the scale of each period's largest, and reach and top: exponents never all underflow."""
    n, periods = game.slope.size, game.energy_cost.size
    for t in range(periods):
        best = splat(-np.inf)
        for k in range(t * n, (t + 1) * n):
            wait = game.slope[k - t * n] * _power(load(w.q, k), game.exponent, w.error)
            utility = -game.theta * (load(w.paid, k) + wait)
            store(w.b, k, utility)
            best = maximum(best, utility)
        store(w.best, t, best)
        for k in range(t * n, (t + 1) * n):
            store(w.b, k, exponential(load(w.b, k) - best))
    for t in range(periods):
        _reach(game, w, t)


@compiled
def _reach(game: Game, w: Work, t: int) -> None:
    """Fill a period's top and rows 3t, 3t+1, 3t+2 of reach, for charging a period earlier, then, or later."""
    last = game.energy_cost.size - 1
    top = load(w.best, t)
    if game.leave[0] > 0.0:
        top = maximum(top, splat(0.0))
    if game.shift > 0.0:
        away = math.log(game.shift)
        if t > 0:
            top = maximum(top, load(w.best, t - 1) + away)
        if t < last:
            top = maximum(top, load(w.best, t + 1) + away)
        store(w.reach, 3 * t, exponential(load(w.best, t - 1) + away - top) if t > 0 else splat(0.0))
        store(w.reach, 3 * t + 2, exponential(load(w.best, t + 1) + away - top) if t < last else splat(0.0))
    store(w.reach, 3 * t + 1, exponential(load(w.best, t) - top))
    store(w.top, t, top)


@compiled
def _offer(game: Game, w: Work, k: int) -> Lanes:
    """What a car of k's period sees of k's station: b over the periods in reach."""
    n = game.slope.size
    t = k // n
    total = load(w.reach, 3 * t + 1) * load(w.b, k)
    if game.shift > 0.0:
        if k >= n:
            total = total + load(w.reach, 3 * t) * load(w.b, k - n)
        if k + n < w.b.shape[0]:
            total = total + load(w.reach, 3 * t + 2) * load(w.b, k + n)
    return total


@compiled
def _demanded(game: Game, w: Work, k: int) -> Lanes:
    """F of k: b times g over the periods that k is in reach of."""
    n = game.slope.size
    t = k // n
    total = load(w.reach, 3 * t + 1) * load(w.g, k)
    if game.shift > 0.0:
        if k >= n:
            total = total + load(w.reach, 3 * t - 1) * load(w.g, k - n)
        if k + n < w.b.shape[0]:
            total = total + load(w.reach, 3 * t + 3) * load(w.g, k + n)
    return total * load(w.b, k)


@compiled
def _dot(weights: Floats, row: int, values: Floats, first: int) -> Lanes:
    """Sum of a row of weights times as many rows of values, in two chains for the processor to overlap."""
    even, odd = splat(0.0), splat(0.0)
    count = weights.shape[1]
    for z in range(0, count - 1, 2):
        even = even + weights[row, z] * load(values, first + z)
        odd = odd + weights[row, z + 1] * load(values, first + z + 1)
    if count % 2:
        even = even + weights[row, count - 1] * load(values, first + count - 1)
    return even + odd


@compiled
def choose(game: Game, w: Work) -> None:
    """Fill f with the demand that the flows q cause, and error with how far the two are apart."""
    n, zones = game.pull.shape
    _attract(game, w)
    leaving = game.leave[0] > 0.0
    for k in range(w.b.shape[0]):
        store(w.c, k, _offer(game, w, k))
    for t in range(game.energy_cost.size):
        stay = exponential(splat(0.0) - load(w.top, t)) if leaving else splat(0.0)
        for z in range(zones):
            total = stay * game.leave[z] + TINY
            for i in range(n):
                total = total + game.pull[i, z] * load(w.c, t * n + i)
            inverse = splat(1.0) / total
            share = load(w.demand, t * zones + z) * inverse
            store(w.share, t * zones + z, share)
            store(w.square, t * zones + z, share * inverse)
        for i in range(n):
            store(w.g, t * n + i, _dot(game.pull, i, w.share, t * zones))
    worst = splat(0.0)
    for k in range(w.f.shape[0]):
        flow, q = _demanded(game, w, k), load(w.q, k)
        store(w.f, k, flow)
        worst = maximum(worst, maximum(flow - q, q - flow))
    store(w.error, 0, worst)


@compiled
def linearise(game: Game, w: Work) -> None:
    """Fill band with H = -dF/dcost at the flows last chosen, root, and factor with root * H * root."""
    n, zones = game.pull.shape
    periods, width = game.energy_cost.size, band_width(game)
    for p in range(game.pairs.shape[0]):
        for t in range(periods):
            store(w.curve, p * periods + t, -game.theta * _dot(game.pairs, p, w.square, t * zones))
    _fill_band(game, w)
    for k in range(w.q.shape[0]):
        q = load(w.q, k)
        rise = (game.slope[k % n] * game.exponent) * _power(q, game.exponent, w.error)
        root = square_root(rise / q)
        store(w.root, k, root)
        store(w.band, k * width, load(w.band, k * width) + game.theta * load(w.f, k))
        for d in range(min(width, k + 1)):
            store(w.factor, k * width + d, load(w.band, k * width + d) * root * load(w.root, k - d))


@compiled
def _fill_band(game: Game, w: Work) -> None:
    """Fill band with the part of H that ties pairs of stations i >= j, in periods t >= u that some cars can reach both."""
    n, periods, width = game.slope.size, game.energy_cost.size, band_width(game)
    for t in range(periods):
        for u in range(max(0, t + 1 - width // n), t + 1):
            early, same, late = _ties(game, w, t, u)
            for i in range(n):
                for j in range(i + 1):
                    row = (i * (i + 1) // 2 + j) * periods + t
                    total = same * load(w.curve, row)
                    if game.shift > 0.0 and t > 0:
                        total = total + early * load(w.curve, row - 1)
                    if u == t and game.shift > 0.0 and t + 1 < periods:
                        total = total + late * load(w.curve, row + 1)
                    k, d = t * n + i, (t - u) * n + i - j
                    store(w.band, k * width + d, total * load(w.b, k) * load(w.b, k - d))
                    if u < t and j < i:
                        k, d = t * n + j, (t - u) * n + j - i
                        store(w.band, k * width + d, total * load(w.b, k) * load(w.b, k - d))


@compiled
def _ties(game: Game, w: Work, t: int, u: int) -> tuple[Lanes, Lanes, Lanes]:
    """How cars of period t - 1, t and t + 1 reach both t and u <= t."""
    early, same, late = splat(0.0), splat(0.0), splat(0.0)
    if u == t:
        same = load(w.reach, 3 * t + 1) * load(w.reach, 3 * t + 1)
        if game.shift > 0.0 and t > 0:
            early = load(w.reach, 3 * t - 1) * load(w.reach, 3 * t - 1)
        if game.shift > 0.0 and t + 1 < game.energy_cost.size:
            late = load(w.reach, 3 * t + 3) * load(w.reach, 3 * t + 3)
    elif u == t - 1:
        same = load(w.reach, 3 * t + 1) * load(w.reach, 3 * t)
        early = load(w.reach, 3 * t - 1) * load(w.reach, 3 * t - 2)
    else:
        early = load(w.reach, 3 * t - 1) * load(w.reach, 3 * t - 3)
    return early, same, late


@compiled
def factorise(game: Game, w: Work) -> None:
    """Factor the band matrix in factor as L D L', with 1/D on the diagonal."""
    width = band_width(game)
    size = w.q.shape[0]
    for k in range(size):
        reach = min(width, size - k)
        inverse = splat(1.0) / load(w.factor, k * width)
        store(w.factor, k * width, inverse)
        for d in range(1, reach):
            row = (k + d) * width
            scaled = load(w.factor, row + d) * inverse
            for e in range(1, d + 1):
                # Columns left of d still hold L D, which is what is to be subtracted here.
                old = load(w.factor, row + d - e)
                store(w.factor, row + d - e, old - scaled * load(w.factor, (k + e) * width + e))
        for d in range(1, reach):
            row = (k + d) * width + d
            store(w.factor, row, load(w.factor, row) * inverse)


@compiled
def substitute(game: Game, w: Work) -> None:
    """Solve the factored system for step, in place."""
    width = band_width(game)
    size = w.q.shape[0]
    for k in range(size):
        total = load(w.step, k)
        for d in range(1, min(width, k + 1)):
            total = total - load(w.factor, k * width + d) * load(w.step, k - d)
        store(w.step, k, total)
    for k in range(size - 1, -1, -1):
        total = load(w.step, k) * load(w.factor, k * width)
        for d in range(1, min(width, size - k)):
            total = total - load(w.factor, (k + d) * width + d) * load(w.step, k + d)
        store(w.step, k, total)


@compiled
def newton(game: Game, w: Work, logarithmic: bool) -> None:
    """Fill step with the relative change of q by Newton's method on log F(q) = log q, or else on F(q) = q."""
    linearise(game, w)
    width = band_width(game)
    for k in range(w.q.shape[0]):
        q = load(w.q, k)
        # Newton needs the logarithm only near one; elsewhere this Pade approximant, within 3 of zero, bounds the step.
        x = minimum(maximum(load(w.f, k), splat(game.least)) / q, splat(1e30))
        log = 3.0 * (x * x - 1.0) / (x * x + 4.0 * x + 1.0)
        if not logarithmic:
            log, x = x - 1.0, splat(1.0)
        store(w.factor, k * width, load(w.factor, k * width) + x)
        store(w.step, k, load(w.root, k) * q * x * log)
    factorise(game, w)
    substitute(game, w)
    for k in range(w.q.shape[0]):
        store(w.step, k, load(w.step, k) / (load(w.root, k) * load(w.q, k)))


@compiled
def _moved(q: Lanes, move: Lanes) -> Lanes:
    """q * exp(move) to second order, and positive."""
    up, down = maximum(move, splat(0.0)), maximum(splat(0.0) - move, splat(0.0))
    return q * (1.0 + up + 0.5 * up * up) / (1.0 + down + 0.5 * down * down)


@compiled
def fill(game: Game, prices: Floats, demand: Floats, first: int, w: Work) -> None:
    """Copy a block's prices and demand into lanes, and guess the flows; the last copy fills lanes beyond the batch."""
    copies, n, periods = prices.shape
    zones = demand.shape[2]
    for lane in range(LANES):
        m = min(first + lane, copies - 1)
        for t in range(periods):
            for i in range(n):
                w.paid[t * n + i, lane] = game.energy * prices[m, i, t]
        if demand.shape[0] > 1 or first == 0:
            day = m if demand.shape[0] > 1 else 0
            for row in range(w.demand.shape[0]):
                w.demand[row, lane] = demand[day, row // zones, row % zones]
    for k in range(w.q.shape[0]):
        store(w.step, k, load(w.paid, k) * (1.0 / game.energy) - game.middle)
    for k in range(w.q.shape[0]):
        move = _dot(game.trend, k, w.step, 0)
        up, down = maximum(move, splat(0.0)), maximum(splat(0.0) - move, splat(0.0))
        store(w.q, k, maximum(splat(game.least), game.start[k] * (1.0 + up) / (1.0 + down)))


@compiled
def _times_band(game: Game, w: Work, source: Floats, target: Floats) -> None:
    """target = H source."""
    size, width = w.q.shape[0], band_width(game)
    for k in range(size):
        total = load(w.band, k * width) * load(source, k)
        for d in range(1, min(width, k + 1)):
            total = total + load(w.band, k * width + d) * load(source, k - d)
        for d in range(1, min(width, size - k)):
            total = total + load(w.band, (k + d) * width + d) * load(source, k + d)
        store(target, k, total)


@compiled
def differentiate(game: Game, flows: Floats, slopes: Floats, first: int, w: Work) -> None:
    """Fill a block's slopes: each station's profit differentiated in its own prices.

    Flows move by dq = -H (E dp + a' dq), so dq/dp = -E X with X = H - H root (1 + root H root)^-1 root H, symmetric.
    """
    copies, n, periods = flows.shape
    size, width = w.q.shape[0], band_width(game)
    for k in range(size):
        for lane in range(LANES):
            w.q[k, lane] = flows[min(first + lane, copies - 1), k % n, k // n]
    choose(game, w)
    linearise(game, w)
    for k in range(size):
        store(w.factor, k * width, load(w.factor, k * width) + 1.0)
    factorise(game, w)
    for i in range(n):
        w.g[:] = 0.0
        for t in range(periods):
            store(w.g, t * n + i, load(w.paid, t * n + i) - game.energy * game.energy_cost[t])
        _times_band(game, w, w.g, w.c)
        for k in range(size):
            store(w.step, k, load(w.root, k) * load(w.c, k))
        substitute(game, w)
        for k in range(size):
            store(w.step, k, load(w.root, k) * load(w.step, k))
        _times_band(game, w, w.step, w.g)
        for t in range(periods):
            k = t * n + i
            for lane in range(min(LANES, copies - first)):
                slopes[first + lane, i, t] = game.energy * (w.q[k, lane] - w.c[k, lane] + w.g[k, lane])


@compiled
def _settle(game: Game, prices: Floats, demand: Floats, flows: Floats, first: int, w: Work) -> float:
    """Fill a block's flows; the largest residual that missed the tolerance, or 0."""
    lanes = min(LANES, prices.shape[0] - first)
    congested = game.slope.any()
    done = np.zeros(LANES, np.bool_)
    for _ in range(FULL_STEPS):
        choose(game, w)
        for lane in range(lanes):
            if not done[lane] and (w.error[0, lane] <= game.tolerance or not congested):
                done[lane] = True
                _write(w, lane, flows, first + lane)
        if done[:lanes].all():
            return 0.0
        newton(game, w, True)
        for k in range(w.q.shape[0]):
            store(w.q, k, _moved(load(w.q, k), load(w.step, k)))
    worst = 0.0
    for lane in range(lanes):
        if not done[lane]:
            worst = max(worst, _search(game, prices, demand, flows, first + lane, w))
    return worst


@compiled
def _write(w: Work, lane: int, flows: Floats, m: int) -> None:
    """Write a lane's f to copy m."""
    n = flows.shape[1]
    for k in range(w.f.shape[0]):
        flows[m, k % n, k // n] = w.f[k, lane]


@compiled
def _distance(game: Game, w: Work, lane: int) -> float:
    """Sum of log(F/q)**2 of a lane."""
    total = 0.0
    for k in range(w.f.shape[0]):
        total += math.log(max(w.f[k, lane], game.least) / w.q[k, lane]) ** 2
    return total


@compiled
def _search(game: Game, prices: Floats, demand: Floats, flows: Floats, m: int, w: Work) -> float:
    """Fill copy m's flows by Newton's method with a line search, each lane trying a length; as ``_settle``.

    To first order a step takes every log(F/q) towards zero, so a short enough one lowers the sum of their squares.
    """
    day = m if demand.shape[0] > 1 else 0
    fill(game, prices[m : m + 1], demand[day : day + 1], 0, w)
    residual = np.inf
    value = np.empty(LANES)
    for _ in range(SEARCHED_STEPS):
        choose(game, w)
        residual = w.error[0, 0]
        if residual <= game.tolerance:
            _write(w, 0, flows, m)
            return 0.0
        newton(game, w, True)
        for k in range(w.q.shape[0]):
            for lane in range(LANES):
                w.step[k, lane] *= 0.5**lane
            store(w.q, k, maximum(splat(game.least), _moved(load(w.q, k), load(w.step, k))))
        choose(game, w)
        for lane in range(LANES):
            value[lane] = _distance(game, w, lane)
        best = int(np.argmin(value))
        for k in range(w.q.shape[0]):
            store(w.q, k, splat(w.q[k, best]))
    return float(residual)


@compiled
def solve_all(game: Game, prices: Floats, demand: Floats, flows: Floats, profits: Floats, slopes: Floats) -> float:
    """Fill flows, profits and (unless empty) slopes; return the largest residual that missed the tolerance, or 0."""
    w = workspace(game)
    worst = 0.0
    for first in range(0, prices.shape[0], LANES):
        fill(game, prices, demand, first, w)
        worst = max(worst, _settle(game, prices, demand, flows, first, w))
        for m in range(first, min(first + LANES, prices.shape[0])):
            _earn(game, prices, flows, profits, m)
        if slopes.shape[0] > 0:
            differentiate(game, flows, slopes, first, w)
    return worst


@compiled
def _earn(game: Game, prices: Floats, flows: Floats, profits: Floats, m: int) -> None:
    """Profits of one copy."""
    for i in range(flows.shape[1]):
        total = 0.0
        for t in range(flows.shape[2]):
            total += (prices[m, i, t] - game.energy_cost[t]) * game.energy * flows[m, i, t]
        profits[m, i] = total
