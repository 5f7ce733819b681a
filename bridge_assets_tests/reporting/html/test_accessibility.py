"""The pages in a browser: nothing that axe-core finds, nothing cut off, all of it reached with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import DESKTOP, PHONE, accessibility_findings, chromium, open_page
from support.pages.condition import condition_report
from support.pages.drift import drift_page
from support.pages.quality import lake_with_flags, rendered

from bridge_assets.reporting.condition.page import render_condition_report
from bridge_assets.reporting.drift.page import render_drift_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = ("condition_report", "data_quality", "drift_2025")

#: Scrolling areas in which something is out of sight.
SCROLLING = "[...document.querySelectorAll('.scroll')].filter(area => area.scrollWidth > area.clientWidth + 1)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name of a page -> its address."""
    folder = tmp_path_factory.mktemp("pages")
    html = {
        "condition_report": render_condition_report(condition_report()),
        "data_quality": rendered(lake_with_flags(folder)),
        "drift_2025": render_drift_page(drift_page()),
    }
    return {name: _written(folder / f"{name}.html", text) for name, text in html.items()}


def _written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


# Contrast depends on the theme, what fits depends on the width: two of the four combinations show both.
@pytest.mark.parametrize(("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(
    browser: Browser, pages: dict[str, str], name: str, size: tuple[int, int], theme: str
) -> None:
    with open_page(browser, pages[name], size, color_scheme=theme) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert accessibility_findings(page) == []
        width, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= window, "the page scrolls sideways"


@pytest.mark.parametrize("name", ["condition_report", "data_quality"])
def test_a_table_that_does_not_fit_on_a_phone_is_scrolled_with_the_keyboard(
    browser: Browser, pages: dict[str, str], name: str
) -> None:
    with open_page(browser, pages[name], PHONE) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        left = page.evaluate(f"{SCROLLING}.map(area => area.ariaLabel)")
        assert left and len(left) == len(set(left))
        for _ in range(300):
            page.keyboard.press("Tab")
            label = page.evaluate("document.activeElement.ariaLabel")
            if label in left:
                first = page.evaluate("document.activeElement.querySelector('th').getBoundingClientRect().left")
                page.keyboard.press("ArrowRight")
                page.wait_for_function("document.activeElement.scrollLeft > 0")
                # What a row is about stays in sight.
                now = page.evaluate("document.activeElement.querySelector('th').getBoundingClientRect().left")
                assert now == pytest.approx(first, abs=1)
                left.remove(label)
            if not left:
                return
        pytest.fail(f"the keyboard does not reach: {left}")
