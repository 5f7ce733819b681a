"""Whether it is time to train again, and why.

Training the same records again gives the same version, so only records that the last model has not seen are a reason:
they bring new outcomes. Drift alone is none, but it can be required in addition (`retraining.reasons`), and a check of
the watch that fails is named.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.orchestration.gate.check_history import latest_that_counts
from bridge_assets.orchestration.gate.materialized import latest_version_of
from bridge_assets.registry.model_version import get_version
from bridge_assets.settings import ModelSettings
from bridge_assets.settings.data import DataSettings
from bridge_assets.storage import json_digest

#: The checks whose failure, also as a warning, says that the served model may have grown old.
WATCH = (
    ("realised_quality", "as_expected"),
    ("drift_report", "predictions_within_limits"),
    ("drift_report", "features_within_limits"),
)

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Due:
    """A training that is due.

    Attributes
    ----------
    reasons : tuple of str
        Why, one sentence each.
    inputs : str
        Digest of the records to learn from: the same records are trained on once.
    """

    reasons: tuple[str, ...]
    inputs: str


@dataclass(frozen=True)
class NotDue:
    """No training is due, because of `reason`."""

    reason: str


def retraining_due(
    instance: dg.DagsterInstance, lake: Lake, data: DataSettings, settings: ModelSettings, now: float
) -> Due | NotDue:
    """Whether a training is due.

    Parameters
    ----------
    instance : DagsterInstance
    lake : Lake
    data : DataSettings
    settings : ModelSettings
    now : float
        Unix seconds.

    Raises
    ------
    ModelVersionError
        If the folder of the model that was trained last is gone.
    """
    trained = latest_version_of(instance, "bridge_model")
    if trained is None:
        return NotDue("No model has been trained yet: run full_pipeline first.")
    known = get_version(data.models_folder, trained.version).manifest["made_from"]["raw_bridges"]
    records = records_of_features(lake)
    new = sorted(set(records) - set(known))
    changed = sorted(year for year in set(records) & set(known) if records[year] != known[year])
    failing = failing_watch(instance)
    if not (new or changed):
        nothing = f"Model {trained.version} has seen every survey year that has features."
        if failing:
            nothing += f" {failing[0]} Training again would give the same model: load newer survey years first."
        return NotDue(nothing)
    if "outcomes" not in settings.retraining.reasons and not failing:
        return NotDue(f"There are new records, but no check of the watch fails, and {_only_drift(settings)}.")
    ends = trained.at + settings.retraining.cool_down_days * _DAY_SECONDS
    if now < ends:
        return NotDue(
            f"Model {trained.version} was trained on {_day(trained.at)}; the cool-down ends on {_day(ends)} "
            "(retraining.cool_down_days in model_config.yaml)."
        )
    reasons = [
        *([f"Survey years that model {trained.version} has not seen: {', '.join(new)}."] if new else []),
        *([f"Survey years whose records changed since: {', '.join(changed)}."] if changed else []),
        *(failing if "drift" in settings.retraining.reasons else []),
    ]
    return Due(tuple(reasons), json_digest(records)[:16])


def records_of_features(lake: Lake) -> dict[str, str]:
    """Survey year -> digest of the records that its features were computed from."""
    provenance = {
        str(year): lake.provenance("bridge_features", year)
        for year in lake.available_years("bridge_features")
        if lake.has_provenance("bridge_features", year)
    }
    return {year: values["raw_bridges"] for year, values in provenance.items()}


def failing_watch(instance: dg.DagsterInstance) -> list[str]:
    """What the checks of the watch say whose latest evaluation failed, one sentence each; a posted pass hides none."""
    failing = []
    for asset, check in WATCH:
        latest = latest_that_counts(instance, dg.AssetCheckKey(dg.AssetKey(asset), check))
        if latest and not latest[1].passed:
            failing.append(f"{asset}:{check} fails: {' '.join((latest[1].description or 'no detail').split())}.")
    return failing


def _only_drift(settings: ModelSettings) -> str:
    return f"retraining.reasons in model_config.yaml is {', '.join(settings.retraining.reasons) or 'empty'}"


def _day(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d}"
