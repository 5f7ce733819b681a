"""`dashboard_assets.yaml`: what is accepted, and how a wrong value is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_assets.errors import SettingsError
from bridge_assets.settings import DashboardSettings, bridge_path
from bridge_assets.settings.dashboard import PAGES

CONFIGS = Path(__file__).parents[2] / "configs"


def load(folder: Path, text: str) -> DashboardSettings:
    (folder / "dashboard_assets.yaml").write_text(text, encoding="utf-8")
    return DashboardSettings.load(folder)


def test_the_shipped_file_holds_the_defaults_and_names_every_value() -> None:
    shipped = DashboardSettings.load(CONFIGS)
    assert shipped.model_dump() == DashboardSettings().model_dump()
    assert shipped.model_fields_set == set(DashboardSettings.model_fields)
    for section in ("theme", "layout", "components", "reading"):
        values = getattr(shipped, section)
        assert values.model_fields_set == set(type(values).model_fields)
    assert shipped.layout.pages == PAGES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour: red", "unknown key colour. Expected: address, components"),
        ("components: {rows: 5}", "unknown key components.rows. Expected: download_rows"),
        ("layout: {pages: [overview, atlas]}", "layout.pages"),
        ("layout: {pages: [bridge, overview]}", "another page must be the first"),
        ("layout: {pages: [map, map]}", "each page may be named once"),
        ("address: bridges.example.org", "expected an address such as https://bridges.example.org"),
        ("address: javascript:alert(1)", "expected an address such as"),
        ("components: {rows_per_page: 5000}", "components.rows_per_page"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(tmp_path, text)
    assert named in str(error.value)
    assert "dashboard_assets.yaml" in str(error.value)


def test_a_variable_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DASHBOARD__LAYOUT__PAGES", "map, bridges")
    monkeypatch.setenv("BRIDGE_ASSETS_DASHBOARD__COMPONENTS__ROWS_PER_PAGE", "50")
    settings = load(tmp_path, "components: {rows_per_page: 10}")
    assert (settings.layout.pages, settings.components.rows_per_page) == (("map", "bridges"), 50)


def test_a_structure_number_of_any_characters_survives_its_address(tmp_path: Path) -> None:
    from urllib.parse import parse_qs, urlsplit

    for structure in ("B-123", "00&x=1", "A/B #2", "é'\"<b>"):
        query = parse_qs(urlsplit(bridge_path(f"25-{structure}")).query)
        assert query == {"state": ["25"], "structure": [structure]}


def test_reports_link_to_the_dashboard_only_where_it_has_an_address(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.bridge_address("25-B1") is None
    assert settings.page_address("drift") == "http://127.0.0.1:8501/drift"
    settings = load(tmp_path, "{address: 'https://bridges.example.org/', dagster: ''}")
    assert settings.bridge_address("25-B1") == "https://bridges.example.org/bridge?state=25&structure=B1"
    assert settings.page_address("overview") == "https://bridges.example.org/"
    assert settings.asset_address("bridge_model") is None
