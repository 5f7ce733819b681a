"""How good the published scores turned out to be, once the bridges have been inspected again."""

from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.scoring import bridge_predictions
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    import polars as pl

#: Figures of the latest year that was judged, which the UI plots over the runs.
_PLOTTED = ("auc", "expected_auc", "falls", "expected_falls", "worst_10", "expected_worst_10")


@dg.asset(
    deps=[bridge_predictions, "fct_condition_transitions"],
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One row per survey year and model version that scored it: falls, AUC, Brier score and the share of falls in "
        "the worst tenth that the inspections since then have found, beside what the probabilities let one expect. The "
        "scores are those that were published first, never computed again. A survey year is judged when half of its "
        "bridges have been inspected again; years that the model was trained on are shown, not judged. "
        f"{freshness.RESULT_IS_STALE}"
    ),
)
def realised_quality(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.drift.realised_quality import JUDGED, TABLE_NAME, realised_quality_of_years
    from bridge_assets.models.dataset.targets import outcomes_of
    from bridge_assets.reporting.drift.realised_plot import realised_plot_png
    from bridge_assets.scoring.published import TABLE_NAME as PUBLISHED

    lake, settings = platform.lake, platform.model

    @cache
    def outcomes(target: str) -> "pl.DataFrame":
        transitions, inspections = lake.scan("fct_condition_transitions"), lake.scan("int_inspections")
        return outcomes_of(target, transitions, inspections, settings)

    with user_errors_as_failures():
        years = ((year, lake.read_year(PUBLISHED, year)) for year in lake.available_years(PUBLISHED))
        table = realised_quality_of_years(years, outcomes, settings.realised_quality)
        lake.write(table, TABLE_NAME)
    judged = table.filter(table["verdict"].is_in(JUDGED)).sort("survey_year", "published_at", maintain_order=True)
    latest: dict[str, Any] = judged.row(-1, named=True) if judged.height else {}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.height,
            "survey_years_judged": judged["survey_year"].n_unique(),
            "latest_year_judged": latest.get("survey_year") or "none yet: no scores have outcomes",
            **{name: float(latest[name]) for name in _PLOTTED if latest.get(name) is not None},
            "plot": display.image_metadata(realised_plot_png(table)),
            "preview": display.preview(
                table.select(
                    "survey_year",
                    "model_version",
                    "verdict",
                    "outcomes",
                    "falls",
                    "expected_falls",
                    "auc",
                    "expected_auc",
                ).reverse(),
                rows=12,
            ),
        }
    )
