"""Sections that other rooms measured: read as they lie on disk, and put on the page."""

import json

import pytest

from tests.trainer.report.test_page import Page, figures
from trainer.report.page import write_report
from trainer.report.sections import read_sections

TABLE = {"headers": ["", "lots"], "rows": [["maker_0", 1234.5678], ["<b>", None]]}
FIGURE = {"title": "Path", "caption": "A line.", "data": [{"x": [0, 1], "y": [2, None]}], "layout": {}, "table": TABLE}
SECTION = {
    "title": "Market & more",
    "note": "Of one episode.",
    "figures": [FIGURE, FIGURE | {"title": "Second"}],
    "tables": [{"title": "Earnings", "caption": "All of them.", "table": TABLE}],
}


def put(folder, name, content):
    (folder / "sections").mkdir(exist_ok=True)
    (folder / "sections" / name).write_text(content)


def test_a_section_is_read_with_numbers_as_people_write_them(tmp_path):
    put(tmp_path, "market.json", json.dumps(SECTION))
    (section,) = read_sections(tmp_path / "sections")
    assert (section.title, section.note) == ("Market & more", "Of one episode.")
    assert [figure.title for figure in section.figures] == ["Path", "Second"]
    assert section.tables[0].table.rows == [["maker_0", "1,235"], ["<b>", "–"]]


@pytest.mark.parametrize(
    "content",
    ["", '{"title":', "[]", "{}", "7", json.dumps(SECTION | {"figures": [{}]}), json.dumps(SECTION | {"tables": 3}),
     json.dumps(SECTION).replace("1234.5678", "NaN"), json.dumps(SECTION | {"tables": [7]})],
)  # fmt: skip
def test_what_is_torn_or_no_section_is_passed_over(tmp_path, content):
    put(tmp_path, "a.json", content)
    put(tmp_path, "b.json", json.dumps(SECTION))
    assert len(read_sections(tmp_path / "sections")) == 1


def test_the_page_shows_sections_and_their_figures_have_names_of_their_own(tmp_path):
    (tmp_path / "environment.json").write_text("{}")
    text = write_report(tmp_path).read_text()
    assert 'class="card listing"' not in text and figures(text) == []
    put(tmp_path, "a.json", json.dumps(SECTION))
    put(tmp_path, "b.json", json.dumps(SECTION))
    text = write_report(tmp_path).read_text()
    words = text.partition("<script")[0]
    assert words.count("<h2>Market &amp; more</h2>") == 2 and words.count("Of one episode.") == 2
    assert "<h3>Earnings</h3><p>All of them.</p>" in words and "&lt;b&gt;" in words and "1,235" in words
    names = [figure["id"] for figure in figures(text)]
    assert len(set(names)) == 4 and set(names) <= set(Page(words).ids)
    assert figures(text)[0]["data"] == FIGURE["data"]
