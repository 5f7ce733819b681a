"""Renders the condition report: one HTML page for bridge engineers and directors.

Belongs here: the inputs of the report and its rendering. The figures of each section come from `sections`, their format
from `wording`, the charts from `html.charts`, the markup from `templates/`. Does not belong here: reading the tables
(`inputs`), and writing the file (`storage.write_text`).

The page makes no network requests, supports light and dark mode and printing, and contains no creation time: the same
inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge_assets.reporting.condition import lists, records, sections
from bridge_assets.reporting.html.pages import render_page
from bridge_assets.reporting.plots import condition_trend_png

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.reporting.condition.sections import Metrics

__all__ = ["ConditionReport", "condition_trend_png", "render_condition_report"]

#: Columns that a table must have unless it is empty.
REQUIRED_COLUMNS = {
    "condition_by_year": (
        "survey_year",
        "state_code",
        "structures",
        "good",
        "fair",
        "poor",
        "share_good",
        "share_fair",
        "share_poor",
        "good_area_share",
        "fair_area_share",
        "poor_area_share",
        "nhs_structures",
        "nhs_area_m2",
        "nhs_good_area_share",
        "nhs_poor_area_share",
        "inspections_compared",
        "falls",
        "fall_rate",
        "mean_fall_probability",
    ),
    "outlook": (
        "structure_key",
        "survey_year",
        "state_code",
        "county_code",
        "facility_carried",
        "features_intersected",
        "location",
        "condition",
        "condition_class",
        "inspection_date",
        "fall_probability",
        "state_fall_probability",
        "listed_as",
        "rank_in_list",
        "target",
        "reasons",
        "years_until_poor",
        "years_until_poor_low",
        "years_until_poor_high",
        "years_until_poor_horizon",
        "model_version",
    ),
    "drift": ("survey_year", "kind", "feature", "state", "measure", "value", "threshold", "drifted"),
    "ingestion": ("survey_year", "rows_read", "loaded", "rejected"),
    "rejections": ("survey_year", "reason", "rejected"),
}


def _empty_table() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame()


def _no_page(structure_key: str) -> None:
    """No dashboard is configured."""


@dataclass(frozen=True)
class ConditionReport:
    """The inputs of the report. Every table may be empty; the page then says what is missing and how to build it.

    Attributes
    ----------
    condition_by_year : pl.DataFrame
        One row per survey year and state, and one per survey year with state_code `all`. survey_year, state_code (two
        digits), structures, good, fair, poor (counts), share_good, share_fair, share_poor (0-1 of the structures),
        good_area_share, fair_area_share, poor_area_share (0-1 of the deck area, nullable), nhs_structures (count of the
        bridges of the National Highway System), nhs_area_m2, nhs_good_area_share, nhs_poor_area_share (0-1 of their
        deck area, nullable), inspections_compared (those with a previous inspection to compare with), falls (counts),
        fall_rate (falls / inspections_compared, nullable), mean_fall_probability (nullable).
    outlook : pl.DataFrame
        One row per structure and scored survey year. structure_key, survey_year, state_code, county_code,
        facility_carried, features_intersected, location (text as published), condition (0-9), condition_class,
        inspection_date (Date), fall_probability (0-1, at the next inspection), state_fall_probability (mean of its
        state), listed_as (one of `scoring.batch.LISTS`, nullable), rank_in_list (1 = first bridge of that list in its
        state), target (`targets.target_name`), reasons (`shap_values.reasons_dtype`, nullable), years_until_poor,
        years_until_poor_low, years_until_poor_high (null beyond years_until_poor_horizon, which is null if no years
        were computed), model_version.
    evaluation : mapping or None
        The scores of `models.evaluation.record.Evaluation.to_dict`: forecast -> metric -> value (nullable) on the
        held-out inspections. Forecasts persistence, base_rate, rating_table, logistic_regression, gradient_boosting,
        model and, for the sample, oracle; metrics auc, average_precision, brier, worst_10 (share of the falls among the
        tenth with the highest probability), ratio (falls expected over falls observed).
    drift : pl.DataFrame
        drift_report (`drift.report.report_schema`) of one or more survey years; features and predictions of all states
        together are shown.
    ingestion : pl.DataFrame
        survey_year, rows_read, loaded, rejected; one row per survey year.
    rejections : pl.DataFrame
        survey_year, reason (`nbi.delimited.records.REJECTION_REASONS`), rejected; one row per survey year and reason.
    lowest : pl.DataFrame
        The bridges with the lowest condition, as `records.lowest_rated`; listed if there is no model.
    quality : pl.DataFrame
        `data.quality.measures.SUMMARY_SCHEMA`, for one or more survey years; the last one is shown.
    no_model_reason : str
        Why no model is used. The parts of the page that need one are then left out. Empty if there is a model.
    origin_warning : str
        `data.origin.Origin.warning`: says that bridges are invented. Empty for real records.
    no_probability_reason : str
        Why there are no probabilities although a model is served; shown instead of them. Empty if there are.
    provenance : mapping
        Readable facts about the inputs, such as model version, survey years, digests and source, shown in the given
        order.
    bridge_address : callable
        structure_key -> address of the bridge's page; None if no dashboard is configured.
    """

    condition_by_year: pl.DataFrame = field(default_factory=_empty_table)
    outlook: pl.DataFrame = field(default_factory=_empty_table)
    evaluation: Mapping[str, Metrics] | None = None
    drift: pl.DataFrame = field(default_factory=_empty_table)
    ingestion: pl.DataFrame = field(default_factory=_empty_table)
    rejections: pl.DataFrame = field(default_factory=_empty_table)
    lowest: pl.DataFrame = field(default_factory=_empty_table)
    quality: pl.DataFrame = field(default_factory=_empty_table)
    no_model_reason: str = ""
    origin_warning: str = ""
    no_probability_reason: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    bridge_address: Callable[[str], str | None] = _no_page

    def __post_init__(self) -> None:
        for name, columns in REQUIRED_COLUMNS.items():
            table: pl.DataFrame = getattr(self, name)
            if not table.is_empty() and (missing := [column for column in columns if column not in table.columns]):
                raise ValueError(
                    f"{name} lacks {', '.join(missing)}; it has {', '.join(table.columns)}. What to do: pass a table "
                    f"with the columns documented in ConditionReport"
                )
        for forecast in sections.FORECAST_LABELS.keys() & (self.evaluation or {}).keys():
            scores = (self.evaluation or {})[forecast]
            if missing := [metric for metric in sections.METRICS if metric not in scores]:
                raise ValueError(f"evaluation: {forecast} lacks {', '.join(missing)}; it has {', '.join(scores)}")

    @property
    def survey_year(self) -> int | None:
        """The year of the report: the latest one with figures, else the latest one with scores."""
        for table in (self.condition_by_year, self.outlook):
            if not table.is_empty():
                return int(table["survey_year"].max())  # pyright: ignore[reportArgumentType]: an integer column
        return None


def render_condition_report(report: ConditionReport) -> str:
    """The report as one self-contained HTML page.

    Parameters
    ----------
    report : ConditionReport

    Returns
    -------
    str
        HTML, UTF-8. All text from the tables is escaped.
    """
    year = report.survey_year
    return render_page(
        "condition_report.html",
        survey_year=year,
        sources=sections.sources(with_model=not report.no_model_reason),
        headline=sections.headline(report.condition_by_year, report.outlook, year),
        trend=sections.trend(report.condition_by_year),
        states=sections.by_state(report.condition_by_year, year),
        look_first=lists.look_first(report.outlook, year),
        quality=sections.model_quality(report.evaluation),
        drift=sections.drift_summary(report.drift),
        ingestion=sections.data_quality(report.ingestion, report.rejections),
        lowest=records.lowest_rows(report.lowest),
        flagged=records.flags_and_duplicates(report.quality),
        no_model_reason=report.no_model_reason,
        origin_warning=report.origin_warning,
        no_probability_reason=report.no_probability_reason,
        provenance=dict(report.provenance),
        bridge_address=report.bridge_address,
    )
