"""The dashboard in a real browser: one server, one browser, on the small home."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from support.browser import chromium
from support.dashboard.home import FORMULA_KEY, HOSTILE_KEY, HOSTILE_NAME, ODD_KEY, YEARS

from bridge_assets.settings import bridge_path
from bridge_assets.settings.dashboard import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("streamlit", reason="the extra dashboard is not installed")

#: Streamlit looks for its server below the address of the page before the root; the browser logs that nothing is there.
STREAMLITS_OWN_404 = re.compile(r"/_stcore/(health|host-config)$")

#: Milliseconds until something must be there; the machine may be busy.
PATIENCE = 30_000


@pytest.fixture(scope="module")
def address(dashboard_home: Path) -> Iterator[str]:
    environment = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(dashboard_home), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from bridge_assets.cli import main; main()", "dashboard", "--port", "0"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{found[0]}/_stcore/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield found[0]
    server.terminate()
    server.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A tab; at the end nothing went wrong in it, and nothing was asked of another machine."""
    problems: list[str] = []
    hosts: set[str] = set()
    with browser.new_context(
        viewport={"width": 1440, "height": 900}, base_url=address, color_scheme="light"
    ) as context:
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.on(
            "console",
            lambda line: problems.append(line.text) if line.type == "error" and "404" not in line.text else None,
        )
        tab.on("request", lambda request: hosts.add(urlsplit(request.url).netloc or "data"))
        tab.on(
            "response",
            lambda got: (
                problems.append(f"{got.status} {got.url}")
                if got.status >= 400 and not STREAMLITS_OWN_404.search(urlsplit(got.url).path)
                else None
            ),
        )
        yield tab
    assert problems == []
    assert hosts <= {urlsplit(address).netloc, "data"}


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def settle(page: Page) -> None:
    """Wait until the script has ended: a widget that is drawn again loses what is typed into it."""
    page.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
    page.wait_for_timeout(100)


def test_a_bridge_is_searched_with_the_keyboard_and_opened_from_the_list(page: Page) -> None:
    page.goto("/bridges")
    page.get_by_text("80 bridges, 1 to 25").wait_for()
    page.evaluate("window.kept = true")
    settle(page)
    page.keyboard.press("/")
    page.keyboard.type("img src")
    page.keyboard.press("Enter")
    page.get_by_text("1 bridge, 1 to 1").wait_for()
    assert query(page)["q"] == ["img src"]
    settle(page)
    link = page.get_by_role("link", name=HOSTILE_NAME)
    assert link.get_attribute("href") == bridge_path(HOSTILE_KEY)
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=HOSTILE_NAME, level=1).wait_for()
    assert query(page) == {"state": ["25"], "structure": ["B001"]}
    assert page.evaluate("window.kept") is True  # nothing was loaded again
    assert "hacked" not in page.title()
    for text in ("24 % of similar bridges deteriorated", "coordinate_impossible", "Similar bridges", "25-OLD1"):
        assert page.get_by_text(text).first.is_visible()
    page.go_back()
    page.get_by_role("heading", name="Inspection list").wait_for()


