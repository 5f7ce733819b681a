"""Reads what the drift page of a survey year shows: its drift_report, and the distributions of what drifted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bridge_assets.drift.counts import ValueCounts
from bridge_assets.drift.numbers import ALL_STATES, ByState, count_by_state
from bridge_assets.drift.report import ServedPredictions, features_by_state, predictions_by_state
from bridge_assets.drift.summary import DriftSummary
from bridge_assets.reporting.drift.distributions import CodeShare, Distribution, distribution_of
from bridge_assets.reporting.drift.page import DriftPage, render_drift_page

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.drift.periods import Periods
    from bridge_assets.settings import DataSettings

#: Features and items whose distributions are drawn, those that drifted most; all of them are in the table of the page.
MAX_DRAWN = 12


@dataclass(frozen=True)
class DriftPages:
    """Makes the pages of the survey years of a lake; reads the predictions of each year once for all of them.

    Attributes
    ----------
    lake : Lake
    data : DataSettings
        For the name of the source.
    periods : Periods
        The periods with which the reports were built.
    predictions : ServedPredictions
    """

    lake: Lake
    data: DataSettings
    periods: Periods
    predictions: ServedPredictions

    def render(self, report: pl.DataFrame) -> str:
        """The page of a survey year, from its drift_report. Raises SourceError if the year has no features."""
        summary, settings = DriftSummary(report), self.periods.settings
        return render_drift_page(
            DriftPage(
                table=report,
                reference=_years_text(self.periods.compared_with(summary.survey_year)),
                distributions=self._feature_distributions(summary),
                prediction=self._prediction_distribution(summary),
                codes=_code_shares(self.lake, summary, self.periods),
                provenance={
                    "Source": self._source[0],
                    "Reference years": _years_text(self.periods.reference),
                    "Model version": summary.model_version,
                    "Limits": f"{settings.margin} times the distance between reference years, at least "
                    f"{settings.least}; ERROR and single states {settings.error_margin} times, at least "
                    f"{settings.error_least}",
                },
                origin_warning=self._source[1],
            )
        )

    @cached_property
    def _source(self) -> tuple[str, str]:
        """Name of the source, and the warning that bridges are invented."""
        from bridge_assets.data.origin import lake_origin, source_name

        origin = lake_origin(self.lake)
        return source_name(origin, self.data), origin.warning

    @cached_property
    def _prediction_counts(self) -> dict[int, ByState]:
        """Survey year -> state -> counts of the predictions, of the years that were scored."""
        years = self.lake.available_years("bridge_features")
        tables = {year: predictions_by_state(self.lake, year, self.predictions) for year in years}
        scored = {year: table for year, table in tables.items() if table is not None}
        return count_by_state(scored, self.predictions.column)

    def _feature_distributions(self, summary: DriftSummary) -> dict[tuple[str, str], Distribution]:
        """(feature, state) -> distributions of the features that drifted, in all states or in one."""
        wanted = [*summary.drifted_features, *summary.drifted_in_states][:MAX_DRAWN]
        years = [*self.periods.compared_with(summary.survey_year), summary.survey_year]
        tables = {year: features_by_state(self.lake, year) for year in years} if wanted else {}
        keys = [(row["feature"], row["state"]) for row in wanted]
        return {
            (feature, state): _distribution(count_by_state(tables, feature), feature, state, summary.survey_year)
            for feature, state in keys
        }

    def _prediction_distribution(self, summary: DriftSummary) -> Distribution | None:
        if not summary.predictions:
            return None
        years = {*self.periods.compared_with(summary.survey_year), summary.survey_year}
        counts = {year: states for year, states in self._prediction_counts.items() if year in years}
        return _distribution(counts, self.predictions.column, ALL_STATES, summary.survey_year)


def _years_text(years: tuple[int, ...]) -> str:
    from bridge_assets.data.origin import format_years

    return format_years(years) if years else "no other year"


def _distribution(by_year: dict[int, ByState], column: str, state: str, survey_year: int) -> Distribution:
    sides: dict[bool, list[ValueCounts]] = {True: [], False: []}
    for year, states in by_year.items():
        sides[year == survey_year] += [counts for name, counts in states.items() if state in (name, ALL_STATES)]
    return distribution_of(column, ValueCounts.pooled(sides[False]), ValueCounts.pooled(sides[True]))


def _code_shares(lake: Lake, summary: DriftSummary, periods: Periods) -> dict[tuple[str, str], list[CodeShare]]:
    """(item, state) -> shares of its codes, of the items that a state recoded (the year before and this year) or that
    drifted in all states (the reference years and this year).
    """
    recoded = [(item, rows[0]["state"]) for item, rows in summary.recoded.items()]
    moved = [(row["feature"], ALL_STATES) for row in summary.drifted_codes if row["feature"] not in summary.recoded]
    earlier = [year for year in lake.available_years("raw_bridges") if year < summary.survey_year]
    found = {}
    for item, state in [*recoded, *moved][:MAX_DRAWN]:
        before = [earlier[-1]] if state != ALL_STATES else list(periods.compared_with(summary.survey_year))
        sides = [_codes(lake, years, item, state) for years in (before, [summary.survey_year])]
        totals = [sum(side.values()) or 1 for side in sides]
        codes = sorted({*sides[0], *sides[1]}, key=lambda code: (-max(side.get(code, 0) for side in sides), code))
        found[item, state] = [
            CodeShare(code, *(side.get(code, 0) / total for side, total in zip(sides, totals, strict=True)))
            for code in codes
        ]
    return found


def _codes(lake: Lake, years: list[int], item: str, state: str) -> dict[str, int]:
    import polars as pl

    from bridge_assets.drift.codes import code_text

    found: dict[str, int] = {}
    for year in years:
        records = lake.scan_year("raw_bridges", year).filter(pl.col("on_structure"))
        if item not in records.collect_schema().names():
            continue
        if state != ALL_STATES:
            records = records.filter(pl.col("structure_key").str.head(2) == state)
        for code, rows in records.group_by(item).agg(pl.len()).collect().iter_rows():
            found[code_text(code)] = found.get(code_text(code), 0) + rows
    return found
