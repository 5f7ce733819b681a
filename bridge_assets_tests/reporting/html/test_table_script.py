"""Search and sort work from a file and under the policy of the server, with the keyboard alone and on a phone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import PHONE, accessibility_findings, open_page

from bridge_assets.reporting.report_server import HOST, report_address, start_report_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def served(pages_folder: Path) -> Iterator[int]:
    """Port of a report server."""
    listener = socket.create_server((HOST, 0))
    port = listener.getsockname()[1]
    server = start_report_server(pages_folder, listener)
    yield port
    server.terminate()
    server.wait(timeout=20)


def shown(page: Page, column: int = 0) -> list[str]:
    """A column of the table of states, row by row, of the rows that are shown."""
    return page.locator("#states tbody tr:visible").evaluate_all(
        f"rows => rows.map(row => row.cells[{column}].textContent.trim())"
    )


@pytest.mark.parametrize("where", ["file", "server"])
def test_a_table_is_searched_and_sorted(browser: Browser, pages: dict[str, str], served: int, where: str) -> None:
    address = pages["condition_report"] if where == "file" else report_address(served, "condition_report.html")
    with open_page(browser, address) as page:
        assert shown(page) == ["Alaska 02", "Massachusetts 25"], "the largest share of Poor first"
        find = page.get_by_label("Find a state")
        find.fill("CHUSETTS 25")
        assert shown(page) == ["Massachusetts 25"]
        assert page.locator("#states [role=status]").inner_text() == "1 of 2"
        find.fill("nowhere")
        assert shown(page) == [] and page.locator("#states [role=status]").inner_text() == "None of 2"
        find.fill("")
        assert len(shown(page)) == 2
        head = page.locator("#states th", has_text="Structures")
        head.get_by_role("button").click()
        assert shown(page)[0] == "Massachusetts 25" and head.get_attribute("aria-sort") == "descending"
        head.get_by_role("button").click()
        assert shown(page)[0] == "Alaska 02" and head.get_attribute("aria-sort") == "ascending"
        head.get_by_role("button").click()
        assert shown(page)[0] == "Alaska 02" and head.get_attribute("aria-sort") is None, "as the report lists them"
        assert accessibility_findings(page) == []


def test_the_list_of_reports_is_accessible(browser: Browser, served: int) -> None:
    with open_page(browser, report_address(served, ""), PHONE, color_scheme="dark") as page:
        assert accessibility_findings(page) == []
        assert page.get_by_role("link", name="condition_report.html").count() == 1


def test_the_keyboard_alone_sorts_and_searches(browser: Browser, pages: dict[str, str]) -> None:
    with open_page(browser, pages["condition_report"]) as page:
        page.get_by_label("Find a state").focus()
        page.keyboard.type("alas")
        assert shown(page) == ["Alaska 02"]
        page.keyboard.press("Escape")
        assert len(shown(page)) == 2
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "State"
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        assert shown(page) == ["Massachusetts 25", "Alaska 02"]
        assert page.locator("#states th").first.get_attribute("aria-sort") == "descending"


def test_numbers_are_sorted_as_numbers_and_what_is_missing_comes_last(browser: Browser, tmp_path: Path) -> None:
    from bridge_assets.reporting.html.pages import table_script

    cells = ["1,200", "–", "900", "−3", "2.5 %"]
    rows = "".join(
        f'<tr><td>{name}</td><td class="number">{cell}</td></tr>' for name, cell in zip("abcde", cells, strict=True)
    )
    page_file = tmp_path / "page.html"
    page_file.write_text(
        "<!doctype html><meta charset=utf-8><title>t</title><section id=states><div class=scroll data-find=Find><table>"
        f"<thead><tr><th>Name<th class=number>Size</thead><tbody>{rows}</tbody></table></div></section>"
        f"<script>{table_script()}</script>",
        encoding="utf-8",
    )
    with open_page(browser, page_file.as_uri()) as page:
        button = page.get_by_role("button", name="Size")
        button.click()
        assert shown(page) == ["a", "c", "e", "d", "b"]
        button.click()
        assert shown(page) == ["d", "e", "c", "a", "b"]


def test_a_phone_has_a_list_to_sort_cards_by(browser: Browser, pages: dict[str, str]) -> None:
    with open_page(browser, pages["data_quality"], PHONE) as page:
        page.locator("#states select").select_option(label="Records, lowest first")
        first = page.locator("#states tbody tr").first.inner_text()
        assert "Alaska" in first
        page.locator("#states select").select_option(label="as listed")
        page.get_by_label("Find a state").fill("alabama")
        assert page.locator("#states tbody tr:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_without_scripts_the_tables_are_complete(browser: Browser, pages: dict[str, str]) -> None:
    with open_page(browser, pages["condition_report"], java_script_enabled=False) as page:
        assert page.locator("#states tbody tr").count() == 2 and page.locator("input, button, select").count() == 0
        assert page.locator("#states .scroll").get_attribute("tabindex") == "0"


def test_only_the_script_of_the_page_may_run(browser: Browser, pages_folder: Path, served: int) -> None:
    html = (pages_folder / "condition_report.html").read_text(encoding="utf-8")
    forged = html.replace(
        "</main>", "<p onclick=\"document.title='a'\">x</p><script>document.title = 'b'</script></main>"
    )
    (pages_folder / "forged.html").write_text(forged, encoding="utf-8")
    with (
        pytest.raises(AssertionError, match="Content Security Policy"),
        open_page(browser, report_address(served, "forged.html")) as page,
    ):
        page.get_by_text("x", exact=True).click()
        assert page.title() == "Bridge condition, survey year 2025"
        assert page.locator("#states input").count() == 1, "its own script runs"


def test_a_bridge_links_to_its_page_where_a_dashboard_is_configured(browser: Browser, pages: dict[str, str]) -> None:
    with open_page(browser, pages["condition_report"]) as page:
        links = page.locator("#look-first td a").evaluate_all("links => links.map(link => link.href)")
        assert "https://bridges.example.org/bridge?state=25&structure=200" in links and len(links) == 3
