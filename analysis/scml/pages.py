"""The pages: each asks the queries and fills its template."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path as InPath, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BeforeValidator, Field

from analysis.scml import factory as factories_days, figures, league, queries, replay as replays, unsafe as unsafes
from analysis.scml.render import page
from analysis.scml.runs import Run, find_run, list_runs
from analysis.scml.tables import BrokenTableError, Row, has_audit
from analysis.scml.timeline import timeline

router: Final = APIRouter()

INT64: Final = 2**63 - 1
MOST: Final = 10**6
"""Highest day and page that can be asked for."""
_given = BeforeValidator(lambda value: value if value != "" else None)
Text = Annotated[str | None, _given]
Number = Annotated[Annotated[int, Field(ge=-INT64, le=INT64)] | None, _given]
Flag = Annotated[bool | None, _given]
PageNumber = Annotated[int, Query(ge=1, le=MOST)]


def _run(request: Request, run: str) -> Run:
    return find_run(request.app.state.root, run)


Here = Annotated[Run, Depends(_run)]


@router.get("/")
def runs(request: Request) -> HTMLResponse:
    """All runs."""
    found = list_runs(request.app.state.root)
    return page(request, "runs.html.j2", root=request.app.state.root, runs=[(run, *_variants(run)) for run in found])


def _variants(run: Run) -> tuple[list[Row], str]:
    """The run's variants and what is wrong with it, so that one broken run leaves the others in the list."""
    try:
        return queries.variants(run), run.problem
    except BrokenTableError as error:
        return [], str(error)


@router.get("/runs/{run}")
def worlds(request: Request, run: Here, variant: Text = None, seed: Number = None) -> HTMLResponse:
    """The worlds of a run."""
    return page(
        request,
        "run.html.j2",
        run=run,
        audited=has_audit(run),
        variants=queries.variants(run),
        worlds=queries.worlds(run, variant, seed),
        variant=variant,
        seed=seed,
    )


@router.get("/runs/{run}/league")
def standings(request: Request, run: Here, against: Text = None) -> HTMLResponse:
    """Which variant does best."""
    rows = league.focal(run)
    variants = sorted({row["variant"] for row in rows})
    chosen = against if against in variants else None
    return page(
        request,
        "league.html.j2",
        run=run,
        written=league.written(run),
        standings=league.standings(rows, chosen),
        levels=league.standings(rows, chosen, by_level=True),
        variants=variants,
        against=chosen,
    )


@router.get("/runs/{run}/unsafe")
def unsafe(
    request: Request,
    run: Here,
    variant: Text = None,
    policy: Text = None,
    focal: bool = False,
    world: Text = None,
    factory: Text = None,
    kind: Text = None,
    number: PageNumber = 1,
) -> HTMLResponse:
    """What the audit found."""
    wanted = unsafes.Wanted(variant, policy, focal, world, factory, kind)
    rows = unsafes.unsafe(run, wanted, (number - 1) * unsafes.PAGE)
    return page(
        request,
        "unsafe.html.j2",
        run=run,
        audited=has_audit(run),
        counts=unsafes.counts(run),
        worlds=run.worlds(),
        rows=rows,
        wanted=vars(wanted),
        **_pages(rows, number, unsafes.PAGE),
    )


@router.get("/runs/{run}/worlds/{world}")
def world(request: Request, run: Here, world: str) -> HTMLResponse:
    """A world: its factories over the days."""
    about, factories = queries.world(run, world), queries.factories(run, world)
    course = queries.course(run, world)
    return page(
        request,
        "world.html.j2",
        run=run,
        world=about,
        audited=has_audit(run),
        factories=factories,
        levels=figures.level_charts(factories, course),
        shortfalls=figures.shortfall_grid(factories, course),
        prices=figures.price_chart(queries.prices(run, world)),
    )


@router.get("/runs/{run}/worlds/{world}/factories/{factory}")
def factory(request: Request, run: Here, world: str, factory: str) -> HTMLResponse:
    """A factory of a world, day by day."""
    about, days = factories_days.factory(run, world, factory), factories_days.days(run, world, factory)
    commitments = factories_days.commitments(run, world, factory)
    signed = factories_days.signed_prices(run, world, factory)
    return page(
        request,
        "factory.html.j2",
        run=run,
        world=queries.world(run, world),
        factory=about,
        others=[row["factory"] for row in queries.factories(run, world)],
        charts=figures.factory_charts(about, days, commitments, signed),
        days=days,
    )


@router.get("/runs/{run}/worlds/{world}/negotiations")
def negotiations(
    request: Request,
    run: Here,
    world: str,
    day: Annotated[Annotated[int, Field(ge=0, le=MOST)] | None, _given] = None,
    factory: Text = None,
    agreed: Flag = None,
    edited: bool = False,
    substituted: bool = False,
    unsafe: bool = False,
    number: PageNumber = 1,
) -> HTMLResponse:
    """The negotiations of a world."""
    wanted = replays.Wanted(day, factory, agreed, edited, substituted, unsafe)
    rows = replays.listed(run, world, wanted, (number - 1) * replays.PAGE)
    return page(
        request,
        "negotiations.html.j2",
        run=run,
        world=queries.world(run, world),
        audited=has_audit(run),
        factories=[row["factory"] for row in queries.factories(run, world)],
        rows=rows,
        wanted=vars(wanted),
        **_pages(rows, number, replays.PAGE),
    )


@router.get("/runs/{run}/worlds/{world}/negotiations/{negotiation}")
def negotiation(
    request: Request, run: Here, world: str, negotiation: Annotated[int, InPath(ge=-INT64, le=INT64)]
) -> HTMLResponse:
    """A negotiation, move by move."""
    replay = replays.replay(run, world, negotiation)
    sides = queries.seats(run, world, [replay.about["seller"], replay.about["buyer"]])
    return page(request, "replay.html.j2", run=run, world=world, replay=replay, sides=sides, timeline=timeline(replay))


def _pages(rows: list[Row], number: int, size: int) -> dict[str, Any]:
    """Where a page of rows is among all."""
    total = rows[0]["total"] if rows else 0
    return {"number": number, "total": total, "last": -(-total // size)}
