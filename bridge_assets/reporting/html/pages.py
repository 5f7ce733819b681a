"""Renders templates: escapes text and provides the formatting filters. An undefined name is an error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from bridge_assets.reporting import wording

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(template: str, **values: Any) -> str:
    """Render a template in `templates/` as one self-contained HTML page.

    Parameters
    ----------
    template : str
        File name of the template.
    values
        Values for the template. All text is escaped.

    Returns
    -------
    str
        HTML, UTF-8.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Made once: the templates of twenty yearly pages are compiled once, too."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bridge_assets.reporting.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wording.FILTERS)
    return environment
