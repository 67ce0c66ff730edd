"""Templates, and what all of them may use."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.scml import chart, words
from analysis.scml.verdict import UNSAFE as UNSAFE_KINDS

TEMPLATES: Final = Environment(
    loader=PackageLoader("analysis.scml"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters.update(
    number=words.number, fixed=words.fixed, estimated=words.estimated, offer=words.offer, cell=words.cell
)
TEMPLATES.globals.update(
    place=words.place, search=words.search, draw=chart.draw, kind_words=words.KINDS, unsafe_kinds=UNSAFE_KINDS
)


def page(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """A page of HTML, at the address asked for."""
    html = TEMPLATES.get_template(template).render(query=dict(request.query_params), **content)
    return HTMLResponse(html, status)