def test_the_address_of_a_bridge_can_be_shared(page: Page) -> None:
    page.goto(bridge_path(ODD_KEY))
    page.get_by_role("heading", name="ROUTE 2", level=1).wait_for()
    assert page.locator(".state-line .key").inner_text() == ODD_KEY
    rows = page.get_by_role("region", name="Records over the years").get_by_role("row")
    assert rows.count() == 1 + len(YEARS)
    page.goto("/bridge?state=25&structure=b-005")
    page.get_by_text("No such bridge").wait_for()
    page.goto("/bridge?state=25&structure=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    page.get_by_text("<script>alert(1)</script>").wait_for()
    settle(page)
    box = page.get_by_label("Structure key")
    box.fill("48-B010")
    box.press("Enter")
    page.get_by_role("heading", name="ROUTE 49", level=1).wait_for()
    assert query(page) == {"state": ["48"], "structure": ["B010"]}


def test_a_list_is_filtered_sorted_turned_and_downloaded(page: Page, tmp_path: Path) -> None:
    page.goto("/bridges?state=25")
    page.get_by_text("40 bridges, 1 to 25").wait_for()
    settle(page)
    sort = page.get_by_role("button", name="Vehicles per day")
    sort.focus()
    page.keyboard.press("Enter")
    head = page.locator("th:has(#sort-traffic)")
    page.wait_for_function("document.querySelector('th:has(#sort-traffic)').ariaSort === 'descending'")
    assert page.evaluate("document.activeElement.id") == "sort-traffic"  # the focus stays
    settle(page)
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('th:has(#sort-traffic)').ariaSort === 'ascending'")
    settle(page)
    assert head.get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="Next").click()
    page.get_by_text("40 bridges, 26 to 40").wait_for()
    assert query(page) == {"state": ["25"], "sort": ["traffic"], "order": ["asc"], "page": ["2"]}
    for name, read in (("CSV", pl.read_csv), ("Parquet", pl.read_parquet)):
        settle(page)
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {name}").click()
        download.value.save_as(tmp_path / name)
        table = read(tmp_path / name)
        assert table.height == 40 and table["adt"].is_sorted()
        assert FORMULA_KEY in table["structure_key"].to_list()
    settle(page)
    box = page.locator('[data-testid="stSelectbox"]', has_text="Class").locator("input")
    box.scroll_into_view_if_needed()  # the list of options closes when the page is scrolled
    settle(page)
    box.fill("Poor")
    page.locator("[role=option]", has_text="Poor").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('class=Poor')")
    page.wait_for_function(
        "[...document.querySelectorAll('td[data-label=Condition]')].every(e => /Poor/.test(e.innerText))"
    )
    assert "page" not in query(page)


def test_the_theme_can_be_switched_and_everything_follows(page: Page) -> None:
    page.goto("/")
    page.get_by_role("heading", name="Condition of all bridges").wait_for()
    colours = """() => [['.stApp', 'backgroundColor'], ['.bridge-assets .card', 'backgroundColor'],
        ['.bridge-assets h1', 'color']].map(([where, what]) => getComputedStyle(document.querySelector(where))[what])"""
    settle(page)
    before = page.evaluate(colours)
    page.locator('[data-testid="stMainMenu"] button').click()
    page.get_by_role("menuitemradio", name="Dark").or_(page.get_by_text("Dark", exact=True)).first.click()
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
    after = page.evaluate(colours)
    assert before == ["rgb(244, 246, 248)", "rgb(255, 255, 255)", "rgb(20, 32, 43)"]
    assert after == ["rgb(15, 21, 27)", "rgb(24, 33, 41)", "rgb(232, 237, 242)"]


def test_every_page_fits_is_accessible_and_names_itself(page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for name in PAGES:
        page.goto(bridge_path(HOSTILE_KEY) if name == "bridge" else "/" if name == "overview" else f"/{name}")
        page.locator(".bridge-assets h1").wait_for()
        settle(page)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(200)
            result = Axe().run(page).response
            assert result["passes"]
            found += [
                (name, width, each["id"], each["nodes"][0]["html"][:200])
                for each in result["violations"]
                if each["impact"] in ("serious", "critical")
            ]
            main = page.evaluate("document.querySelector('.stMain').scrollWidth")
            found += [(name, width, "wider than the screen", main)] if main > width else []
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.locator("h1:visible").count() == 1
    assert found == []


def test_a_missing_table_says_what_to_materialise(page: Page, dashboard_home: Path) -> None:
    path = dashboard_home / "lake" / "mart_bridge_outlook.parquet"
    content = path.read_bytes()
    try:
        path.write_bytes(content[: len(content) // 2])
        page.goto("/bridges")
        page.get_by_role("alert").wait_for()
        assert "Mart_bridge_outlook cannot be read" in page.get_by_role("alert").inner_text().replace("mart", "Mart")
        link = page.get_by_role("alert").get_by_role("link")
        assert link.get_attribute("href") == "http://127.0.0.1:3000/assets/mart_bridge_outlook"
    finally:
        path.write_bytes(content)
    page.goto("/bridges")
    page.get_by_text("80 bridges, 1 to 25").wait_for()
