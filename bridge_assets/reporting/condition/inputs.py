"""The condition report out of the lake: which tables it is made from, and what it says of their origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.models.tasks.tasks import REGRESSION, recorded
from bridge_assets.registry.model_version import Candidate, named
from bridge_assets.reporting.condition.page import ConditionReport, render_condition_report

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import DataSettings


#: What this page has no words for.
_IN_POINTS = (
    "The model that is served foresees by how many points ratings change, not the probability of a fall: its answers "
    "are in bridge_predictions (expected_change, rank_in_state, look_first_rank), its figures on its model card."
)


def condition_report_html(lake: Lake, data: DataSettings) -> str:
    """The condition report of everything that has been made, with the quality of the model that is served.

    Raises
    ------
    SourceError
        If the reporting tables have not been made.
    ModelVersionError
        If the folder of the served model version is gone.
    """
    import polars as pl

    from bridge_assets.models.evaluation.record import Evaluation

    version = LocalEndpoint(data.endpoint_folder).current()
    served = named(data.models_folder, version) if version else None
    in_points = served is not None and recorded(served.manifest["made_from"]) is REGRESSION
    notes = [lake.note("raw_bridges", year) | {"survey_year": year} for year in lake.years("raw_bridges")]
    report = ConditionReport(
        condition_by_year=lake.read("mart_condition_by_year"),
        outlook=lake.read("mart_bridge_outlook"),
        evaluation=None
        if served is None or in_points
        else Evaluation.load(served.file("evaluation.json")).to_dict()["scores"],
        drift=lake.read_years("drift_report") if lake.years("drift_report") else pl.DataFrame(),
        ingestion=pl.DataFrame(
            [{key: note[key] for key in ("survey_year", "rows_read", "loaded", "rejected")} for note in notes]
        ),
        rejections=_rejections(notes),
        silent=_IN_POINTS if in_points else "",
        provenance=_provenance(served, notes, data) | _of_the_scores(lake, in_points),
    )
    return render_condition_report(report)


def _rejections(notes: list[dict]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        [
            {"survey_year": note["survey_year"], "reason": reason, "rejected": count}
            for note in notes
            for reason, count in note["rejected_by_reason"].items()
        ]
    )


def _provenance(served: Candidate | None, notes: list[dict], data: DataSettings) -> dict[str, str]:
    years = [note["survey_year"] for note in notes]
    said = {
        "Source": "the generated sample inventory" if data.uses_sample else _source(data),
        "Survey years": f"{min(years)} to {max(years)} ({len(years)} files)",
    }
    if served:
        made_from = served.manifest["made_from"]
        said |= {
            "Model version": served.version,
            "Trained on survey years": "{} to {}".format(*made_from["training_years"]),
            "Horizon": f"{made_from['horizon_months']} months",
            "Feature definitions": made_from["features_digest"],
            "Training set (SHA-256)": served.stages["training_set"][:16],
            "ONNX model (SHA-256)": served.stages["onnx_model"][:16],
        }
    return said


def _of_the_scores(lake: Lake, in_points: bool) -> dict[str, str]:
    """Where the reasons and the years until Poor of the last scored year come from, or why there are none."""
    from bridge_assets.reporting.wording import percent, plural
    from bridge_assets.scoring.batch import NAME

    years = [year for year in lake.years(NAME) if lake.has_note(NAME, year)]
    if not years:
        return {}
    note = lake.note(NAME, years[-1])
    reasons, until_poor = note["explained"], note["years_until_poor"]
    base = reasons.get("base_value")
    return {
        "Reasons": reasons.get("why_not")
        or f"{plural(reasons['explained'], 'bridge', 'bridges')}, compared with a mean of "
        f"{f'{base:+.3f} points' if in_points else percent(base)}",
        "Years until Poor": until_poor.get("why_not")
        or f"deterioration model {until_poor['model_version']}, {until_poor['interval']:.0%} intervals",
    }


def _source(data: DataSettings) -> str:
    from bridge_assets.data.sources.local_copies import shown

    return data.source_folder.name if data.source_kind == "folder" else shown(data.source)
