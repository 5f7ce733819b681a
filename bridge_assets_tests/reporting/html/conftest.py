"""One browser, and the pages of a report as files, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser import chromium
from support.pages.condition import condition_report
from support.pages.drift import drift_page
from support.pages.quality import lake_with_flags, rendered

from bridge_assets.reporting.condition.page import render_condition_report
from bridge_assets.reporting.drift.page import render_drift_page
from bridge_assets.settings.dashboard import DashboardSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DASHBOARD = DashboardSettings(address="https://bridges.example.org")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three pages."""
    folder = tmp_path_factory.mktemp("pages")
    html = {
        "condition_report": render_condition_report(
            replace(condition_report(), bridge_address=DASHBOARD.bridge_address)
        ),
        "data_quality": rendered(lake_with_flags(folder)),
        "drift_2025": render_drift_page(drift_page()),
    }
    for name, text in html.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pages(pages_folder: Path) -> dict[str, str]:
    """Name of a page -> its address, of a file."""
    return {path.stem: path.as_uri() for path in pages_folder.glob("*.html")}
