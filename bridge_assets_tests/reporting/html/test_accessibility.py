"""The pages in a browser: nothing that axe-core finds, nothing cut off, all of it reached with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.browser import DESKTOP, PHONE, accessibility_findings, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = ("condition_report", "data_quality", "drift_2025")

#: Scrolling areas in which something is out of sight.
SCROLLING = "[...document.querySelectorAll('.scroll')].filter(area => area.scrollWidth > area.clientWidth + 1)"


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
