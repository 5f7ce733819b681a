"""The column schema of raw_bridges in the UI."""

from __future__ import annotations

from bridge_assets.nbi.schema import columns
from bridge_assets.orchestration.metadata.table_schemas import table_schemas


def test_the_column_schema_has_number_unit_codes_and_years() -> None:
    shown = {column.name: column for column in table_schemas("classification")["raw_bridges"].columns}
    assert list(shown) == [column.name for column in columns()]
    assert shown["STRUCTURE_LEN_MT_049"].type == "decimal (m)"
    assert shown["RAILINGS_036A"].description == "Item 36A. Traffic safety: bridge railings. Codes: 0, 1, N"
    assert shown["OWNER_022"].description == "Item 22. Owner. Codes: 01, 02, 03, 04, 11, 12, 21, 25, 26, 27, 31, 32, …"
    assert (shown["STATUS"].description or "").endswith("In the files of 2010 to 2011")
    assert "joined by '; '" in (shown["flags"].description or "")
