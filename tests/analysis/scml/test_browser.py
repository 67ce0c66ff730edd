"""The pages in a real browser: what they show is what the tables hold, and they ask nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import tools

if TYPE_CHECKING:
    from tests.analysis.scml.conftest import Server

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WORLD = "runs/league/worlds/a_s0001"
SAID = [
    "proposes 7 units at 15 each, on day 0",
    "proposes 5 units at 11 each, on day 0",
    "counters with 5 units at 12 each, on day 1",
    "accepts 5 units at 12 each, on day 1",
]
"""Negotiation 1, as the table of decisions has it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    tools.require("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(tools.CHROMIUM), args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    """A page that must neither complain nor ask another host."""
    context = browser.new_context(
        viewport={"width": 1200, "height": 900}, color_scheme="light", base_url=server.address
    )
    opened = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    yield opened
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(server.address)] == []


def until(page: Any, condition: str) -> None:
    """Ask from outside: the page's own security policy forbids playwright's ``wait_for_function``."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def shown(page: Any) -> str:
    """What the side that acts says, in the one frame that is shown."""
    frames = page.locator(".frame:visible")
    frames.first.wait_for()
    assert frames.count() == 1
    return " ".join(frames.locator(".acts .sent").inner_text().split())


def test_from_the_list_of_runs_to_a_replay(page: Any) -> None:
    page.goto("/")
    for link in ("league", "a_s0001"):
        page.get_by_role("link", name=link, exact=True).click()
    assert page.locator("figure svg[role=img]").count() >= 5
    page.get_by_role("link", name="Negotiations").click()
    page.get_by_label("edited by a shield").check()
    page.get_by_role("button", name="Show").click()
    assert page.locator("tbody tr").count() == 1
    page.get_by_role("link", name="1", exact=True).click()
    assert shown(page) == SAID[0]


def test_stepping_with_the_keyboard(page: Any) -> None:
    page.goto(f"/{WORLD}/negotiations/1")
    seen = [shown(page)]
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        seen.append(shown(page))
    assert seen == [*SAID, SAID[-1]]
    page.keyboard.press("ArrowLeft")
    assert shown(page) == SAID[2]
    assert page.locator("#where").inner_text() == "Answer 3 of 4, round 1"
    assert page.locator("tr.current th").inner_text() == "3"
    assert page.url.endswith("#s5")
    assert page.locator(".band.current").count() == 3


def test_stepping_with_the_slider_and_the_buttons(page: Any) -> None:
    page.goto(f"/{WORLD}/negotiations/1")
    page.locator("#slider").fill("3")
    assert shown(page) == SAID[2]
    page.locator("#slider").press("ArrowRight")
    assert shown(page) == SAID[3]
    page.get_by_role("button", name="Back").click()
    assert shown(page) == SAID[2]
    page.reload()
    assert shown(page) == SAID[2]


def test_what_the_shield_changed_is_struck_through(page: Any) -> None:
    page.goto(f"/{WORLD}/negotiations/1#s5")
    frame = page.locator(".frame:visible")
    assert " ".join(frame.locator("del").inner_text().split()) == "accepts 5 units at 11 each, on day 0"
    assert page.evaluate("getComputedStyle(document.querySelector('.frame:not([hidden]) del')).textDecorationLine") == (
        "line-through"
    )
    assert frame.get_by_text("edited by the shield").is_visible()
    assert "its latest offer: 5 units at 11 each, on day 0" in frame.locator("article.buyer").inner_text()
    assert page.locator("#timeline-price .mark.meant").count() == 2
    assert page.locator("#moves tr.edited").count() == 2


def test_substituted_and_ended(page: Any) -> None:
    page.goto(f"/{WORLD}/negotiations/3#s8")
    assert shown(page) == "ends the negotiation"
    assert page.locator(".frame:visible").get_by_text("substituted: no answer came").is_visible()
    assert page.locator("#timeline-price .stop").count() == 1


def test_from_a_finding_to_its_answer(page: Any) -> None:
    page.goto("/runs/league/unsafe")
    page.get_by_role("link", name="negotiation 2", exact=True).click()
    assert shown(page) == "proposes 14 units at 13 each, on day 2"
    assert "certain shortfall, 4 too much" in page.locator(".frame:visible").inner_text()
    assert page.locator("#timeline-quantity .ring.bad").count() == 1


def test_charts_draw_what_the_tables_hold(page: Any) -> None:
    page.goto(f"/{WORLD}/factories/1.0")
    titles = page.locator("#material circle title")
    assert [titles.nth(i).text_content() for i in range(9)] == [
        *(f"in store, day {day}: {units}" for day, units in enumerate((0, 0, 5))),
        *(f"in store and on order, day {day}: {units}" for day, units in enumerate((0, 5, 5))),
        *(f"target, day {day}: {units}" for day, units in enumerate((6, 10, 3))),
    ]
    heights = page.locator("#commitments svg[role] rect.bar").evaluate_all(
        "bars => bars.map((bar) => bar.height.baseVal.value)"
    )
    assert heights == pytest.approx([5 * heights[0] / 5, *(units * heights[0] / 5 for units in (6, 12, 3))], abs=0.1)
    page.locator("#material summary").click()
    assert page.locator("#material tbody tr").nth(1).inner_text().split() == ["1", "0", "5", "10"]


@pytest.mark.parametrize(
    "path",
    ["", "runs/league", "runs/league/league?against=a", "runs/league/unsafe", WORLD]
    + [f"{WORLD}/{part}" for part in ("factories/1.0", "negotiations", "negotiations/1")],
)
def test_on_a_phone_at_night(page: Any, path: str) -> None:
    """Colours follow the scheme, and nothing is wider than the screen."""
    page.goto(f"/{path}")
    background = "getComputedStyle(document.body).backgroundColor"
    by_day = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    until(page, f"{background} !== '{by_day}'")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_all_can_be_reached_by_tab(page: Any) -> None:
    page.goto(f"/{WORLD}/negotiations/1")
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"Skip to the content", "Negotiations", "negotiation 2 →", "back", "slider", "forth"} <= reached
