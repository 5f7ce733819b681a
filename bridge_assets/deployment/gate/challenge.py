"""Compares a candidate with the champion: fetches the champion from the registry and reads the hold-out from the lake.

Belongs here: fetching both, and the gate's decision on the result. Does not belong here: the comparison itself
(`champion`).
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.deployment.gate.champion import UNNEEDED_FILES, Comparison, compare_versions, unknown_champion
from bridge_assets.deployment.gate.content import VersionContent, read_content
from bridge_assets.deployment.gate.decision import CHAMPION_REQUIREMENT, CheckEvaluation, Decision, decide
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.errors import RegistryError, SourceError
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.tasks.tasks import task_of_table
from bridge_assets.models.training import training_set
from bridge_assets.registry import register
from bridge_assets.registry.model_version import ModelVersion

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.models.training.training_set import TrainingSet
    from bridge_assets.settings import DvcSettings, GateSettings, MlflowSettings, ModelSettings


def compare_with_champion(
    candidate: ModelVersion,
    lake: Lake,
    registry: MlflowSettings | DvcSettings,
    home: Path,
    settings: ModelSettings,
) -> Comparison:
    """Compare a candidate with the champion in the registry.

    Parameters
    ----------
    candidate : ModelVersion
    lake : Lake
        Contains the training set that the candidate was trained on, and bridge_features.
    registry : MlflowSettings or DvcSettings
    home : Path
        The platform's home.
    settings : ModelSettings

    Returns
    -------
    Comparison
        As `champion.compare_versions` returns it.

    Raises
    ------
    RegistryError
        If the champion's files are damaged.
    SourceError
        If the training set or the features have changed since the candidate was trained.
    DeploymentError
        As in `champion.compare_versions`.
    """
    current = register.find_by_alias(registry, home, settings.name, register.CHAMPION)
    if current is None:
        return compare_versions(candidate, None, None, settings)
    if not current.files:
        return unknown_champion(current.uri, settings.gate)
    training_data = training_set.load_training_set(lake)
    if training_data.digest != candidate.stages.get("training_set"):
        raise SourceError(
            f"model version {candidate.version} was trained on another training set",
            where=lake.table_path(training_set.TABLE_NAME),
            why="The training set has been rebuilt since, so its hold-out cannot be used for a comparison",
            do="train the model again, with everything downstream",
            stage="bridge_model",
        )
    with tempfile.TemporaryDirectory() as folder:
        champion = register.fetch_by_alias(
            registry, home, settings.name, register.CHAMPION, Path(folder), exclude=UNNEEDED_FILES
        )
        return compare_versions(candidate, champion, unscaled_holdout(lake, training_data), settings)


def current_champion(registry: MlflowSettings | DvcSettings, home: Path, name: str) -> str:
    """The champion's version, as `Comparison.champion` names it; empty if there is none.

    Raises
    ------
    RegistryError
        If the registry cannot be read.
    """
    current = register.find_by_alias(registry, home, name, register.CHAMPION)
    return "" if current is None else current.version if current.files else current.uri


def compare_again(
    decision: Decision,
    candidate: ModelVersion,
    lake: Lake,
    registry: MlflowSettings | DvcSettings,
    home: Path,
    settings: ModelSettings,
    run_id: str,
) -> Decision:
    """Repeat a comparison that was with another champion than today's.

    Parameters
    ----------
    decision : Decision
        On the candidate, from recorded evaluations. Returned unchanged unless its comparison is outdated in this way.
    candidate, lake, registry, home, settings
        As for `compare_with_champion`.
    run_id : str
        The run that compares.

    Returns
    -------
    Decision
        With the new comparison; with the outdated one if they cannot be compared any more, because the training set
        was rebuilt or the champion's files are damaged.

    Raises
    ------
    DeploymentError
        If the candidate's own files are damaged.
    """
    if all(finding.champion is None for finding in decision.findings):
        return decision
    content = read_content(candidate)
    if content.files != decision.files:  # somebody writes there: nothing about these files is proved
        return decision
    try:
        comparison = compare_with_champion(candidate, lake, registry, home, settings)
    except (SourceError, RegistryError):
        return decision
    [compared] = champion_decision(content, comparison, run_id, settings.gate).findings
    findings = (compared if finding.requirement == compared.requirement else finding for finding in decision.findings)
    return replace(decision, findings=tuple(findings))


def champion_decision(
    candidate: VersionContent, comparison: Comparison, run_id: str, settings: GateSettings
) -> Decision:
    """The gate's decision on the comparison only."""
    evaluation = CheckEvaluation(
        CHAMPION_REQUIREMENT.asset,
        CHAMPION_REQUIREMENT.check,
        not comparison.problems,
        candidate.stages.get(CHAMPION_REQUIREMENT.asset, ""),
        time.time(),
        run_id,
        "; ".join(comparison.problems) or comparison.message,
        comparison.champion or "",
        limits_of(CHAMPION_REQUIREMENT.check, settings),
    )
    return decide(candidate, [evaluation], required=(CHAMPION_REQUIREMENT,))


def unscaled_holdout(lake: Lake, training_data: TrainingSet) -> pl.DataFrame:
    """The held-out inspections with their features in natural units, from bridge_features.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, next_survey_year, fall, change (regression only), then the features.

    Raises
    ------
    SourceError
        If the features of a year have been rebuilt since the training set.
    """
    target_columns = ("fall", *task_of_table(training_data.table).extra_columns)
    held_out = holdout_rows(training_data.table).select(
        "structure_key", "survey_year", "next_survey_year", *target_columns
    )
    for year in held_out["survey_year"].unique().sort().to_list():
        provenance = lake.provenance("bridge_features", year)
        same_records = provenance["raw_bridges"] == training_data.made_from["raw_bridges"].get(str(year))
        if not same_records or provenance["features_digest"] != training_data.made_from["features_digest"]:
            raise SourceError(
                f"the features of {year} are not those of the training set",
                where=lake.year_path("bridge_features", year),
                why="They have been rebuilt since",
                do="build the training set again, with everything downstream",
                stage="training_set",
            )
    features = lake.scan_years("bridge_features").select("structure_key", "survey_year", *training_data.features)
    keys = ["structure_key", "survey_year"]
    return held_out.lazy().join(features, on=keys, how="inner", validate="1:1", maintain_order="left").collect()
