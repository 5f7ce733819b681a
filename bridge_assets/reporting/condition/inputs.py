"""Reads the inputs of the condition report from the lake, with their provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.models.tasks.tasks import REGRESSION, task_from_provenance
from bridge_assets.registry.model_version import ModelVersion, get_version
from bridge_assets.reporting.condition.page import ConditionReport, render_condition_report

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import DataSettings


#: Shown instead of probabilities if the served model is a regression.
_REGRESSION_NOTICE = (
    "The served model predicts by how many points ratings change, not the probability of a fall. Its predictions "
    "are in bridge_predictions (expected_change, rank_in_state, look_first_rank), its metrics are on its model card."
)


def condition_report_html(lake: Lake, data: DataSettings) -> str:
    """The condition report for all survey years in the lake, with the metrics of the served model.

    Raises
    ------
    SourceError
        If the reporting tables do not exist yet.
    ModelVersionError
        If the folder of the served model version no longer exists.
    """
    import polars as pl

    from bridge_assets.models.evaluation.record import Evaluation

    version = LocalEndpoint(data.endpoint_folder).current()
    served = get_version(data.models_folder, version) if version else None
    is_regression = served is not None and task_from_provenance(served.manifest["made_from"]) is REGRESSION
    ingestion_provenance = [
        lake.provenance("raw_bridges", year) | {"survey_year": year} for year in lake.available_years("raw_bridges")
    ]
    report = ConditionReport(
        condition_by_year=lake.read("mart_condition_by_year"),
        outlook=lake.read("mart_bridge_outlook"),
        evaluation=None
        if served is None or is_regression
        else Evaluation.load(served.file("evaluation.json")).to_dict()["scores"],
        drift=lake.read_years("drift_report") if lake.available_years("drift_report") else pl.DataFrame(),
        ingestion=pl.DataFrame(
            [
                {key: provenance[key] for key in ("survey_year", "rows_read", "loaded", "rejected")}
                for provenance in ingestion_provenance
            ]
        ),
        rejections=_rejections(ingestion_provenance),
        no_probability_reason=_REGRESSION_NOTICE if is_regression else "",
        provenance=_provenance(served, ingestion_provenance, data) | _scores_provenance(lake, is_regression),
    )
    return render_condition_report(report)


def _rejections(ingestion_provenance: list[dict]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        [
            {"survey_year": provenance["survey_year"], "reason": reason, "rejected": count}
            for provenance in ingestion_provenance
            for reason, count in provenance["rejected_by_reason"].items()
        ]
    )


def _provenance(served: ModelVersion | None, ingestion_provenance: list[dict], data: DataSettings) -> dict[str, str]:
    years = [provenance["survey_year"] for provenance in ingestion_provenance]
    provenance_text = {
        "Source": "the generated sample inventory" if data.uses_sample else _source_name(data),
        "Survey years": f"{min(years)} to {max(years)} ({len(years)} files)",
    }
    if served:
        made_from = served.manifest["made_from"]
        provenance_text |= {
            "Model version": served.version,
            "Trained on survey years": "{} to {}".format(*made_from["training_years"]),
            "Horizon": f"{made_from['horizon_months']} months",
            "Feature definitions": made_from["features_digest"],
            "Training set (SHA-256)": served.stages["training_set"][:16],
            "ONNX model (SHA-256)": served.stages["onnx_model"][:16],
        }
    return provenance_text


def _scores_provenance(lake: Lake, is_regression: bool) -> dict[str, str]:
    """Origin of the reasons and of the years until Poor in the last scored year, or why there are none."""
    from bridge_assets.reporting.wording import percent, plural
    from bridge_assets.scoring.batch import TABLE_NAME

    years = [year for year in lake.available_years(TABLE_NAME) if lake.has_provenance(TABLE_NAME, year)]
    if not years:
        return {}
    provenance = lake.provenance(TABLE_NAME, years[-1])
    reasons, until_poor = provenance["explained"], provenance["years_until_poor"]
    base = reasons.get("base_value")
    return {
        "Reasons": reasons.get("skipped_reason")
        or f"{plural(reasons['explained'], 'bridge', 'bridges')}, compared with a mean of "
        f"{f'{base:+.3f} points' if is_regression else percent(base)}",
        "Years until Poor": until_poor.get("skipped_reason")
        or f"deterioration model {until_poor['model_version']}, {until_poor['interval']:.0%} intervals",
    }


def _source_name(data: DataSettings) -> str:
    from bridge_assets.data.sources.local_copies import redact_url

    return data.source_folder.name if data.source_kind == "folder" else redact_url(data.source)
