"""Compiled arithmetic of the logit equilibrium: Newton's method on a block of ``LANES`` joint prices at a time.

The mathematics is told in ``flows``. Arrays of a block are (rows, LANES); flows are rows k = period * N + station,
zones are rows period * Z + zone, and entry (k, k - d) of a band matrix is row k * width + d.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from env_server.environments.charging.blocks import Game, Work, band_width, workspace
from env_server.environments.charging.lanes import (
    LANES,
    Lanes,
    compiled,
    exponential,
    inlined,
    load,
    maximum,
    minimum,
    splat,
    square_root,
    store,
    written_out,
)

Floats = NDArray[np.float64]

FULL_STEPS: Final = 12
"""Newton steps of a block before the lanes that are not there yet get a line search each."""
SEARCHED_STEPS: Final = 300
TINY: Final = 1e-280
"""Added to denominators that no choice contributes to."""


@inlined
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


@inlined
def _attract(game: Game, w: Work) -> None:
    """Fill b, on the scale of each period's largest, and reach and top: exponents never all underflow."""
    n, theta, exponent = game.slope.size, game.theta, game.exponent
    slope, q, paid, b, scale, scratch = game.slope, w.q, w.paid, w.b, w.scale, w.error
    for t in range(scale.shape[0]):
        best = splat(-np.inf)
        for k in range(t * n, (t + 1) * n):
            utility = -theta * (load(paid, k) + slope[k - t * n] * _power(load(q, k), exponent, scratch))
            store(b, k, utility)
            best = maximum(best, utility)
        store(scale, t, best)
        for k in range(t * n, (t + 1) * n):
            store(b, k, exponential(load(b, k) - best))


@inlined
def _reach(game: Game, w: Work) -> None:
    """Fill top, and rows 3t, 3t+1, 3t+2 of reach: for charging a period earlier, at once, or later."""
    scale, reach, top = w.scale, w.reach, w.top
    last, shifting, leaving = scale.shape[0] - 1, game.shift > 0.0, game.leave[0] > 0.0
    away = math.log(max(game.shift, TINY))
    for t in range(last + 1):
        best = load(scale, t)
        if leaving:
            best = maximum(best, splat(0.0))
        if shifting and t > 0:
            best = maximum(best, load(scale, t - 1) + away)
        if shifting and t < last:
            best = maximum(best, load(scale, t + 1) + away)
        store(top, t, best)
        store(reach, 3 * t + 1, exponential(load(scale, t) - best))
        if shifting and t > 0:
            store(reach, 3 * t, exponential(load(scale, t - 1) + away - best))
        if shifting and t < last:
            store(reach, 3 * t + 2, exponential(load(scale, t + 1) + away - best))


@inlined
def _mixed(reach: Floats, values: Floats, k: int, n: int, wide: bool, before: int, after: int) -> Lanes:
    """Row k of values and, where cars shift, of the periods before and after, times how they reach one another."""
    t = k // n
    total = load(reach, 3 * t + 1) * load(values, k)
    if wide and k >= n:
        total = total + load(reach, 3 * t + before) * load(values, k - n)
    if wide and k + n < values.shape[0]:
        total = total + load(reach, 3 * t + after) * load(values, k + n)
    return total


@inlined
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
    _attract(game, w)
    _reach(game, w)
    b, c, g, f, q, reach = w.b, w.c, w.g, w.f, w.q, w.reach
    n, wide = game.slope.size, game.shift > 0.0
    for k in range(b.shape[0]):
        store(c, k, _mixed(reach, b, k, n, wide, 0, 2))
    _share(game, w)
    worst = splat(0.0)
    for k in range(b.shape[0]):
        flow, old = load(b, k) * _mixed(reach, g, k, n, wide, -1, 3), load(q, k)
        store(f, k, flow)
        worst = maximum(worst, maximum(flow - old, old - flow))
    store(w.error, 0, worst)


@inlined
def _share(game: Game, w: Work) -> None:
    """Fill share, square and g from c."""
    pull, leave, c, g, top = game.pull, game.leave, w.c, w.g, w.top
    demand, share, square = w.demand, w.share, w.square
    (n, zones), leaving = pull.shape, leave[0] > 0.0
    for t in range(top.shape[0]):
        stay = exponential(splat(0.0) - load(top, t)) if leaving else splat(0.0)
        for z in range(zones):
            total = stay * leave[z] + TINY
            for i in range(n):
                total = total + pull[i, z] * load(c, t * n + i)
            inverse = splat(1.0) / total
            cars = load(demand, t * zones + z) * inverse
            store(share, t * zones + z, cars)
            store(square, t * zones + z, cars * inverse)
        for i in range(n):
            store(g, t * n + i, _dot(pull, i, share, t * zones))


