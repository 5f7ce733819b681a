"""State names against the codes that FHWA publishes."""

from __future__ import annotations

import csv

from bridge_assets.nbi.codes import STATE_NAMES


def test_holds_the_states_the_district_and_the_territories_once_each() -> None:
    assert len(STATE_NAMES) == 56 and len(set(STATE_NAMES.values())) == 56
    assert all(len(code) == 2 and code.isdigit() for code in STATE_NAMES)
    assert list(STATE_NAMES) == sorted(STATE_NAMES)


def test_names_agree_with_the_coding_guide(real_data) -> None:
    # The guide's codes carry the FHWA region as third digit, and its table cuts some names short.
    with (real_data / "coding_tables" / "STATE_CODE_001.csv").open(encoding="utf-8", newline="") as file:
        published = {row[0].strip()[:2]: row[1].strip() for row in list(csv.reader(file, delimiter=";"))[1:]}
    assert len(published) == 52
    assert {code: STATE_NAMES[code] for code in published if not STATE_NAMES[code].startswith(published[code])} == {}
