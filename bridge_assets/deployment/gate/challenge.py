"""A challenger meets the champion: the champion fetched from the registry, the hold-out read from the lake.

Belongs here: where the two come from, and the gate's word for what came out. The comparison itself is in `champion`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.deployment.gate.champion import NOT_ASKED, Comparison, compare, unknown
from bridge_assets.deployment.gate.decision import CHAMPION, Decision, Evaluation, ask
from bridge_assets.errors import SourceError
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.tasks.tasks import task_of
from bridge_assets.models.training import training_set
from bridge_assets.registry import register
from bridge_assets.registry.model_version import Candidate

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.models.training.training_set import TrainingSet
    from bridge_assets.settings import DvcSettings, MlflowSettings, ModelSettings


def against_champion(
    candidate: Candidate,
    lake: Lake,
    registry: MlflowSettings | DvcSettings,
    home: Path,
    settings: ModelSettings,
) -> Comparison:
    """Hold a candidate against the champion in the registry.

    Parameters
    ----------
    candidate : Candidate
    lake : Lake
        With the training set that the candidate was made from, and bridge_features.
    registry : MlflowSettings or DvcSettings
    home : Path
        The platform's home.
    settings : ModelSettings

    Raises
    ------
    RegistryError
        If the champion's files are damaged.
    SourceError
        If training set or features are not those of the candidate any more.
    DeploymentError
        As in `compare`.
    """
    current = register.find(registry, home, settings.name, register.CHAMPION)
    if current is None:
        return compare(candidate, None, None, settings)
    if not current.files:
        return unknown(current.uri, settings.gate)
    made = training_set.read(lake)
    if made.digest != candidate.stages.get("training_set"):
        raise SourceError(
            f"model version {candidate.version} was made from another training set",
            where=lake.table(training_set.NAME),
            why="It was made anew since, so that there is no hold-out to compare on",
            do="materialise bridge_model and what follows it again",
        )
    with tempfile.TemporaryDirectory() as folder:
        champion = register.fetch(registry, home, settings.name, register.CHAMPION, Path(folder), without=NOT_ASKED)
        return compare(candidate, champion, holdout_in_natural_units(lake, made), settings)


def judged_against(candidate: Candidate, found: Comparison, run_id: str) -> Decision:
    """What the gate says of the comparison alone."""
    said = "; ".join(found.problems) or found.said
    about = candidate.stages.get(CHAMPION.asset, "")
    evaluation = Evaluation(CHAMPION.asset, CHAMPION.check, not found.problems, about, time.time(), run_id, said)
    return ask(candidate.version, candidate.stages, [evaluation], required=(CHAMPION,))


def holdout_in_natural_units(lake: Lake, made: TrainingSet) -> pl.DataFrame:
    """The held-out inspections with their features as bridge_features holds them.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, next_survey_year, fall, in a regression change, then the features.

    Raises
    ------
    SourceError
        If a year's features were made anew since the training set.
    """
    outcome = ("fall", *task_of(made.table).beside)
    held_out = holdout_rows(made.table).select("structure_key", "survey_year", "next_survey_year", *outcome)
    for year in held_out["survey_year"].unique().sort().to_list():
        note = lake.note("bridge_features", year)
        same = note["raw_bridges"] == made.made_from["raw_bridges"].get(str(year))
        if not same or note["features_digest"] != made.made_from["features_digest"]:
            raise SourceError(
                f"the features of {year} are not those of the training set",
                where=lake.year("bridge_features", year),
                why="They were made anew since",
                do="materialise training_set and what follows it again",
            )
    features = lake.scan_years("bridge_features").select("structure_key", "survey_year", *made.features)
    keys = ["structure_key", "survey_year"]
    return held_out.lazy().join(features, on=keys, how="inner", validate="1:1", maintain_order="left").collect()