@compiled
def linearise(game: Game, w: Work) -> None:
    """Fill band with H = -dF/dcost at the flows last chosen, root, and factor with root * H * root."""
    pairs, curve, square, theta = game.pairs, w.curve, w.square, game.theta
    zones, periods = pairs.shape[1], game.energy_cost.size
    for p in range(pairs.shape[0]):
        for t in range(periods):
            store(curve, p * periods + t, -theta * _dot(pairs, p, square, t * zones))
    for t in range(periods):
        for u in range(max(0, t + 1 - band_width(game) // game.slope.size), t + 1):
            _tie(game, w, t, u)
    _scale_band(game, w)


@inlined
def _scale_band(game: Game, w: Work) -> None:
    """Complete band's diagonal, and fill root and factor."""
    q, f, root, band, factor, slope, scratch = w.q, w.f, w.root, w.band, w.factor, game.slope, w.error
    width, n, exponent, theta = band_width(game), slope.size, game.exponent, game.theta
    for k in range(q.shape[0]):
        flow = load(q, k)
        here = square_root((slope[k % n] * exponent) * _power(flow, exponent, scratch) / flow)
        store(root, k, here)
        store(band, k * width, load(band, k * width) + theta * load(f, k))
        for d in range(min(width, k + 1)):
            store(factor, k * width + d, load(band, k * width + d) * here * load(root, k - d))


@inlined
def _tie(game: Game, w: Work, t: int, u: int) -> None:
    """Fill band's entries between period t and u, t - 2 <= u <= t, but for the diagonal's flows.

    They sum over the periods t - 1, t and t + 1 that cars come from how these reach both t and u.
    """
    reach, curve, b, band = w.reach, w.curve, w.b, w.band
    n, periods, width = game.slope.size, game.energy_cost.size, band_width(game)
    from_early = game.shift > 0.0 and t > 0
    from_late = game.shift > 0.0 and u == t and t + 1 < periods
    same = load(reach, 3 * t + 1) * load(reach, 3 * t + 1 + u - t) if t - u < 2 else splat(0.0)
    early = load(reach, 3 * t - 1) * load(reach, 3 * t - 1 + u - t) if from_early else splat(0.0)
    late = load(reach, 3 * t + 3) * load(reach, 3 * t + 3) if from_late else splat(0.0)
    for i in range(n):
        for j in range(i + 1):
            row = (i * (i + 1) // 2 + j) * periods + t
            total = same * load(curve, row)
            if from_early:
                total = total + early * load(curve, row - 1)
            if from_late:
                total = total + late * load(curve, row + 1)
            k, d = t * n + i, (t - u) * n + i - j
            store(band, k * width + d, total * load(b, k) * load(b, k - d))
            if u < t and j < i:
                k, d = t * n + j, (t - u) * n + j - i
                store(band, k * width + d, total * load(b, k) * load(b, k - d))


@compiled
def factorise(game: Game, w: Work) -> None:
    """Factor the band matrix in factor as L D L', with 1/D on the diagonal."""
    factor, width, size = w.factor, band_width(game), w.q.shape[0]
    for k in range(size):
        reach = min(width, size - k)
        inverse = splat(1.0) / load(factor, k * width)
        store(factor, k * width, inverse)
        for d in range(1, reach):
            row = (k + d) * width
            scaled = load(factor, row + d) * inverse
            for e in range(1, d + 1):
                # Column k still holds L D below this row's entry, which is what is to be subtracted here.
                old = load(factor, row + d - e)
                store(factor, row + d - e, old - scaled * load(factor, (k + e) * width + e))
        for d in range(1, reach):
            row = (k + d) * width + d
            store(factor, row, load(factor, row) * inverse)


@compiled
def substitute(game: Game, w: Work) -> None:
    """Solve the factored system for step, in place."""
    factor, step, width, size = w.factor, w.step, band_width(game), w.q.shape[0]
    for k in range(size):
        total = load(step, k)
        for d in range(1, min(width, k + 1)):
            total = total - load(factor, k * width + d) * load(step, k - d)
        store(step, k, total)
    for k in range(size - 1, -1, -1):
        total = load(step, k) * load(factor, k * width)
        for d in range(1, min(width, size - k)):
            total = total - load(factor, (k + d) * width + d) * load(step, k + d)
        store(step, k, total)


@written_out
def newton(game: Game, w: Work) -> None:
    """Fill step with the relative change of q by Newton's method on log F(q) = log q."""
    linearise(game, w)
    width = band_width(game)
    for k in range(w.q.shape[0]):
        q = load(w.q, k)
        # Newton needs the logarithm only near one; elsewhere this Pade approximant, within 3 of zero, bounds the step.
        x = minimum(maximum(load(w.f, k), splat(game.least)) / q, splat(1e30))
        log = 3.0 * (x * x - 1.0) / (x * x + 4.0 * x + 1.0)
        store(w.factor, k * width, load(w.factor, k * width) + x)
        store(w.step, k, load(w.root, k) * q * x * log)
    factorise(game, w)
    substitute(game, w)
    for k in range(w.q.shape[0]):
        store(w.step, k, load(w.step, k) / (load(w.root, k) * load(w.q, k)))


@inlined
def _moved(q: Lanes, move: Lanes) -> Lanes:
    """The flow q * exp(move) to second order, and positive."""
    up, down = maximum(move, splat(0.0)), maximum(splat(0.0) - move, splat(0.0))
    return q * (1.0 + up + 0.5 * up * up) / (1.0 + down + 0.5 * down * down)


@compiled
def _spread(demand: Floats, w: Work) -> None:
    """Copy the one demand there is into all lanes."""
    zones = demand.shape[2]
    for row in range(w.demand.shape[0]):
        for lane in range(LANES):
            w.demand[row, lane] = demand[0, row // zones, row % zones]


@compiled
def fill(game: Game, prices: Floats, demand: Floats, first: int, w: Work) -> None:
    """Copy a block's prices and own demand into lanes, and guess flows; the last copy fills lanes beyond the batch."""
    (copies, n, periods), zones = prices.shape, demand.shape[2]
    paid, q, step, own = w.paid, w.q, w.step, w.demand
    for lane in range(LANES):
        m = min(first + lane, copies - 1)
        for k in range(n * periods):
            paid[k, lane] = game.energy * prices[m, k % n, k // n]
        if demand.shape[0] > 1:
            for row in range(own.shape[0]):
                own[row, lane] = demand[m, row // zones, row % zones]
    for k in range(n * periods):
        store(step, k, load(paid, k) * (1.0 / game.energy) - game.middle)
    for k in range(n * periods):
        move = _dot(game.trend, k, step, 0)
        up, down = maximum(move, splat(0.0)), maximum(splat(0.0) - move, splat(0.0))
        # Far from the middle price an exponential would overshoot more than this.
        store(q, k, maximum(splat(game.least), game.start[k] * (1.0 + up) / (1.0 + down)))


@compiled
def _times_band(game: Game, w: Work, source: Floats, target: Floats) -> None:
    """Fill target with H source."""
    size, width = w.q.shape[0], band_width(game)
    for k in range(size):
        total = load(w.band, k * width) * load(source, k)
        for d in range(1, min(width, k + 1)):
            total = total + load(w.band, k * width + d) * load(source, k - d)
        for d in range(1, min(width, size - k)):
            total = total + load(w.band, (k + d) * width + d) * load(source, k + d)
        store(target, k, total)


@written_out
def differentiate(game: Game, flows: Floats, slopes: Floats, first: int, w: Work) -> None:
    """Fill a block's slopes: each station's profit differentiated in its own prices.

    Flows move by dq = -H (E dp + a' dq), so dq/dp = -E X with X = H - H root (1 + root H root)^-1 root H, symmetric.
    """
    copies, n, periods = flows.shape
    size, width = w.q.shape[0], band_width(game)
    for k in range(size):
        for lane in range(LANES):
            w.q[k, lane] = max(game.least, flows[min(first + lane, copies - 1), k % n, k // n])
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


@written_out
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
        newton(game, w)
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


@written_out
def _search(game: Game, prices: Floats, demand: Floats, flows: Floats, m: int, w: Work) -> float:
    """Fill copy m's flows by Newton's method with a line search, each lane trying a length; as ``_settle``.

    To first order a step takes every log(F/q) towards zero, so a short enough one lowers the sum of their squares.
    """
    alone = demand[m : m + 1] if demand.shape[0] > 1 else demand
    fill(game, prices[m : m + 1], alone, 0, w)
    if demand.shape[0] > 1:
        _spread(alone, w)
    residual = np.inf
    value = np.empty(LANES)
    for _ in range(SEARCHED_STEPS):
        choose(game, w)
        residual = w.error[0, 0]
        if residual <= game.tolerance:
            _write(w, 0, flows, m)
            return 0.0
        newton(game, w)
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
    if demand.shape[0] == 1:
        _spread(demand, w)
    for first in range(0, prices.shape[0], LANES):
        fill(game, prices, demand, first, w)
        worst = max(worst, _settle(game, prices, demand, flows, first, w))
        for m in range(first, min(first + LANES, prices.shape[0])):
            _earn(game, prices, flows, profits, m)
        if slopes.shape[0] > 0:
            fill(game, prices, demand, first, w)
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
