"""Renders templates: escapes text and provides the formatting filters. An undefined name is an error.

The pages have one script, `templates/tables.js`, which adds search and sort to their tables. `content_security_policy`
allows exactly it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
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
def table_script() -> str:
    """The script of the pages, as it is between `<script>` and `</script>`."""
    return resources.files("bridge_assets.reporting.html").joinpath("templates/tables.js").read_text("utf-8")


def content_security_policy() -> str:
    """What a browser may do with a page: use its own styles and images, run its script, and nothing else.

    The script is named by the hash of its text. A page of another version of the platform keeps its tables and loses
    search and sort.
    """
    digest = base64.b64encode(hashlib.sha256(table_script().encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


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
