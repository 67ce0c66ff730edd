"""The plot of a negotiation: each side's offers, move by move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from analysis.scml.chart import Scale, scale, tick_text
from analysis.scml.replay import Move, Offer, Replay, Said, Side
from analysis.scml.verdict import UNSAFE as UNSAFE_KINDS

WIDTH: Final = 1100
HEIGHT: Final = 150
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 18, 22

Tone = Literal["", "fair", "bad"]
Shape = Literal["offer", "accept", "meant"]


@dataclass(frozen=True)
class Mark:
    """An offer in the plot.

    Attributes:
        x: place.
        y: place.
        side: whose move.
        shape: an offer made, an offer accepted, or what the policy had said before the shield.
        move: the move's number.
        found: "bad" where the audit found it unsafe, "fair" where it found a risk, else "".
        title: the value in words.
    """

    x: float
    y: float
    side: Side
    shape: Shape
    move: int
    found: Tone
    title: str


@dataclass(frozen=True)
class Panel:
    """One quantity of the offers over the moves.

    Attributes:
        id: unique on the page.
        title: with unit.
        y_ticks: (place, text).
        paths: (side, path) of each side's offers.
        marks: what is drawn.
        level: (place, text) of a horizontal line, if any.
    """

    id: str
    title: str
    y_ticks: list[tuple[float, str]]
    paths: list[tuple[Side, str]]
    marks: list[Mark]
    level: tuple[float, str] | None


@dataclass(frozen=True)
class Timeline:
    """The panels, and what they share.

    Attributes:
        panels: price, quantity, delivery.
        bands: (move, left, width): where each move lies.
        x_ticks: (place, text): rounds, at the first move of each.
        ends: (x, side, move): moves that ended the negotiation without a contract.
    """

    panels: list[Panel]
    bands: list[tuple[int, float, float]]
    x_ticks: list[tuple[float, str]]
    ends: list[tuple[float, Side, int]]
    width: int = WIDTH
    height: int = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def timeline(replay: Replay) -> Timeline | None:
    """The plot of a negotiation, or None where no move was logged."""
    moves = replay.moves
    if not moves:
        return None
    x = Scale(0.5, len(moves) + 0.5, LEFT, WIDTH - RIGHT, [])
    starts = moves[:1] + [move for before, move in pairwise(moves) if before.round < move.round]
    every = 1 + len(starts) // 20
    price = replay.trading_price
    return Timeline(
        panels=[
            _panel("price", "Price, money per unit", moves, x, lambda offer: offer.price, price),
            _panel("quantity", "Quantity, units", moves, x, lambda offer: offer.quantity),
            _panel("delivery", "Delivery, day", moves, x, lambda offer: offer.delivery),
        ],
        bands=[(move.number, x(move.number - 0.5), round(x(1) - x(0), 2)) for move in moves],
        x_ticks=[(x(move.number), str(move.round)) for move in starts[::every]],
        ends=[(x(move.number), move.side, move.number) for move in moves if move.sent.op == "end"],
    )


def _panel(
    name: str,
    title: str,
    moves: Sequence[Move],
    x: Scale,
    value: Callable[[Offer], float],
    level: float | None = None,
) -> Panel:
    said = [answer.offer for move in moves for answer in (move.sent, move.meant) if answer and answer.offer]
    values = [value(offer) for offer in said] + ([level] if level is not None else [])
    y = scale(values or [0.0, 1.0], HEIGHT - BOTTOM - 10, TOP + 10, whole=True, tight=True)
    return Panel(
        id=f"timeline-{name}",
        title=title,
        y_ticks=[(y(tick), tick_text(tick)) for tick in y.ticks],
        paths=[("seller", _path("seller", moves, x, y, value)), ("buyer", _path("buyer", moves, x, y, value))],
        marks=[mark for move in moves for mark in _marks(move, x, y, value)],
        level=(y(level), f"trading price {level:.4g}") if level is not None else None,
    )


def _path(side: Side, moves: Sequence[Move], x: Scale, y: Scale, value: Callable[[Offer], float]) -> str:
    made = [(move.number, move.sent.offer) for move in moves if move.side == side and move.sent.op == "reject"]
    places = [f"{x(number)} {y(value(offer))}" for number, offer in made if offer]
    return f"M{' L'.join(places)}" if places else ""


def _marks(move: Move, x: Scale, y: Scale, value: Callable[[Offer], float]) -> list[Mark]:
    marks: list[Mark] = []
    sent: Shape = "accept" if move.sent.op == "accept" else "offer"
    answers: list[tuple[Said | None, Shape]] = [(move.meant, "meant"), (move.sent, sent)]
    for answer, shape in answers:
        if answer and answer.offer:
            number = value(answer.offer)
            found = _tone(move) if answer is move.sent else ""
            title = f"{move.side}, round {move.round}, {shape}: {number:g}"
            marks.append(Mark(x(move.number), y(number), move.side, shape, move.number, found, title))
    return marks


def _tone(move: Move) -> Tone:
    if any(kind in UNSAFE_KINDS for kind, _ in move.unsafe):
        return "bad"
    return "fair" if move.unsafe else ""
