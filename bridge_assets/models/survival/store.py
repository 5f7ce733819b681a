"""The deterioration model: fitting and saving it, loading the latest one, and scoring years until Poor with it.

    <models>/deterioration/<version>/
        model.json         the rates (`model.DeteriorationModel`), fitted to all intervals
        evaluation.json    the evaluation on held-out structures in later years
    <models>/deterioration/latest.json    version, digests of both files, provenance

The version is a digest of the content: the same records, settings and libraries give the same version and the same
bytes. Features computed by other definitions than those the model was fitted to are rejected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ModelFileError, SourceError
from bridge_assets.models.survival.evaluation import SurvivalEvaluation, evaluate_survival
from bridge_assets.models.survival.model import HORIZONS_YEARS, MODEL_FORMAT, DeteriorationModel, years_until_poor
from bridge_assets.storage import digest, json_digest, write_json

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake, YearTable
    from bridge_assets.settings import ModelSettings, SurvivalSettings

TABLE_NAME = "years_until_poor"

_FOLDER, _MODEL, _EVALUATION, _LATEST = "deterioration", "model.json", "evaluation.json", "latest.json"


@dataclass(frozen=True)
class SurvivalModelVersion:
    """A deterioration model as saved in its folder.

    Attributes
    ----------
    folder : Path
    model : DeteriorationModel
    evaluation : SurvivalEvaluation
    digests : dict
        SHA-256 of model.json and evaluation.json.
    made_from : dict
        Digests of bridge_features by survey year and of fct_condition_transitions; settings and library versions.
    """

    folder: Path
    model: DeteriorationModel
    evaluation: SurvivalEvaluation
    digests: dict[str, str]
    made_from: dict[str, Any]

    @property
    def version(self) -> str:
        return self.folder.name

    @property
    def model_file(self) -> Path:
        return self.folder / _MODEL

    @property
    def digest(self) -> str:
        """One digest of the model and its evaluation."""
        return json_digest(self.digests)


def fit_and_save(lake: Lake, models: Path, settings: ModelSettings) -> SurvivalModelVersion:
    """Evaluate the model on held-out structures, fit it to all intervals, and save both.

    Parameters
    ----------
    lake : Lake
        With bridge_features and fct_condition_transitions.
    models : Path
        Folder of all models.
    settings : ModelSettings

    Raises
    ------
    SourceError
        If a table is missing, or features are out of date: their records or the definitions have changed.
    TrainingError
        If there are too few falls to fit the model.
    """
    from bridge_assets.data.features.build import current_feature_provenance, features_digest
    from bridge_assets.models.survival.fit import fit
    from bridge_assets.models.survival.panel import intervals_at_risk

    transitions = lake.scan("fct_condition_transitions")
    features = lake.scan_years("bridge_features")
    made_from = {
        "bridge_features": {
            str(year): lake.digest("bridge_features", year) for year in current_feature_provenance(lake)
        },
        "fct_condition_transitions": digest(lake.table_path("fct_condition_transitions")),
        "features_digest": features_digest(),
        "model_format": MODEL_FORMAT,
        "holdout_structures": settings.split.holdout_structures,
        "survival": settings.survival.model_dump(include={"holdout_years", "penalty", "intervals"}),
        "libraries": {name: version(name) for name in ("numpy", "scipy")},
    }
    intervals = intervals_at_risk(features, transitions)
    model = fit(intervals, features_digest(), settings.survival)
    folder = models / _FOLDER / json_digest(made_from)[:12]
    saved_paths = {
        _MODEL: model.save(folder / _MODEL),
        _EVALUATION: evaluate_survival(intervals, settings).save(folder / _EVALUATION),
    }
    digests = {name: digest(path) for name, path in saved_paths.items()}
    provenance = {"version": folder.name, "digests": digests, "made_from": made_from}
    write_json(provenance, models / _FOLDER / _LATEST)
    return latest_model(models)


def has_model(models: Path) -> bool:
    """Whether a deterioration model has ever been fitted."""
    return (models / _FOLDER / _LATEST).is_file()


def latest_model(models: Path) -> SurvivalModelVersion:
    """Load the deterioration model that was fitted last and check its bytes against its provenance.

    Raises
    ------
    ModelFileError
        If none has been fitted, or a file is missing or was changed.
    """
    remedy = {"do": "fit the deterioration model again", "stage": "deterioration_model"}
    path = models / _FOLDER / _LATEST
    if not has_model(models):
        raise ModelFileError(
            f"no deterioration model has been fitted ({path} does not exist)",
            do="fit the deterioration model",
            stage="deterioration_model",
        )
    provenance = json.loads(path.read_text(encoding="utf-8"))
    folder = path.with_name(provenance["version"])
    for name, expected in provenance["digests"].items():
        if not (folder / name).is_file():
            raise ModelFileError("the file is missing", where=folder / name, **remedy)
        if (found := digest(folder / name)) != expected:
            raise ModelFileError(
                "the file was changed after it was written",
                where=folder / name,
                why=f"Its SHA-256 is {found[:12]}, {_LATEST} says {expected[:12]}",
                **remedy,
            )
    return SurvivalModelVersion(
        folder,
        DeteriorationModel.load(folder / _MODEL),
        SurvivalEvaluation.load(folder / _EVALUATION),
        provenance["digests"],
        provenance["made_from"],
    )


def score_years_until_poor(
    features: YearTable, survival_model: SurvivalModelVersion, settings: SurvivalSettings
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Years until Poor of every bridge in a survey year, if nothing is repaired.

    Parameters
    ----------
    features : YearTable
        bridge_features of that year.
    survival_model : SurvivalModelVersion
    settings : SurvivalSettings

    Returns
    -------
    scores : pl.DataFrame
        structure_key, survey_year, inspection_date, condition (Int8); then, counted from that inspection,
        expected_years, low_years, median_years, high_years (Float32; 0 if Poor already, null beyond the horizon),
        poor_within_2_years, _4_, _8_, poor_within_horizon (Float32); horizon_years (Int16), model_version,
        features_digest. Sorted by structure key.
    provenance : dict
        Digests of the features and of the model, its version, and the interval.

    Raises
    ------
    SourceError
        If the features were computed by other definitions than those the model was fitted to.
    """
    import polars as pl

    definitions_digest = features.provenance["features_digest"]
    if definitions_digest != survival_model.model.features_digest:
        raise SourceError(
            f"deterioration model {survival_model.version} cannot score the features of {features.survey_year}",
            where=features.path,
            why=f"It was fitted to feature definitions {survival_model.model.features_digest}, these were computed by "
            f"{definitions_digest}",
            do="build the features again, or fit the deterioration model to the current definitions",
            stage="bridge_features",
        )
    table, horizon = features.table, settings.horizon_years
    predictions = years_until_poor(survival_model.model.poor_probability_by_year(table, horizon), settings.interval)
    scores = table.select(
        "structure_key",
        "survey_year",
        "inspection_date",
        pl.col("condition").cast(pl.Int8),
        *(pl.Series(name, values, dtype=pl.Float32).fill_nan(None) for name, values in predictions.items()),
        pl.lit(horizon, dtype=pl.Int16).alias("horizon_years"),
        pl.lit(survival_model.version).alias("model_version"),
        pl.lit(survival_model.model.features_digest).alias("features_digest"),
    ).sort("structure_key")
    return scores, {
        "bridge_features": features.digest,
        "model": survival_model.digests[_MODEL],
        "model_version": survival_model.version,
        "interval": settings.interval,
    }


