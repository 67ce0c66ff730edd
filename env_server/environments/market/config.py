"""Configuration of the order-book market."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from agora.market.layout import Style
from agora.market.messages import MAX_SIZE
from agora.settings import Settings
from env_server.environments.base import EnvironmentConfig
from env_server.environments.market.book.records import MAX_PRICE, SelfTrade

Count = Annotated[int, Field(ge=0, le=4096)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Fee = Annotated[int, Field(ge=-(10**6), le=10**6)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]

MOST_DELAY: Final = 15
"""Steps."""


class Crowd(Settings):
    """Scripted traders of one style. Prices in ticks, sizes in lots, activity per step."""

    style: Literal[
        "noise",
        "trend",
        "reversion",
        "maker",
        "fundamental",
        "zero_intelligence",
        "book_reader",
        "poisson",
        "spoofer",
        "layering",
        "quote_stuffing",
        "momentum_ignition",
        "stop_hunting",
        "protected",
    ]
    count: Count = Field(1, description="how many of them")
    activity: Share = Field(0.6, description="probability of acting in a step")
    feedback: NotNegative = Field(
        0.0,
        description="growth with volatility, per tick: noise: of `away`, fundamental: of `activity`, "
        "maker: of the half spread, in ticks",
    )
    cancel: Share = Field(
        0.2, description="noise: probability of cancelling the oldest order in a step; protected: of leaving"
    )
    take: Share = Field(0.2, description="noise: share of market orders; spoofer, layering: steps with one")
    away: Positive = Field(
        4.0,
        description="noise: mean distance behind the best price; zero intelligence: mean surplus; Poisson: mean reach; "
        "quote stuffing: least distance behind the best price; protected, stop hunting: of stops",
    )
    least: int = Field(1, ge=1, description="smallest size")
    most: int = Field(9, ge=1, description="largest size")
    threshold: NotNegative = Field(
        0.0, description="trend, reversion: least relative deviation to act on; fundamental: least gain, in ticks"
    )
    half_spread: NotNegative = Field(2.0, description="maker: distance of quotes from the middle")
    skew: NotNegative = Field(0.02, description="maker: ticks that quotes move per lot held")
    holding: int = Field(200, ge=0, description="lots beyond which nothing more is bought, or owed")
    noise: NotNegative = Field(5.0, description="standard deviation of errors about what a lot is worth")
    period: int = Field(200, ge=2, description="adversaries: steps of a cycle, the first half of which prepares")
    spoof: int = Field(200, ge=0, le=MAX_SIZE, description="spoofer, layering: lots of bids not meant to trade")
    latency: int = Field(0, ge=0, le=MOST_DELAY, description="steps until a message arrives")

    @model_validator(mode="after")
    def _sizes(self) -> Crowd:
        if self.most < self.least:
            raise ValueError(f"most: expected >= least, {self.least}, got {self.most}")
        return self

    @property
    def number(self) -> Style:
        """The style as compiled code knows it."""
        return Style[self.style.upper()]


class Worth(Settings):
    """What a lot is worth, which only the global state shows: a random walk that is drawn to a mean."""

    mean: Positive = Field(10_000.0, lt=MAX_PRICE / 2, description="ticks; also the price at the start")
    reversion: Share = Field(0.00009, description="share of the distance to the mean by which it returns in a step")
    volatility: NotNegative = Field(4.5, description="standard deviation of its change in a step, in ticks")


CROWD = (
    Crowd(style="noise", count=24, feedback=1.6, cancel=0.04, take=0.08, away=35.0),
    Crowd(style="trend", count=8, activity=0.1, threshold=0.0025, holding=50),
    Crowd(style="reversion", count=4, activity=0.2, threshold=0.0012, holding=50),
    Crowd(style="maker", count=2, activity=1.0, feedback=0.7, most=6, half_spread=0.25),
    Crowd(style="fundamental", count=10, activity=0.06, feedback=1.7, most=6, threshold=3.3, holding=1_000),
)
"""Chosen so that the market has the stylised facts of real ones; see ``bench.market_facts``."""


class MarketConfig(EnvironmentConfig):
    """Configuration of a market with seats for agents among scripted traders."""

    makers: Count = Field(1, description="seats that quote both sides")
    traders: Count = Field(0, description="seats that send single orders")
    crowd: tuple[Crowd, ...] = Field(CROWD, description="scripted traders")
    flat: bool = Field(False, description="one choice out of all combinations, for learners that need a single one")
    steps: int = Field(1_000, ge=1, le=1_000_000, description="before an episode is truncated")
    worth: Worth = Worth()
    cash: int = Field(100_000, ge=0, le=10**12, description="at the start, in units of 100 ticks times a lot")
    depth: int = Field(5, ge=1, le=32, description="levels of the book that an agent sees")
    position_limit: int = Field(
        500, ge=1, le=10**9, description="lots that a seat may hold or owe, open orders included"
    )
    maker_fee: Fee = Field(0, description="thousandths of a tick per lot that the resting side pays; below 0: a rebate")
    taker_fee: Fee = Field(0, description="the same of the incoming side")
    self_trade: SelfTrade = Field(SelfTrade.CANCEL_RESTING, description="where an agent's order meets its own")
    latency: int = Field(0, ge=0, le=MOST_DELAY, description="steps until a seat's message arrives")
    inventory_penalty: NotNegative = Field(0.0, description="ticks per lot held or owed, squared, taken from a reward")
    anchored: bool = Field(
        False, description="whether the middle is what a lot is worth, rounded, as in models without a book of others"
    )
    opening: int = Field(0, ge=0, description="steps in which orders only gather, before an uncross")
    closing: bool = Field(False, description="whether the last step ends in an auction")
    informed: bool = Field(False, description="whether seats are shown a signal of what a lot is worth")
    signal_noise: NotNegative = Field(5.0, description="standard deviation of its error, in ticks")
    flow: bool = Field(False, description="whether seats are shown recent order flow by price")

    @model_validator(mode="after")
    def _played(self) -> MarketConfig:
        if self.makers + self.traders == 0:
            raise ValueError("makers: expected at least one seat, of a maker or a trader, got none")
        if self.opening >= self.steps:
            raise ValueError(f"opening: expected < steps, {self.steps}, got {self.opening}")
        return self

    @property
    def seats(self) -> int:
        """Agents."""
        return self.makers + self.traders

    @property
    def keeps_flow(self) -> bool:
        """Whether recent order flow is kept."""
        return self.flow or any(crowd.style == "book_reader" and crowd.count for crowd in self.crowd)
