"""Scores of a year: one row per bridge, two rankings, the target, reasons, and years until Poor."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from support.model_versions import FEATURES as OF_A_VERSION
from support.model_versions import make_version

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.errors import SourceError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.tasks.base import Task
from bridge_assets.models.tasks.tasks import CLASSIFICATION, REGRESSION
from bridge_assets.runtime.onnx_predictor import OnnxPredictor
from bridge_assets.runtime.scoring_model import ScoringModel
from bridge_assets.scoring.batch import score_problems, score_survey_year
from bridge_assets.scoring.shap_values import reasons_dtype
from bridge_assets.settings import LookFirstSettings

FEATURES = ("condition", "chance")
#: structure, state, condition, probability
BRIDGES = [
    ("19-A", "19", 8, 0.40),
    ("19-B", "19", 6, 0.25),
    ("19-C", "19", 5, 0.15),
    ("19-D", "19", 4, 0.15),
    ("19-E", "19", 7, 0.40),
    ("25-A", "25", 7, 0.30),
    ("25-B", "25", 5, 0.30),
]


class _Predictor:
    """Returns the second feature, so that the tests determine the scores."""

    features = FEATURES

    def __init__(self, task: Task = CLASSIFICATION) -> None:
        self.task_name = task.name

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 1]


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    table = pl.DataFrame(
        {
            "structure_key": [key for key, _, _, _ in BRIDGES],
            "survey_year": pl.Series([2020] * len(BRIDGES), dtype=pl.Int16),
            "inspection_date": [date(2019, 6, 1)] * len(BRIDGES),
            "STATE_CODE_001": [state for _, state, _, _ in BRIDGES],
            "condition": pl.Series([condition for _, _, condition, _ in BRIDGES], dtype=pl.Float32),
            "chance": pl.Series([chance for _, _, _, chance in BRIDGES], dtype=pl.Float32),
        }
    )
    digest = lake.write(table, "bridge_features", 2020)
    lake.write_provenance("bridge_features", 2020, {"digest": digest, "features_digest": "f"})
    return lake


@pytest.fixture
def model() -> ScoringModel:
    normalization = Normalization(FEATURES, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    return ScoringModel("v1", "f", (2010, 2018), normalization, _Predictor(), "fall of deck")  # type: ignore[arg-type]


def score(
    lake: Lake, survey_year: int, model: ScoringModel, look_first: LookFirstSettings | None = None
) -> pl.DataFrame:
    """Read, score and write a survey year, as the asset does."""
    explained_years = (look_first or LookFirstSettings()).explained_years
    scores, provenance = score_survey_year(
        lake.load_year("bridge_features", survey_year),
        model,
        look_first,
        years=lake.find_year("years_until_poor", survey_year),
        is_explained=survey_year in lake.available_years("bridge_features")[-explained_years:],
    )
    lake.write_year(scores, "bridge_predictions", survey_year, provenance)
    return scores


def order_of(scores: pl.DataFrame, rank: str, state: str) -> list[str]:
    return scores.filter(pl.col("structure_key").str.starts_with(state)).sort(rank)["structure_key"].to_list()


def test_ranks_follow_probability_and_consequence(lake, model):
    scores = score(lake, 2020, model)
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "rank_in_state", "25") == ["25-A", "25-B"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-E", "19-A"]
    assert order_of(scores, "look_first_rank", "25") == ["25-B", "25-A"]
    assert scores["target"].unique().to_list() == ["fall of deck"]
    assert scores["structure_key"].is_sorted()
    assert lake.read_year("bridge_predictions", 2020).equals(scores)


def listed(scores: pl.DataFrame, name: str) -> list[str]:
    return scores.filter(listed_as=name).sort("structure_key").sort("rank_in_list")["structure_key"].to_list()


def test_the_lists_hold_what_a_person_acts_on(lake, model):
    """An 8 that loses a point is still Good, a 6 still Fair: they are in no list, whatever their probability."""
    more = [("19-F", 3, 0.05), ("19-G", 4, 0.90), ("19-H", 5, 0.60), ("19-I", 7, 0.10), ("19-J", 9, 0.95)]
    table = lake.read_year("bridge_features", 2020)
    added = pl.DataFrame(more, schema=["structure_key", "condition", "chance"], orient="row").with_columns(
        survey_year=pl.lit(2020),
        inspection_date=pl.lit(date(2019, 6, 1)),
        STATE_CODE_001=pl.lit("19"),
    )
    lake.write(pl.concat([table, added.select(table.columns).cast(table.schema)]), "bridge_features", 2020)  # type: ignore[arg-type]
    scores = score(lake, 2020, model)
    of_19 = scores.filter(pl.col("structure_key").str.starts_with("19"))
    assert listed(of_19, "Poor now") == ["19-F", "19-G", "19-D"], "the lowest rating first, then the most probable"
    assert listed(of_19, "Likely to become Poor") == ["19-H", "19-C"]
    assert listed(of_19, "Good, losing a point") == ["19-E", "19-I"]
    assert of_19.filter(pl.col("listed_as").is_null())["condition"].unique().sort().to_list() == [6, 8, 9]
    assert scores.filter(pl.col("listed_as").is_null())["rank_in_list"].null_count() == 3
    assert listed(scores.filter(pl.col("structure_key").str.starts_with("25")), "Poor now") == []
    assert score_problems(scores, lake.read_year("bridge_features", 2020)) == []
    twice = scores.with_columns(rank_in_list=pl.when(pl.col("rank_in_list").is_not_null()).then(1).cast(pl.Int32))
    assert score_problems(twice, lake.read_year("bridge_features", 2020)) == [
        "rank_in_list does not number the bridges of a list from 1"
    ]


def test_equal_weights_give_the_same_order(lake, model):
    scores = score(lake, 2020, model, LookFirstSettings(stays_good=1, good=1, fair=1, to_poor=1))
    assert (scores["look_first_rank"] == scores["rank_in_state"]).all()


def test_a_regression_is_ranked_by_expected_loss(lake, model):
    table = lake.read_year("bridge_features", 2020).with_columns(-pl.col("chance"))
    lake.write(table, "bridge_features", 2020)
    losing = replace(model, predictor=_Predictor(REGRESSION), target="change of deck")  # type: ignore[arg-type]
    scores = score(lake, 2020, losing)
    assert scores["expected_change"].to_list() == pytest.approx(table["chance"].to_list(), abs=1e-3)
    assert scores["fall_probability"].null_count() == scores.height
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-E", "19-A"]
    assert scores["target"].unique().to_list() == ["change of deck"]
    assert score_problems(scores, table) == []
    off = scores.with_columns(expected_change=pl.col("expected_change") - 9)
    assert score_problems(off, table) == [f"{len(BRIDGES)} scores outside -9 to 9"]


def test_features_with_other_definitions_are_refused(lake, model):
    lake.write_provenance("bridge_features", 2020, {**lake.provenance("bridge_features", 2020), "features_digest": "g"})
    with pytest.raises(SourceError, match="cannot score the features of 2020"):
        score(lake, 2020, model)


def with_years(lake: Lake) -> pl.DataFrame:
    """Write years_until_poor of the bridges, with its provenance."""
    features = lake.read_year("bridge_features", 2020)
    is_poor = pl.col("condition") <= 4
    years = features.select(
        "structure_key",
        "survey_year",
        "inspection_date",
        pl.col("condition").cast(pl.Int8),
        *(
            pl.when(is_poor).then(0.0).otherwise(value).cast(pl.Float32).alias(f"{name}_years")
            for name, value in (("expected", 9.0), ("low", 3.0), ("median", 8.0), ("high", None))
        ),
        *(
            pl.when(is_poor).then(1.0).otherwise(value).cast(pl.Float32).alias(f"poor_within_{name}")
            for name, value in (("2_years", 0.1), ("4_years", 0.2), ("8_years", 0.5), ("horizon", 0.9))
        ),
        horizon_years=pl.lit(60, dtype=pl.Int16),
    )
    write_years(lake, years)
    return years


def write_years(lake: Lake, years: pl.DataFrame) -> None:
    digest = lake.write(years, "years_until_poor", 2020)
    features = lake.digest("bridge_features", 2020)
    provenance = {"digest": digest, "bridge_features": features, "model_version": "d1", "interval": 0.8}
    lake.write_provenance("years_until_poor", 2020, provenance)


YEARS = ("years_until_poor", "years_until_poor_low", "years_until_poor_high", "years_until_poor_horizon")


def test_years_until_poor_are_in_the_scores(lake, model):
    with_years(lake)
    scores = score(lake, 2020, model)
    assert scores.filter(structure_key="19-A").select(YEARS).row(0) == (9.0, 3.0, None, 60)
    assert scores.filter(structure_key="19-D").select(YEARS).row(0) == (0.0, 0.0, 0.0, 60)
    provenance = lake.provenance("bridge_predictions", 2020)["years_until_poor"]
    assert (provenance["bridges"], provenance["model_version"], provenance["interval"]) == (len(BRIDGES), "d1", 0.8)


def _delete(lake: Lake) -> None:
    lake.year_path("years_until_poor", 2020).unlink()


def _change_features(lake: Lake) -> None:
    table = lake.read_year("bridge_features", 2020)
    lake.write(table.with_columns(chance=pl.col("chance") / 2), "bridge_features", 2020)


def _kill_before_provenance(lake: Lake) -> None:
    lake.write(lake.read_year("years_until_poor", 2020).reverse(), "years_until_poor", 2020)


def _drop_bridges(lake: Lake) -> None:
    write_years(lake, lake.read_year("years_until_poor", 2020).head(3))


@pytest.mark.parametrize(
    ("damage", "skipped_reason"),
    [
        (_delete, "does not exist yet"),
        (_change_features, "was computed from other features"),
        (_kill_before_provenance, "does not match its provenance"),
        (_drop_bridges, "4 bridges have no years until Poor"),
    ],
)
def test_years_that_do_not_match_the_features_are_skipped_with_the_reason(damage, skipped_reason, lake, model):
    with_years(lake)
    damage(lake)
    scores = score(lake, 2020, model)
    assert scores.height == len(BRIDGES)
    assert all(scores[column].null_count() == scores.height for column in YEARS)
    assert (scores.schema["years_until_poor"], scores.schema["years_until_poor_horizon"]) == (pl.Float32, pl.Int16)
    provenance = lake.provenance("bridge_predictions", 2020)["years_until_poor"]
    assert provenance["bridges"] == 0
    assert skipped_reason in provenance["skipped_reason"]


@pytest.fixture
def served(tmp_path, lake) -> ScoringModel:
    """A served model with its forest, and features for it."""
    candidate = make_version(tmp_path / "models", 1)
    drawn = np.random.default_rng(0).normal(size=(len(BRIDGES), len(OF_A_VERSION))).astype(np.float32)
    others = [pl.Series(name, drawn[:, index]) for index, name in enumerate(OF_A_VERSION) if name != "condition"]
    features = lake.read_year("bridge_features", 2020).with_columns(others)
    lake.write(features, "bridge_features", 2020)
    normalization = Normalization.fit(features, OF_A_VERSION)
    predictor = OnnxPredictor(candidate.file("model.onnx"))
    forest = Float16Forest.load(candidate.file("forest.safetensors"))
    return ScoringModel(candidate.version, "f", (2010, 2018), normalization, predictor, forest=forest)


def test_the_first_bridges_of_each_state_get_reasons(lake, served):
    scores = score(lake, 2020, served, LookFirstSettings(explained_per_list=1))
    explained = scores.filter(pl.col("reasons").is_not_null())
    assert explained.sort("structure_key")["structure_key"].to_list() == ["19-C", "19-D", "19-E", "25-A", "25-B"]
    assert explained["rank_in_list"].max() == 1
    provenance = lake.provenance("bridge_predictions", 2020)
    assert (provenance["explained"]["explained"], provenance["digest"]) == (5, lake.digest("bridge_predictions", 2020))
    for bridge in explained.iter_rows(named=True):
        assert sum(each["contribution"] for each in bridge["reasons"]) + provenance["explained"]["base_value"] == (
            pytest.approx(bridge["fall_probability"], abs=1e-5)
        )
    assert score_problems(scores, lake.read_year("bridge_features", 2020)) == []


def test_earlier_years_get_reasons_only_if_configured(lake, served):
    table = lake.read_year("bridge_features", 2020).with_columns(survey_year=pl.lit(2021, dtype=pl.Int16))
    lake.write_provenance(
        "bridge_features", 2021, {"digest": lake.write(table, "bridge_features", 2021), "features_digest": "f"}
    )
    assert score(lake, 2020, served)["reasons"].null_count() == len(BRIDGES)
    assert (
        "not one of the last survey years" in lake.provenance("bridge_predictions", 2020)["explained"]["skipped_reason"]
    )
    assert score(lake, 2021, served)["reasons"].null_count() == 2, "an 8 and a 6 are in no list"
    both = score(lake, 2020, served, LookFirstSettings(explained_years=2))
    assert both["reasons"].null_count() == 2


def test_problems_of_scores_are_found(lake, model):
    scores, features = score(lake, 2020, model), lake.read_year("bridge_features", 2020)
    assert score_problems(scores, features) == []
    assert "1 bridges have no score" in score_problems(scores.slice(1), features)
    assert "1 duplicated bridges" in score_problems(pl.concat([scores, scores.head(1)]), features)
    beyond = scores.with_columns(fall_probability=pl.when(pl.col("structure_key") == "25-A").then(1.5).otherwise(0.1))
    assert score_problems(beyond, features) == ["1 scores outside 0 to 1"]
    same = scores.with_columns(look_first_rank=pl.lit(1, dtype=pl.Int32))
    assert score_problems(same, features) == ["look_first_rank does not number the bridges of a state from 1"]
    last = pl.when(pl.col("structure_key") == "19-A").then(pl.lit([], dtype=reasons_dtype()))
    assert score_problems(scores.with_columns(reasons=last), features) == [
        "in 1 lists the bridges with reasons are not the first ones"
    ]