def format_years(scores: pl.DataFrame) -> pl.DataFrame:
    """The same table with years as text; null where none were computed.

    What lies beyond the horizon is said on one side only: `12.3`, `Poor`, or `more than 60`; the expected years are
    `at least 34.2` where the upper end of their interval lies beyond it, because longer times count as the horizon in
    them. `interval_years` is added: `3.0 to 21.5`, or `more than 12.3` without an upper end.
    """
    import polars as pl

    computed = pl.col("horizon_years").is_not_null()
    poor, beyond = (pl.col("condition") <= 4) & computed, pl.format("more than {}", "horizon_years")

    def number(name: str) -> pl.Expr:
        return pl.col(f"{name}_years").cast(pl.Float64).round(1).cast(pl.String)

    def in_words(name: str, text: pl.Expr, known_by: str) -> pl.Expr:
        unknown = pl.col(f"{known_by}_years").is_null()
        return pl.when(poor).then(pl.lit("Poor")).when(unknown).then(beyond).otherwise(text).alias(f"{name}_years")

    there = [name for name in ("expected", "low", "median", "high") if f"{name}_years" in scores.columns]
    texts = {name: number(name) for name in there}
    if {"low", "high"} <= texts.keys():
        one_sided = pl.col("high_years").is_null()
        texts["expected"] = (
            pl.when(one_sided).then(pl.format("at least {}", number("expected"))).otherwise(number("expected"))
        )
        texts["interval"] = (
            pl.when(one_sided)
            .then(pl.format("more than {}", number("low")))
            .otherwise(pl.format("{} to {}", number("low"), number("high")))
        )
    return scores.with_columns(
        in_words(name, text, "low" if name == "interval" else name) for name, text in texts.items()
    )


def years_until_poor_problems(scores: pl.DataFrame, features: pl.DataFrame) -> list[str]:
    """Problems in the scores of one survey year, one sentence each; empty if there are none."""
    import polars as pl

    problems = []
    if missing := features.join(scores, on="structure_key", how="anti").height:
        problems.append(f"{missing} bridges have no years until Poor")
    if duplicates := scores.height - scores["structure_key"].n_unique():
        problems.append(f"{duplicates} duplicated bridges")
    beyond = pl.col("horizon_years").cast(pl.Float32)
    ordered = [pl.col(f"{name}_years").fill_null(beyond) for name in ("low", "median", "high")]
    within = [pl.col(f"poor_within_{years}_years") for years in HORIZONS_YEARS] + [pl.col("poor_within_horizon")]
    in_order = pl.all_horizontal(
        *(lower <= upper for lower, upper in zip(ordered, [*ordered[1:], beyond], strict=True)),
        *(lower <= upper for lower, upper in zip(within, [*within[1:], pl.lit(1.0)], strict=True)),
        within[0] >= 0,
    )
    if n_invalid := scores.filter(~in_order.fill_null(False)).height:
        problems.append(f"{n_invalid} bridges have years or probabilities that are out of order")
    zero_years = ((pl.col("median_years") == 0) & (pl.col("expected_years") == 0)).fill_null(False)
    if n_invalid := scores.filter((pl.col("condition") <= 4) != zero_years).height:
        problems.append(f"{n_invalid} bridges are Poor but have years left, or are not Poor but have none")
    return problems
