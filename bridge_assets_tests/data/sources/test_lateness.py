"""A survey year that is not available on the first of July of the next year is late."""

from __future__ import annotations

import datetime

import pytest

from bridge_assets.data.sources.lateness import (
    GRACE_PERIOD,
    LATE_AFTER,
    PUBLICATION_DEADLINE,
    due_survey_year,
    late_survey_year_message,
)


@pytest.mark.parametrize(
    ("today", "due"), [("2026-01-01", 2024), ("2026-06-30", 2024), ("2026-07-01", 2025), ("2026-12-31", 2025)]
)
def test_a_year_is_due_two_weeks_after_its_publication(today: str, due: int) -> None:
    assert due_survey_year(datetime.date.fromisoformat(today)) == due


def test_the_grace_period_is_between_publication_and_lateness() -> None:
    assert datetime.date(2026, *PUBLICATION_DEADLINE) + GRACE_PERIOD == datetime.date(2026, *LATE_AFTER)


def test_the_message_has_year_deadline_and_latest_year() -> None:
    today = datetime.date(2026, 11, 25)
    assert late_survey_year_message([2024, 2025], today) is None
    message = late_survey_year_message([2019, 2024], today)
    assert message is not None
    assert "survey year 2025 is late" in message
    assert "15 June 2026" in message
    assert "the latest available year is 2024" in message
    assert "no year is available" in (late_survey_year_message([], today) or "")
