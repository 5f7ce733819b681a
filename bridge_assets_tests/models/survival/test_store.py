from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from support.survival_intervals import simulate_intervals

from bridge_assets.data.features.build import features_digest
from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.data.lake import Lake
from bridge_assets.errors import ModelFileError, SourceError
from bridge_assets.models.survival.store import (
    SurvivalModelVersion,
    fit_and_save,
    format_years,
    latest_model,
    score_years_until_poor,
    years_until_poor_problems,
)
from bridge_assets.settings import ModelSettings

SETTINGS = ModelSettings()
YEAR = 2010


@dataclass(frozen=True)
class Place:
    lake: Lake
    models: Path
    saved: SurvivalModelVersion


def make_lake(folder: Path) -> Lake:
    """bridge_features and fct_condition_transitions of simulated structures, with their provenance."""
    lake, intervals = (
        Lake(folder),
        simulate_intervals(700, years=16, seed=2)
        .unique(["structure_key", "survey_year"])
        .sort("structure_key", "survey_year"),
    )
    lake.write(
        intervals.select(
            "structure_key",
            "survey_year",
            "next_survey_year",
            "inspection_date",
            "next_inspection_date",
            "condition",
            "next_condition",
            "work_found",
            fall=pl.col("next_condition") < pl.col("condition"),
        ),
        "fct_condition_transitions",
    )
    features = intervals.select(
        "structure_key", "survey_year", "inspection_date", pl.lit("01").alias("STATE_CODE_001"), *FEATURE_NAMES
    )
    for (year,), table in features.partition_by("survey_year", as_dict=True, maintain_order=True).items():
        raw = lake.write(table.select("structure_key"), "raw_bridges", int(year))
        digest = lake.write(table, "bridge_features", int(year))
        provenance = {"digest": digest, "raw_bridges": raw, "features_digest": features_digest(), "rows": table.height}
        lake.write_provenance("bridge_features", int(year), provenance)
    return lake


def score(place: Place) -> pl.DataFrame:
    """Read, score and write a survey year, as the asset does."""
    features = place.lake.load_year("bridge_features", YEAR)
    scores, provenance = score_years_until_poor(features, place.saved, SETTINGS.survival)
    place.lake.write_year(scores, "years_until_poor", YEAR, provenance)
    return scores


