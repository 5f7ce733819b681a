"""Reads the inputs of the condition report from the lake, with their provenance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge_assets.data.origin import format_years, lake_origin, source_name
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.models.tasks.tasks import REGRESSION, task_from_provenance
from bridge_assets.registry.model_version import ModelVersion, get_version
from bridge_assets.reporting.condition.page import ConditionReport, render_condition_report

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.data.origin import Origin
    from bridge_assets.settings import DataSettings, ModelSettings


#: Shown instead of probabilities if the served model is a regression.
_REGRESSION_NOTICE = (
    "The served model predicts by how many points ratings change, not the probability of a fall. Its predictions "
    "are in bridge_predictions (expected_change, rank_in_state, look_first_rank), its metrics are on its model card."
)


#: Columns of mart_condition_by_year that the scores add to fct_condition_by_year.
_KEY, _SCORED = ["survey_year", "state_code"], "mean_fall_probability"


def condition_report_html(
    lake: Lake,
    data: DataSettings,
    model: ModelSettings,
    bridge_address: Callable[[str], str | None] = lambda structure_key: None,
) -> str:
    """The condition report for all survey years in the lake, with the scores and metrics of the served model.

    Without a model the page shows what the records alone say, and why there is no model. Bridges link to
    `bridge_address`, the address of their page, where it is not None.

    Raises
    ------
    SourceError
        If the warehouse tables do not exist yet.
    ModelVersionError
        If the folder of the served model version no longer exists.
    """
    import polars as pl

    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.reporting.condition.records import lowest_rated

    version = LocalEndpoint(data.endpoint_folder).current()
    served = get_version(data.models_folder, version) if version else None
    is_regression = served is not None and task_from_provenance(served.manifest["made_from"]) is REGRESSION
    ingestion_provenance = [
        lake.provenance("raw_bridges", year) | {"survey_year": year} for year in lake.available_years("raw_bridges")
    ]
    no_model_reason = "" if served else why_no_model(lake, model)
    has_scores = served is not None and _scores_are_current(lake)
    origin = lake_origin(lake)
    report = ConditionReport(
        condition_by_year=_condition_by_year(lake, with_scores=has_scores),
        outlook=_outlook(lake) if has_scores else pl.DataFrame(),
        evaluation=None
        if served is None or is_regression
        else Evaluation.load(served.file("evaluation.json")).to_dict()["scores"],
        drift=_drift(lake) if served else pl.DataFrame(),
        ingestion=pl.DataFrame(
            [
                {key: provenance[key] for key in ("survey_year", "rows_read", "loaded", "rejected")}
                for provenance in ingestion_provenance
            ]
        ),
        rejections=_rejections(ingestion_provenance),
        lowest=lowest_rated(lake, ingestion_provenance[-1]["survey_year"]) if no_model_reason else pl.DataFrame(),
        quality=_latest_quality(lake),
        no_model_reason=no_model_reason,
        origin_warning=origin.warning,
        no_probability_reason=_REGRESSION_NOTICE if is_regression else "",
        bridge_address=bridge_address,
        provenance=_provenance(served, ingestion_provenance, origin, data)
        | (_scores_provenance(lake, is_regression) if served else {}),
    )
    return render_condition_report(report)


def why_no_model(lake: Lake, model: ModelSettings) -> str:
    """Why nothing is served: too few inspections to learn from, or no model that passed its gate. One paragraph."""
    import polars as pl

    from bridge_assets.models.training.training_set import years_needed

    years = lake.available_years("raw_bridges")
    known = lake.scan("fct_condition_transitions").filter(pl.col("fall").is_not_null()).collect().height
    gate, needed = model.gate, years_needed(model.split)
    if known == 0:
        shown = (
            f"{years[0]} is the only survey year" if len(years) == 1 else f"{years[0]} to {years[-1]} show no bridge"
        )
        shown += "" if len(years) == 1 else f" inspected twice within {model.horizon_months} months"
        return (
            f"This page has no predictions: {shown}, and a model learns from bridges that were inspected at least "
            f"twice. To get predictions, add earlier survey years of the same states to the source: about {needed} "
            f"years, with at least {gate.holdout_inspections} inspections to test the model on."
        )
    return (
        f"This page has no predictions: no model is in use. {known:,} inspections of {years[0]} to {years[-1]} have a "
        f"known next inspection; a model is used only after it has passed its checks on at least "
        f"{gate.holdout_inspections} held-out inspections, {gate.holdout_falls} of them with a lower rating. The "
        f"summary of the run names the check that failed. More survey years, or more states, help."
    )


def _scores_are_current(lake: Lake) -> bool:
    """Whether the last scored survey year was scored from the records that are in the lake now. Between the records of
    a run and its scores, the page must not show scores of other records.
    """
    from bridge_assets.scoring.batch import TABLE_NAME

    year = _last_scored_year(lake)
    if year is None or not lake.has_provenance("bridge_features", year):
        return False
    features = lake.provenance("bridge_features", year)
    return lake.provenance(TABLE_NAME, year)["bridge_features"] == features["digest"] and features[
        "raw_bridges"
    ] == lake.digest("raw_bridges", year)


def _last_scored_year(lake: Lake) -> int | None:
    """The last survey year whose scores are complete, with their provenance; None if there is none."""
    from bridge_assets.scoring.batch import TABLE_NAME

    years = [year for year in lake.available_years(TABLE_NAME) if lake.has_provenance(TABLE_NAME, year)]
    return years[-1] if years else None


def _condition_by_year(lake: Lake, *, with_scores: bool) -> pl.DataFrame:
    """fct_condition_by_year, with the mean probability where mart_condition_by_year has it."""
    import polars as pl

    table = lake.read("fct_condition_by_year")
    if with_scores and lake.table_path("mart_condition_by_year").is_file():
        scores = lake.read("mart_condition_by_year").select(*_KEY, _SCORED)
        return table.join(scores, on=_KEY, how="left", maintain_order="left")
    return table.with_columns(pl.lit(None, pl.Float64).alias(_SCORED))


def _outlook(lake: Lake) -> pl.DataFrame:
    import polars as pl

    exists = lake.table_path("mart_bridge_outlook").is_file()
    return lake.read("mart_bridge_outlook") if exists else pl.DataFrame()


def _drift(lake: Lake) -> pl.DataFrame:
    import polars as pl

    from bridge_assets.drift.summary import TABLE_NAME as DRIFT_REPORT
    from bridge_assets.drift.summary import readable_years

    years = readable_years(lake)
    return lake.read_years(DRIFT_REPORT, years) if years else pl.DataFrame()


def _latest_quality(lake: Lake) -> pl.DataFrame:
    import polars as pl

    years = lake.available_years("data_quality")
    return lake.read_year("data_quality", years[-1]) if years else pl.DataFrame()


def _rejections(ingestion_provenance: list[dict]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        [
            {"survey_year": provenance["survey_year"], "reason": reason, "rejected": count}
            for provenance in ingestion_provenance
            for reason, count in provenance["rejected_by_reason"].items()
        ]
    )


def _provenance(
    served: ModelVersion | None, ingestion_provenance: list[dict], origin: Origin, data: DataSettings
) -> dict[str, str]:
    years = [provenance["survey_year"] for provenance in ingestion_provenance]
    provenance_text = {
        "Source": source_name(origin, data),
        "Survey years": format_years(years),
        "Files": _file_names(ingestion_provenance),
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


def _file_names(ingestion_provenance: list[dict]) -> str:
    """The source files: all of them if there are few, otherwise the first and the last."""
    names = [name for provenance in ingestion_provenance for name in provenance["files"]]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]} ({len(names)} files)"


def _scores_provenance(lake: Lake, is_regression: bool) -> dict[str, str]:
    """Origin of the reasons and of the years until Poor in the last scored year, or why there are none."""
    from bridge_assets.reporting.wording import percent, plural
    from bridge_assets.scoring.batch import TABLE_NAME

    year = _last_scored_year(lake)
    if year is None:
        return {}
    provenance = lake.provenance(TABLE_NAME, year)
    reasons, until_poor = provenance["explained"], provenance["years_until_poor"]
    base = reasons.get("base_value")
    return {
        "Reasons": reasons.get("skipped_reason")
        or f"{plural(reasons['explained'], 'bridge', 'bridges')}, compared with a mean of "
        f"{f'{base:+.3f} points' if is_regression else percent(base)}",
        "Years until Poor": until_poor.get("skipped_reason")
        or f"deterioration model {until_poor['model_version']}, {until_poor['interval']:.0%} intervals",
    }
