"""Features of a survey year against the reference years: learned thresholds, states, missing values, causes."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from bridge_assets.drift import limits
from bridge_assets.drift.detection import compute_ks_drift
from bridge_assets.drift.numbers import FEATURE, PREDICTION, NumberColumn, compare_column, count_by_state
from bridge_assets.drift.periods import Periods
from bridge_assets.settings import DriftSettings

SETTINGS = DriftSettings(margin=1.5, least=0.05)


def ages(seed: int, shift: float = 0.0, rows: int = 2000, state: str = "25") -> pl.DataFrame:
    values = np.random.default_rng(seed).gamma(4, 10, rows).round() + shift
    return pl.DataFrame({"x": values}).with_columns(pl.lit(state).alias("state"))


def values(*numbers: float | None, state: str = "25") -> pl.DataFrame:
    return pl.DataFrame({"x": numbers}, schema={"x": pl.Float64}).with_columns(pl.lit(state).alias("state"))


def column(years: Mapping[int, pl.DataFrame], kind: str = FEATURE, recoded: Mapping | None = None) -> NumberColumn:
    return NumberColumn(
        "x", kind, count_by_state({year: table.lazy() for year, table in years.items()}, "x"), recoded or {}
    )


def report(
    years: Mapping[int, pl.DataFrame],
    reference: tuple[int, ...],
    year: int,
    settings: DriftSettings = SETTINGS,
    **more,
) -> dict[tuple[str, str], dict]:
    """(state, measure) -> row."""
    rows = compare_column(column(years, **more), [year], Periods(reference, settings))
    return {(row["state"], row["measure"]): row for row in rows}


class TestThresholds:
    def test_is_the_largest_distance_of_a_year_from_the_others_times_the_margin(self) -> None:
        years = {2010: ages(1), 2011: ages(2), 2012: ages(3, shift=8), 2013: ages(4), 2014: ages(9)}
        reference = (2010, 2011, 2012, 2013)
        expected = max(
            compute_ks_drift(
                years[year]["x"].to_pandas(),
                pl.concat(years[other] for other in reference if other != year)["x"].to_pandas(),
            )[0]
            for year in (2012,)  # nothing before the centre is extrapolated to a later year, but 2012 is after it
        )
        centre, reach = 2011.5, 1.5
        found = report(years, reference, 2014)["all", limits.KS]["threshold"]
        assert found == pytest.approx(1.5 * expected * (2014 - centre) / reach)

    def test_years_that_hardly_differ_give_the_minimum_threshold(self) -> None:
        # 60,000 bridges a year: chance is far below the minimum.
        years = {year: ages(year, rows=60_000) for year in (2010, 2011, 2012, 2013)}
        assert report(years, (2010, 2011, 2012), 2013)["all", limits.KS]["threshold"] == 0.05

    def test_few_bridges_may_differ_by_as_much_as_chance_gives(self) -> None:
        years = {year: ages(year, rows=300) for year in (2010, 2011, 2012, 2013)}
        threshold = report(years, (2010, 2011, 2012), 2013)["all", limits.KS]["threshold"]
        assert threshold >= limits.chance_floor(limits.KS, limits.Sizes(900, 300)) > 0.15

    @pytest.mark.parametrize("others", [{}, {2011: values(None, None)}])
    def test_fewer_than_two_years_with_values_give_the_minimum_threshold(self, others: dict) -> None:
        years = {2010: ages(1, rows=60_000), 2013: ages(2, rows=60_000), **others}
        assert report(years, (2010, *others), 2013)["all", limits.KS]["threshold"] == 0.05

    def test_the_order_of_the_years_does_not_matter(self) -> None:
        years = {2010: ages(1), 2011: ages(2, shift=5), 2012: ages(3), 2013: ages(4)}
        backwards = dict(reversed(years.items()))
        assert report(years, (2010, 2011, 2012), 2013) == report(backwards, (2010, 2011, 2012), 2013)

    def test_a_slow_change_that_was_under_way_may_go_on(self) -> None:
        """A network ages by almost a year every year: that is expected. Ten years at once are not."""
        years = {year: ages(year, shift=year - 2010, rows=20_000) for year in range(2010, 2026)}
        reference = tuple(range(2010, 2020))
        assert not any(row["drifted"] for row in report(years, reference, 2025).values())
        jumped = {**years, 2025: ages(7, shift=40, rows=20_000)}
        assert report(jumped, reference, 2025)["all", limits.KS]["drifted"]

    def test_predictions_have_a_limit_beyond_which_drift_is_an_error(self) -> None:
        years = {year: ages(year, rows=20_000) for year in (2010, 2011, 2012, 2013)}
        row = report(years, (2010, 2011, 2012), 2013, kind=PREDICTION)["all", limits.KS]
        assert (row["threshold"], row["error_threshold"]) == (0.05, 0.15)
        assert report(years, (2010, 2011, 2012), 2013)["all", limits.KS]["error_threshold"] is None


class TestRows:
    def test_a_year_like_the_reference_years_is_steady_and_a_shifted_one_is_not(self) -> None:
        years = {year: ages(year) for year in range(2010, 2016)} | {2016: ages(99)}
        reference = tuple(range(2010, 2016))
        steady, moved = report(years, reference, 2016), report(years | {2016: ages(99, shift=10)}, reference, 2016)
        assert not any(row["drifted"] for row in steady.values())
        assert all(moved["all", name]["drifted"] for name in (limits.KS, limits.WASSERSTEIN, limits.PSI))
        distance, shift = moved["all", limits.KS], moved["all", limits.WASSERSTEIN]
        assert distance["value"] > distance["threshold"] >= 0.05
        assert distance["year_mean"] - distance["reference_mean"] == pytest.approx(10, abs=1.5)
        assert shift["value"] == pytest.approx(10, abs=1.5)
        assert moved["all", limits.PSI]["value"] > 0.1 > steady["all", limits.PSI]["value"]
        assert (distance["reference_rows"], distance["year_rows"]) == (12_000, 2000)

    def test_a_reference_year_is_compared_with_the_others_and_never_drifts(self) -> None:
        years = {2010: ages(1), 2011: ages(2, shift=30), 2012: ages(3)}
        rows = report(years, (2010, 2011, 2012), 2011)
        assert rows["all", limits.KS]["value"] > 0.3 and rows["all", limits.KS]["reference_rows"] == 4000
        assert not any(row["drifted"] for row in rows.values())

    def test_each_state_with_enough_bridges_is_compared(self) -> None:
        def two_states(seed: int, shift: float = 0.0, small: int = 99) -> pl.DataFrame:
            return pl.concat([ages(seed), ages(seed, shift, 1000, "36"), ages(seed, rows=small, state="02")])

        years = {year: two_states(year) for year in range(2010, 2014)} | {2014: two_states(9, shift=20)}
        found = report(years, (2010, 2011, 2012, 2013), 2014)
        assert {state for state, _ in found} == {"all", "25", "36"}
        assert found["36", limits.KS]["drifted"] and not found["25", limits.KS]["drifted"]

    def test_without_values_on_one_side_the_missing_share_decides(self) -> None:
        some, none = values(*[1.0, 2.0] * 500), values(*[None, float("nan")] * 500)
        for reference, year in ((some, none), (none, some)):
            rows = report({2010: reference, 2013: year}, (2010,), 2013)
            assert rows["all", limits.KS]["value"] is None and not rows["all", limits.KS]["drifted"]
            assert rows["all", limits.MISSING]["drifted"]
        nothing = report({2010: none, 2013: none}, (2010,), 2013)
        assert not any(row["drifted"] for row in nothing.values())
        assert nothing["all", limits.MISSING]["reference_mean"] == nothing["all", limits.MISSING]["year_mean"] == 1

    def test_a_rising_share_of_missing_values_is_drift_and_a_falling_one_is_not(self) -> None:
        few, more = values(*[1.0] * 980, *[None] * 20), values(*[1.0] * 920, *[None] * 80)
        assert report({2010: few, 2013: more}, (2010,), 2013)["all", limits.MISSING]["drifted"]
        assert not report({2010: more, 2013: few}, (2010,), 2013)["all", limits.MISSING]["drifted"]

    def test_constant_columns(self) -> None:
        ones, twos = values(*[1.0] * 500), values(*[2.0] * 400)
        same = report({2010: ones, 2013: ones}, (2010,), 2013)["all", limits.KS]
        other = report({2010: ones, 2013: twos}, (2010,), 2013)["all", limits.KS]
        assert (same["value"], same["drifted"]) == (0.0, False)
        assert (other["value"], other["drifted"]) == (1.0, True)

    def test_a_few_values_are_not_compared(self) -> None:
        """The years since a repair of three bridges."""
        few, others = values(*[7.0] * 3, *[None] * 2000), values(*[1.0] * 3, *[None] * 2000)
        rows = report({2010: few, 2013: others}, (2010,), 2013)
        assert rows["all", limits.KS]["value"] is None
        assert not any(row["drifted"] for row in rows.values())

    def test_booleans_are_zero_and_one(self) -> None:
        years = {2010: pl.DataFrame({"x": [True, False, None] * 500}).with_columns(pl.lit("25").alias("state"))}
        rows = report(years | {2013: values(*[1.0, 1.0, None] * 500)}, (2010,), 2013)
        assert rows["all", limits.KS]["value"] == 0.5 and rows["all", limits.MISSING]["value"] == 0

    def test_a_column_that_is_not_numeric_is_an_error(self) -> None:
        with pytest.raises(pl.exceptions.PolarsError):
            column({2010: pl.DataFrame({"x": ["01", "N"], "state": ["25", "25"]})})

    def test_thirty_features_of_a_hundred_thousand_rows_take_a_few_seconds(self) -> None:
        drawn = np.random.default_rng(0).normal(size=(100_000, 30)).round(2)
        table = pl.DataFrame(drawn, schema=[f"f{i}" for i in range(30)]).with_columns(pl.lit("25").alias("state"))
        tables = {2010: table.lazy(), 2011: table.head(6000).lazy()}
        start = time.perf_counter()
        for name in table.columns[:30]:
            compared = NumberColumn(name, FEATURE, count_by_state(tables, name))
            compare_column(compared, [2011], Periods((2010,), SETTINGS))
        assert time.perf_counter() - start < 5  # about 0.3 s on a quiet machine


class TestRecoding:
    def years(self) -> dict[int, pl.DataFrame]:
        steady = {year: pl.concat([ages(year), ages(year, state="36")]) for year in range(2010, 2014)}
        return {**steady, 2014: pl.concat([ages(9), ages(9, shift=30, state="36")])}

    def test_drift_that_one_state_alone_causes_by_recoding_is_named_so(self) -> None:
        found = report(self.years(), (2010, 2011, 2012, 2013), 2014, recoded={2014: ["36"]})
        assert found["all", limits.KS]["drifted"] and found["36", limits.KS]["drifted"]
        assert found["all", limits.KS]["cause"] == "recoded: 36" == found["36", limits.KS]["cause"]

    def test_drift_that_remains_without_the_state_keeps_no_cause(self) -> None:
        found = report(self.years(), (2010, 2011, 2012, 2013), 2014, recoded={2014: ["25"]})
        assert found["all", limits.KS]["drifted"] and found["all", limits.KS]["cause"] == ""
        assert found["36", limits.KS]["cause"] == ""
        other_year = report(self.years(), (2010, 2011, 2012, 2013), 2014, recoded={2013: ["36"]})
        assert other_year["all", limits.KS]["cause"] == ""


def test_real_panel_years_differ_little_from_each_other(real_data) -> None:
    """The same structures a year later: length and skew are steady, and a wrong unit of the traffic is detected."""
    from bridge_assets.data.ingest.pandas_api import load_bridge_data

    items = ["STRUCTURE_LEN_MT_049", "ADT_029", "DEGREES_SKEW_034"]
    years = {
        year: pl.from_pandas(load_bridge_data(str(real_data / "nbi" / "panel" / f"NBI_{year}.txt"))[items])
        for year in range(2015, 2020)
    }
    reference = (2015, 2016, 2017, 2018)

    def drifted(years: Mapping[int, pl.DataFrame]) -> list[bool]:
        tables = {year: table.with_columns(pl.lit("99").alias("state")).lazy() for year, table in years.items()}
        rows = [
            compare_column(
                NumberColumn(item, FEATURE, count_by_state(tables, item)), [2019], Periods(reference, SETTINGS)
            )
            for item in items
        ]
        return [any(row["drifted"] for row in each) for each in rows]

    assert drifted(years) == [False, False, False]
    in_thousands = years | {2019: years[2019].with_columns(pl.col("ADT_029") / 1000)}
    assert drifted(in_thousands) == [False, True, False]
