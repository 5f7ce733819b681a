"""The training set: inspections with known outcomes, split and normalised, and a file with its provenance."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import SourceError
from bridge_assets.markdown import table
from bridge_assets.storage import digest, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import ModelSettings, SplitSettings

TABLE_NAME = "training_set"


@dataclass(frozen=True)
class TrainingSet:
    """A training set as stored in the lake.

    Attributes
    ----------
    table : pl.DataFrame
        structure_key, survey_year, inspection_date, next_survey_year, fall (Boolean: the outcome of the target), split
        (`train`, `holdout`, `unused`), `rating`, `years_in_rating` and `is_now` in natural units for the baselines,
        `becomes_poor`, for a regression `change` (`targets.with_outcomes`), and the features on the model's scale.
    digest : str
        SHA-256 of its file.
    made_from : dict
        Survey years, digest of each year's raw_bridges, digest of the feature definitions, first and last training
        year, target, component, task (`tasks.Task.provenance`), horizon, share of held-out structures.
    normalization : Normalization
        Fitted on the inspections of `train` alone.
    """

    table: pl.DataFrame
    digest: str
    made_from: dict[str, Any]
    normalization: Normalization

    @property
    def features(self) -> tuple[str, ...]:
        return self.normalization.features

    def split_markdown(self) -> str:
        """Inspections, structures, survey years and share of falls per split, as a Markdown table."""
        import polars as pl

        rows = []
        for split in ("train", "holdout", "unused"):
            part = self.table.filter(pl.col("split") == split)
            falls = int(part["fall"].sum())
            years = f"{part['survey_year'].min()}-{part['survey_year'].max()}" if part.height else ""
            share = f"{falls / part.height:.1%}" if part.height else ""
            structures = part["structure_key"].n_unique()
            rows.append((split, f"{part.height:,}", f"{structures:,}", years, f"{falls:,}", share))
        return table(("split", "inspections", "structures", "survey years", "falls", "share"), rows)


def build_training_set(
    transitions: pl.LazyFrame,
    inspections: pl.LazyFrame,
    features: pl.LazyFrame,
    feature_provenance: Mapping[int, Mapping[str, Any]],
    settings: ModelSettings,
) -> tuple[pl.DataFrame, dict[str, Any], Normalization]:
    """Join the features with the outcomes, split by structure and in time, and normalise.

    Parameters
    ----------
    transitions, inspections, features : pl.LazyFrame
        fct_condition_transitions, int_inspections (read only for the outcome of a component) and bridge_features of all
        survey years.
    feature_provenance : mapping
        Survey year -> provenance of its features (`features.build.current_feature_provenance`).
    settings : ModelSettings

    Returns
    -------
    table, made_from, normalization
        See `TrainingSet`.
    """
    import polars as pl

    from bridge_assets.data.features.build import features_digest, training_inspections
    from bridge_assets.data.features.definitions import FEATURE_NAMES
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.dataset.split import split_inspections
    from bridge_assets.models.dataset.targets import with_outcomes
    from bridge_assets.models.tasks.tasks import TASKS

    task = TASKS[settings.task]
    labelled = with_outcomes(transitions, None if settings.component == "condition" else inspections, settings)
    rated = (
        labelled.filter(pl.col("fall").is_not_null())
        .select(
            "structure_key",
            pl.col("survey_year").cast(pl.Int16),
            "rating",
            "years_in_rating",
            "is_now",
            "becomes_poor",
            *task.extra_columns,
        )
        .collect()
    )
    joined = training_inspections(features, labelled).join(
        rated, on=["structure_key", "survey_year"], how="left", maintain_order="left"
    )
    table = split_inspections(joined, settings.split)
    training = table.filter(pl.col("split") == "train")
    normalization = Normalization.fit(training, FEATURE_NAMES)
    made_from = {
        "survey_years": list(feature_provenance),
        "raw_bridges": {str(year): provenance["raw_bridges"] for year, provenance in feature_provenance.items()},
        "features_digest": features_digest(),
        "training_years": [training["survey_year"].min(), training["survey_year"].max()],
        "target": settings.target,
        "component": settings.component,
        **task.provenance,
        "horizon_months": settings.horizon_months,
        "holdout_structures": settings.split.holdout_structures,
    }
    return normalization.transform(table), made_from, normalization


def save_training_set(
    lake: Lake, table: pl.DataFrame, made_from: dict[str, Any], normalization: Normalization
) -> TrainingSet:
    """Write a training set and its provenance to the lake, and read it back."""
    table_digest = lake.write(table, TABLE_NAME)
    write_json(
        {"digest": table_digest, "made_from": made_from, "normalization": asdict(normalization)}, _provenance_path(lake)
    )
    return load_training_set(lake)


def load_training_set(lake: Lake) -> TrainingSet:
    """Load the training set from the lake and check its bytes against its provenance.

    Raises
    ------
    SourceError
        If there is none, or a run was killed after it wrote the table and before it wrote the provenance.
    """
    from bridge_assets.data.features.normalization import Normalization

    table = lake.read(TABLE_NAME)
    path = _provenance_path(lake)
    provenance = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"digest": "", "normalization": {}}
    if provenance["digest"] != digest(lake.table_path(TABLE_NAME)):
        raise SourceError(
            "the provenance does not match the training set",
            where=path,
            why="A run may have been killed after it wrote one of the two",
            do="build the training set again",
            stage="training_set",
        )
    normalization = Normalization(**{key: tuple(values) for key, values in provenance["normalization"].items()})
    return TrainingSet(table, provenance["digest"], provenance["made_from"], normalization)


def split_sizes(training_set: TrainingSet) -> dict[str, int]:
    """Number of inspections and falls in the training and the held-out split."""
    import polars as pl

    sizes = {}
    for split in ("train", "holdout"):
        part = training_set.table.filter(pl.col("split") == split)
        sizes |= {f"{split}_inspections": part.height, f"{split}_falls": int(part["fall"].sum())}
    return sizes


def size_problems(training_set: TrainingSet) -> list[str]:
    """Why a training set is too small to train on, one sentence per reason; empty if it is large enough."""
    import polars as pl

    if training_set.table.is_empty():
        years, months = training_set.made_from["survey_years"], training_set.made_from["horizon_months"]
        span = f"survey year {years[0]}" if len(years) == 1 else f"survey years {years[0]} to {years[-1]}"
        return [
            f"no inspection has a known outcome: in {span}, no structure was inspected twice within {months} months. "
            "What to do: add more survey years of the same states to the source; a model needs about ten"
        ]
    problems = []
    for split in ("train", "holdout"):
        part = training_set.table.filter(pl.col("split") == split)
        if part["fall"].n_unique() < 2:
            problems.append(
                f"{int(part['fall'].sum())} of the {part.height} inspections in the {split} split fell, but both "
                f"outcomes are needed. What to do: add more survey years, or lower split.holdout_years in "
                f"configs/model_config.yaml"
            )
    return problems


def years_needed(split: SplitSettings) -> int:
    """About how many survey years a training set needs: the held-out ones, and before them two inspections, usually
    24 months apart, whose outcome was known before the first held-out year.
    """
    return split.holdout_years + 6


def _provenance_path(lake: Lake):
    return lake.table_path(TABLE_NAME).with_suffix(".json")
