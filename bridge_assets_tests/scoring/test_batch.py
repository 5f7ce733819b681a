"""Scores of a year: one row per bridge, two rankings, the target, reasons, and years until Poor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.model_versions import FEATURES as OF_A_VERSION
from support.model_versions import make_version
from support.scoring.scored_bridges import BRIDGES, ChosenScores, order_of, score, with_years, write_years

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.errors import SourceError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.tasks.tasks import REGRESSION
from bridge_assets.runtime.onnx_predictor import OnnxPredictor
from bridge_assets.runtime.scoring_model import ScoringModel
from bridge_assets.scoring.batch import score_problems
from bridge_assets.scoring.shap_values import reasons_dtype
from bridge_assets.settings import LookFirstSettings


def test_ranks_follow_probability_and_consequence(lake, scoring_model):
    scores = score(lake, 2020, scoring_model)
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "rank_in_state", "25") == ["25-A", "25-B"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-E", "19-A"]
    assert order_of(scores, "look_first_rank", "25") == ["25-B", "25-A"]
    assert scores["target"].unique().to_list() == ["fall of deck"]
    assert scores["structure_key"].is_sorted()
    assert lake.read_year("bridge_predictions", 2020).equals(scores)


def test_equal_weights_give_the_same_order(lake, scoring_model):
    scores = score(lake, 2020, scoring_model, LookFirstSettings(stays_good=1, good=1, fair=1, to_poor=1))
    assert (scores["look_first_rank"] == scores["rank_in_state"]).all()


def test_a_regression_is_ranked_by_expected_loss(lake, scoring_model):
    table = lake.read_year("bridge_features", 2020).with_columns(-pl.col("chance"))
    lake.write(table, "bridge_features", 2020)
    losing = replace(scoring_model, predictor=ChosenScores(REGRESSION), target="change of deck")  # type: ignore[arg-type]
    scores = score(lake, 2020, losing)
    assert scores["expected_change"].to_list() == pytest.approx(table["chance"].to_list(), abs=1e-3)
    assert scores["fall_probability"].null_count() == scores.height
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-E", "19-A"]
    assert scores["target"].unique().to_list() == ["change of deck"]
    assert score_problems(scores, table) == []
    off = scores.with_columns(expected_change=pl.col("expected_change") - 9)
    assert score_problems(off, table) == [f"{len(BRIDGES)} scores outside -9 to 9"]


def test_features_with_other_definitions_are_refused(lake, scoring_model):
    lake.write_provenance("bridge_features", 2020, {**lake.provenance("bridge_features", 2020), "features_digest": "g"})
    with pytest.raises(SourceError, match="cannot score the features of 2020"):
        score(lake, 2020, scoring_model)


YEARS = ("years_until_poor", "years_until_poor_low", "years_until_poor_high", "years_until_poor_horizon")


def test_years_until_poor_are_in_the_scores(lake, scoring_model):
    with_years(lake)
    scores = score(lake, 2020, scoring_model)
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
def test_years_that_do_not_match_the_features_are_skipped_with_the_reason(damage, skipped_reason, lake, scoring_model):
    with_years(lake)
    damage(lake)
    scores = score(lake, 2020, scoring_model)
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


def test_problems_of_scores_are_found(lake, scoring_model):
    scores, features = score(lake, 2020, scoring_model), lake.read_year("bridge_features", 2020)
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
