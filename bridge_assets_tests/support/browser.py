"""Chromium of this machine, driven by Playwright: never a downloaded browser, and never a request to another host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: What a browser of its own would send to its maker, off.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: Width and height, px: a desktop and a phone.
DESKTOP, PHONE = (1440, 900), (390, 844)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped if Playwright or Chromium is not installed.

    One at a time in a process, so a fixture of it has the scope of a module at most: Playwright's event loop runs as
    long, and until then no other test can start one.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        reason = "no Chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("BRIDGE_ASSETS_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser, address: str, size: tuple[int, int] = DESKTOP, **options: Any) -> Iterator[Page]:
    """A page in a context of its own. It fails the test at its end if the page wrote an error to the console, threw
    one, or asked another host than that of `address` for anything.

    Parameters
    ----------
    browser : Browser
    address : str
        Of a file or a server on this machine.
    size : (int, int)
        Width and height of the window, px.
    options
        Of `Browser.new_context`, such as `color_scheme`.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    page = context.new_page()
    home, problems = urlsplit(address).netloc, []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if urlsplit(request.url).scheme in ("data", "blob") or urlsplit(request.url).netloc == home
            else problems.append(f"request to {request.url}")
        ),
    )
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    assert not problems, "\n".join(problems)


def accessibility_findings(page: Page) -> list[str]:
    """What axe-core finds on the page as it stands: rule, impact, and the first elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    return [
        f"{found['id']} ({found['impact']}), {len(found['nodes'])} elements: "
        + "; ".join(f"{node['html'][:120]} {node['failureSummary'][:160]}" for node in found["nodes"][:3])
        for found in axe.Axe().run(page).response["violations"]
    ]
