"""Model quality: the evaluation beside the baselines, calibration, what the model relies on, and later outcomes."""

from __future__ import annotations

from bridge_assets.dashboard import component
from bridge_assets.dashboard.address_widgets import choice
from bridge_assets.dashboard.queries import model
from bridge_assets.dashboard.queries.tables import MissingTableError
from bridge_assets.dashboard.session import cached, dashboard_settings, data_settings
from bridge_assets.reporting.condition.sections import model_quality
from bridge_assets.reporting.html.charts import shares_by_year
from bridge_assets.reporting.wording import has_value


def show() -> None:
    """Draw the page."""
    models = data_settings().models_folder
    try:
        versions = model.model_versions(models)
        version = versions[0]
        if len(versions) > 1:
            version = choice("Model version", versions, "version")
        evaluation = model.evaluation_of(models, version)
    except MissingTableError as error:
        return component.missing(error, "model")
    ranked = any(has_value(values.get("auc")) for values in evaluation["scores"].values())
    component.show(
        "model.html",
        key="model",
        version=version,
        is_latest=version == versions[0],
        evaluation=evaluation,
        quality=model_quality(evaluation["scores"]) if ranked else None,
        plain=None if ranked else model.plain_scores(evaluation),
        calibration=model.calibration_chart(evaluation) if ranked else None,
        features=model.important_features(evaluation),
        realised=cached(("realised_quality",), model.realised),
        realised_chart=_realised_chart(cached(("realised_quality",), model.realised)),
        dagster=dashboard_settings().dagster,
    )
    return None


def _realised_chart(rows: list[dict]) -> object:
    rows = [row for row in rows if has_value(row["falls"]) and row["outcomes"]]
    if not rows:
        return None
    return shares_by_year(
        "Share of inspected bridges that fell, observed and expected",
        [row["survey_year"] for row in rows],
        {
            "Observed": [row["falls"] / row["outcomes"] for row in rows],
            "Expected": [row["expected_falls"] / row["outcomes"] for row in rows],
        },
    )
