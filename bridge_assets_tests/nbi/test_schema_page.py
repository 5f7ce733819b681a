"""The documentation of the columns agrees with the code."""

from __future__ import annotations

from pathlib import Path

import yaml

from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.nbi.coding_guide.items import ITEMS
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.nbi.schema import columns
from bridge_assets.nbi.schema_page import render_page, with_source_columns

PROJECT = Path(__file__).parents[2]
SOURCES = PROJECT / "dbt_project" / "models" / "sources.yml"
REMEDY = "run: python -m bridge_assets.nbi.schema_page docs/schema.md dbt_project/models/sources.yml"


def test_the_schema_lists_the_columns_of_the_table() -> None:
    assert [column.name for column in columns()] == list(BRIDGE_SCHEMA)


def test_the_page_is_current() -> None:
    assert (PROJECT / "docs" / "schema.md").read_text(encoding="utf-8") == render_page() + "\n", REMEDY


def test_the_page_names_every_item_code_and_flag() -> None:
    text = render_page()
    assert all(f"| `{item.name}` |" in text for item in ITEMS)
    assert all(f"| `{code}` | {meaning} |" in text for item in ITEMS for code, meaning in item.codes.items())
    assert all(f"| `{flag}` |" in text for flag in FLAGS)


def test_every_link_of_the_page_has_its_heading() -> None:
    text = render_page()
    headings = {line[4:].lower().replace(",", "").replace(" ", "-") for line in text.splitlines() if line[:4] == "### "}
    links = {part.split(")")[0] for part in text.split("](#")[1:]}
    assert links and links == headings


def test_dbt_sources_describe_every_column() -> None:
    text = SOURCES.read_text(encoding="utf-8")
    assert with_source_columns(text) == text, REMEDY
    tables = {table["name"]: table for table in yaml.safe_load(text)["sources"][0]["tables"]}
    described = {column["name"]: column["description"] for column in tables["raw_bridges"]["columns"]}
    assert list(described) == [column.name for column in columns()]
    assert described["DECK_AREA"].endswith("In the files of 2017 to 2025. Unit: m2")