@pytest.fixture(scope="module")
def _fitted(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("survival")
    lake = make_lake(folder / "lake")
    return Place(lake, folder / "models", fit_and_save(lake, folder / "models", SETTINGS))


@pytest.fixture
def place(_fitted: Place, tmp_path: Path) -> Place:
    """A private copy, so that a test can damage it."""
    import shutil

    shutil.copytree(_fitted.lake.folder.parent, tmp_path / "own")
    return Place(
        Lake(tmp_path / "own" / "lake"), tmp_path / "own" / "models", latest_model(tmp_path / "own" / "models")
    )


def test_the_same_records_and_settings_give_the_same_version_and_bytes(place):
    again = fit_and_save(place.lake, place.models, SETTINGS)
    assert (again.version, again.digests) == (place.saved.version, place.saved.digests)
    # Limits of the checks are not part of the version.
    limits = SETTINGS.model_copy(update={"survival": SETTINGS.survival.model_copy(update={"least_poor": 1})})
    assert fit_and_save(place.lake, place.models, limits).version == place.saved.version
    other = SETTINGS.model_copy(update={"survival": SETTINGS.survival.model_copy(update={"penalty": 30.0})})
    assert fit_and_save(place.lake, place.models, other).version != place.saved.version


def test_scores_cover_every_bridge_have_provenance_and_are_reproducible(place):
    scores = score(place)
    features = place.lake.read_year("bridge_features", YEAR)
    assert scores["structure_key"].to_list() == features["structure_key"].to_list()
    assert years_until_poor_problems(scores, features) == []
    assert set(scores["model_version"]) == {place.saved.version}
    provenance = place.lake.provenance("years_until_poor", YEAR)
    assert provenance["digest"] == place.lake.digest("years_until_poor", YEAR)
    assert provenance["bridge_features"] == place.lake.digest("bridge_features", YEAR)
    score(place)
    assert place.lake.digest("years_until_poor", YEAR) == provenance["digest"]


def test_features_of_other_definitions_are_rejected(place):
    provenance = place.lake.provenance("bridge_features", YEAR)
    place.lake.write_provenance("bridge_features", YEAR, {**provenance, "features_digest": "another"})
    with pytest.raises(SourceError, match=rf"cannot score the features of {YEAR}.*computed by another"):
        score(place)
    with pytest.raises(SourceError, match=rf"features of {YEAR} are out of date.*definitions have changed"):
        fit_and_save(place.lake, place.models, SETTINGS)
    assert not place.lake.has_provenance("years_until_poor", YEAR)


def test_features_of_outdated_records_are_not_used(place):
    place.lake.write(pl.DataFrame({"structure_key": ["another"]}), "raw_bridges", YEAR)
    with pytest.raises(SourceError, match=rf"build the features of {YEAR} again"):
        fit_and_save(place.lake, place.models, SETTINGS)


@pytest.mark.parametrize("name", ["model.json", "evaluation.json"])
def test_a_model_whose_bytes_changed_is_rejected(place, name):
    path = place.saved.folder / name
    path.write_text(path.read_text().replace("1", "2"))
    with pytest.raises(ModelFileError, match=rf"{name}: the file was changed.*fit the deterioration model again"):
        latest_model(place.models)
    path.unlink()
    with pytest.raises(ModelFileError, match=rf"{name}: the file is missing"):
        latest_model(place.models)


def test_without_a_model_the_error_says_what_to_do(tmp_path):
    with pytest.raises(ModelFileError, match=r"no deterioration model has been fitted.*fit the deterioration model"):
        latest_model(tmp_path)


def test_years_are_formatted_for_people():
    years = {f"{name}_years": [None, 0.0, 12.34] for name in ("expected", "low", "median", "high")}
    table = pl.DataFrame({"condition": [7, 4, 5], **years, "horizon_years": [60, 60, 60]})
    assert format_years(table)["expected_years"].to_list() == ["more than 60", "Poor", "12.3"]
    without_interval = format_years(table.select("condition", "expected_years", "horizon_years"))
    assert without_interval["expected_years"].to_list() == ["more than 60", "Poor", "12.3"]


@pytest.mark.parametrize(
    ("condition", "expected", "low", "high", "texts"),
    [
        (6, 12.34, 3.0, 21.46, ("12.3", "3.0", "21.5", "3.0 to 21.5")),
        (6, 34.2, 12.3, None, ("at least 34.2", "12.3", "more than 60", "more than 12.3")),
        (8, None, 41.0, None, ("more than 60", "41.0", "more than 60", "more than 41.0")),
        (9, None, None, None, ("more than 60",) * 4),
        (4, 0.0, 0.0, 0.0, ("Poor",) * 4),
    ],
)
def test_an_interval_is_one_sided_where_its_upper_end_lies_beyond_the_horizon(condition, expected, low, high, texts):
    row = {"expected_years": expected, "low_years": low, "high_years": high, "horizon_years": 60}
    table = pl.DataFrame(
        [{"condition": condition, **row}],
        schema_overrides=dict.fromkeys(("expected_years", "low_years", "high_years"), pl.Float32),
    )
    found = format_years(table).select("expected_years", "low_years", "high_years", "interval_years").row(0)
    assert found == texts
    nothing_computed = format_years(table.with_columns(horizon_years=pl.lit(None, pl.Int16), expected_years=None))
    assert nothing_computed["expected_years"].to_list() == [None]


def test_problems_of_scores_are_counted(place):
    scores = score(place)
    features = place.lake.read_year("bridge_features", YEAR)
    assert years_until_poor_problems(scores.slice(2), features) == ["2 bridges have no years until Poor"]
    assert years_until_poor_problems(pl.concat([scores, scores.head(3)]), features) == ["3 duplicated bridges"]
    decreasing = scores.with_columns(poor_within_8_years=pl.lit(0.0, pl.Float32))
    assert "out of order" in years_until_poor_problems(decreasing, features)[0]
    zero_years = scores.with_columns(
        pl.lit(0.0, pl.Float32).alias(name) for name in scores.columns if name.endswith("_years")
    )
    assert "are not Poor but have none" in " ".join(
        years_until_poor_problems(zero_years.with_columns(horizon_years=scores["horizon_years"]), features)
    )
