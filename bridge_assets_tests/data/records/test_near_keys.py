"""Mistyped structure keys."""

from __future__ import annotations

import time

import pytest

from bridge_assets.data.records.near_keys import near_keys, why_unknown

KEYS = ["01-0012", "01-SMP000091", "01-SMP000092", "08-A 17", "19-SMP000091", "19-0", "48-SMP000917"]


@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("01-smp000091", ["01-SMP000091"]),
        ("1-SMP000091", ["01-SMP000091"]),
        (" 01 - SMP000091  ", ["01-SMP000091"]),
        ("SMP000091", ["01-SMP000091", "19-SMP000091"]),
        ("48-SMP000091", ["01-SMP000091", "19-SMP000091"]),
        ("01-12", ["01-0012"]),
        ("01-000000000000012", ["01-0012"]),
        ("08-A17", ["08-A 17"]),
        ("01-SMP00091", ["01-SMP000091", "01-SMP000092"]),
        ("19-00", ["19-0"]),
        ("", []),
        ("-", []),
        ("19-12345", []),
        ("x\x00y", []),
    ],
)
def test_near_keys(wanted: str, near: list[str]) -> None:
    assert near_keys(wanted, KEYS)[: len(near) or 1] == near


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("SMP000091", "A key starts with a two-digit state code and a dash"),
        ("99-1", "99 is not a state code of the NBI (item 1)"),
        ("39-1", "None of its 7 bridges is in Ohio (39); states: 01, 08, 19, 48"),
        ("19-12345", "2 of its 7 bridges are in Iowa (19), but none has this number"),
    ],
)
def test_the_wrong_part_is_named(wanted: str, why: str) -> None:
    assert why_unknown(wanted, KEYS) == why


def test_a_national_year_takes_seconds() -> None:
    keys = [f"{state:02d}-{number:015d}" for state in range(1, 57) for number in range(0, 110_000, 10)]
    started = time.monotonic()
    assert near_keys("48-00000000O012340", keys)[0].startswith("48-")
    assert time.monotonic() - started < 30
