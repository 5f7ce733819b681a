"""The reference and the analysis period."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bridge_assets.drift.periods import Periods
from bridge_assets.errors import SourceError
from bridge_assets.settings import DriftSettings, ModelSettings, PeriodSettings

YEARS = range(2006, 2026)


def test_the_reference_is_what_the_model_learned_from_and_the_analysis_all_other_years() -> None:
    periods = Periods.choose(DriftSettings(), (2006, 2019), YEARS)
    assert periods.reference == tuple(range(2006, 2020)) and periods.text == "2006 to 2019"
    assert [periods.of(year) for year in (2006, 2019, 2020, 2025)] == ["reference"] * 2 + ["analysis"] * 2


def test_both_periods_are_settings() -> None:
    settings = DriftSettings(
        reference=PeriodSettings(first=2010, last=2014), analysis=PeriodSettings(first=2020, last=None)
    )
    periods = Periods.choose(settings, (2006, 2019), YEARS)
    assert periods.reference == (2010, 2011, 2012, 2013, 2014)
    assert [periods.of(year) for year in (2009, 2014, 2019, 2020)] == ["outside", "reference", "outside", "analysis"]
    assert periods.compared_with(2012) == (2010, 2011, 2013, 2014)
    assert periods.compared_with(2020) == periods.reference
    assert Periods.choose(DriftSettings(reference=PeriodSettings(first=2019)), (1, 2), YEARS).text == "2019 to 2025"


def test_settings_are_read_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__DRIFT__REFERENCE__FIRST", "2010")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__DRIFT__REFERENCE__LAST", "2014")
    assert ModelSettings.load().drift.reference == PeriodSettings(first=2010, last=2014)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DriftSettings(), r"2006 to 2019, the years that the served model was trained on\. There are features of 2021"),
        (
            DriftSettings(reference=PeriodSettings(last=2010)),
            r"the first year to 2010, drift\.reference in model_config",
        ),
    ],
)
def test_a_reference_without_features_is_an_error_that_says_what_to_do(settings: DriftSettings, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        Periods.choose(settings, (2006, 2019), range(2021, 2026))
    assert "What to do: build bridge_features for the reference years" in str(caught.value)
    with pytest.raises(SourceError, match="No survey year has features"):
        Periods.choose(settings, (2006, 2019), [])


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"last \(2010\) must not be before first \(2014\)"):
        PeriodSettings(first=2014, last=2010)
    with pytest.raises(ValidationError, match="an ERROR is more than a warning"):
        DriftSettings(margin=4)
    with pytest.raises(ValidationError, match="an ERROR is more than a warning"):
        DriftSettings(error_least=0.01)


class TestExpected:
    periods = Periods((2010, 2011, 2012, 2013, 2014), DriftSettings())

    def test_within_the_reference_it_is_the_largest_distance(self) -> None:
        assert self.periods.expected(2012, {2010: 0.1, 2014: 0.08}) == 0.1

    def test_a_change_under_way_is_extrapolated_from_the_years_on_the_same_side(self) -> None:
        # 2016 is four years from the centre, the ends of the reference two.
        assert self.periods.expected(2016, {2010: 0.02, 2014: 0.08}) == pytest.approx(0.16)
        assert self.periods.expected(2008, {2010: 0.02, 2014: 0.08}) == pytest.approx(0.08)
        assert self.periods.expected(2006, {2010: 0.05, 2014: 0.08}) == pytest.approx(0.15)

    def test_an_index_grows_with_the_square(self) -> None:
        assert self.periods.expected(2016, {2014: 0.01}, order=2) == pytest.approx(0.04)

    def test_one_year_lets_one_expect_nothing(self) -> None:
        assert Periods((2014,), DriftSettings()).expected(2020, {}) == 0
