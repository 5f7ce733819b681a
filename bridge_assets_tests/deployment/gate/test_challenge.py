"""Fetching the champion and the hold-out, and when a comparison is impossible."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.champion import make_inspections
from support.model_versions import FEATURES

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.deployment.gate.challenge import (
    champion_decision,
    compare_again,
    compare_with_champion,
    current_champion,
    unscaled_holdout,
)
from bridge_assets.deployment.gate.champion import Comparison
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.gate.decision import (
    CHAMPION_REQUIREMENT,
    REQUIRED_CHECKS,
    CheckEvaluation,
    Decision,
    decide,
)
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.errors import SourceError
from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.models.training import training_set
from bridge_assets.registry.folder_registry import REGISTRY_FILE, FolderRegistry
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.settings import DvcSettings, GateSettings, ModelSettings
from bridge_assets.storage import write_json

SETTINGS = ModelSettings()
REGISTRY = DvcSettings()

#: Provenance of the training set.
RAW_DIGESTS = {"2018": "r18", "2020": "r20"}
MADE_FROM = {"raw_bridges": RAW_DIGESTS, "features_digest": "f" * 12}

#: Normalization of the training set: natural units are twice the normalized value, plus seven.
SCALE = Normalization(FEATURES, (0.0,) * 4, (7.0,) * 4, (2.0,) * 4)


def write_features(lake: Lake, year: int, table: pl.DataFrame, **provenance: str) -> None:
    lake.write(
        table.filter(pl.col("survey_year") == year).select("structure_key", "survey_year", *FEATURES),
        "bridge_features",
        year,
    )
    made_from = {"raw_bridges": RAW_DIGESTS[str(year)], "features_digest": MADE_FROM["features_digest"]}
    lake.write_provenance("bridge_features", year, made_from | provenance)


def write_training_set(lake: Lake, table: pl.DataFrame, **made_from: Any) -> training_set.TrainingSet:
    digest = lake.write(SCALE.transform(split_at(table, 2018, 2020, 0.3)), training_set.TABLE_NAME)
    record = {"digest": digest, "made_from": MADE_FROM | made_from, "normalization": asdict(SCALE)}
    write_json(record, lake.table_path(training_set.TABLE_NAME).with_suffix(".json"))
    return training_set.load_training_set(lake)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Features of two survey years, and the training set that was built from them."""
    training_data, table = Lake(tmp_path / "lake"), make_inspections()
    for year in (2018, 2020):
        write_features(training_data, year, table[::-1])  # not in the order of the training set
    write_training_set(training_data, table)
    return training_data


@pytest.fixture
def candidate(poor: ModelVersion, lake: Lake, tmp_path: Path) -> ModelVersion:
    """The poor version, as if trained on the training set in the lake."""
    return with_stages(poor, tmp_path, training_set=training_set.load_training_set(lake).digest)


def with_stages(version: ModelVersion, tmp_path: Path, **stages: str) -> ModelVersion:
    """A copy of a version whose manifest gives other digests."""
    copy = ModelVersion(tmp_path / "candidates" / version.version)
    shutil.copytree(version.folder, copy.folder, dirs_exist_ok=True)
    manifest = copy.manifest
    write_json({**manifest, "stages": manifest["stages"] | stages}, copy.file("manifest.json"))
    return copy


def champion_in(home: Path, version: ModelVersion) -> FolderRegistry:
    registry = FolderRegistry(home / "models", SETTINGS.name)
    registry.set_alias("champion", registry.register(version))
    return registry


def test_without_a_champion_there_is_no_comparison(candidate, good, lake, tmp_path):
    assert compare_with_champion(candidate, lake, REGISTRY, tmp_path, SETTINGS) == Comparison(
        None, "there is no champion yet"
    )
    registry = FolderRegistry(tmp_path / "models", SETTINGS.name)
    registry.set_alias("challenger", registry.register(good))
    assert compare_with_champion(candidate, lake, REGISTRY, tmp_path, SETTINGS).champion is None


def test_both_are_evaluated_on_the_held_out_inspections(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    # Predicting does not need the scikit-learn model, so it is not fetched.
    (tmp_path / "models" / good.version / "model.skops").unlink()
    found = compare_with_champion(candidate, lake, REGISTRY, tmp_path, SETTINGS)
    assert (found.champion, found.evaluated) == (good.version, True)
    held_out = holdout_rows(training_set.load_training_set(lake).table)
    assert (found.inspections, found.falls) == (held_out.height, int(held_out["fall"].sum()))
    assert found.champion_scores.auc > found.candidate_scores.auc
    assert len(found.problems) == 2


def test_the_settings_of_the_gate_reach_the_comparison(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    lenient = ModelSettings(gate=GateSettings(champion_auc_loss=1, champion_brier_loss=1))
    assert compare_with_champion(candidate, lake, REGISTRY, tmp_path, lenient).problems == ()


@pytest.mark.parametrize(("decision", "problems"), [("recorded", 1), ("accept", 0)])
def test_a_champion_whose_files_are_not_listed_is_unknown(candidate, good, lake, tmp_path, decision, problems):
    champion_in(tmp_path, good)
    ledger = tmp_path / "models" / REGISTRY_FILE
    listed = json.loads(ledger.read_text())
    listed["versions"][good.version]["files"] = {}
    write_json(listed, ledger)
    settings = ModelSettings(gate=GateSettings(champion_not_comparable=decision))
    found = compare_with_champion(candidate, lake, REGISTRY, tmp_path, settings)
    assert found.champion == str(tmp_path / "models" / good.version)
    assert "was not registered by this version of bridge_assets: its files are not listed" in found.message
    assert len(found.problems) == problems


def test_a_candidate_of_another_training_set_cannot_be_compared(good, poor, lake, tmp_path):
    champion_in(tmp_path, good)
    with pytest.raises(SourceError) as caught:
        compare_with_champion(poor, lake, REGISTRY, tmp_path, SETTINGS)
    assert str(caught.value) == (
        f"{lake.table_path('training_set')}: model version {poor.version} was trained on another "
        f"training set. "
        "The training set has been rebuilt since, so its hold-out cannot be used for a comparison. "
        "What to do: train the model again, with everything downstream."
    )


def test_the_held_out_inspections_are_in_natural_units_and_in_order(lake):
    table = make_inspections()
    expected = holdout_rows(split_at(table, 2018, 2020, 0.3)).drop("split")
    found = unscaled_holdout(lake, training_set.load_training_set(lake))
    assert found.columns == ["structure_key", "survey_year", "next_survey_year", "fall", *FEATURES]
    assert found.equals(expected)
    assert 0 < found.height < table.height


def test_a_regression_also_has_the_change(lake):
    training_data = write_training_set(lake, make_inspections().with_columns(change=pl.lit(-1.0)), task="regression")
    found = unscaled_holdout(lake, training_data)
    assert found.columns == ["structure_key", "survey_year", "next_survey_year", "fall", "change", *FEATURES]
    assert found["change"].unique().to_list() == [-1.0]


@pytest.mark.parametrize("year", [2018, 2020])
@pytest.mark.parametrize(
    "changed_provenance", [{"raw_bridges": "rebuilt"}, {"features_digest": "0" * 12}], ids=["records", "features"]
)
def test_rebuilt_features_are_not_those_of_the_training_set(lake, year, changed_provenance):
    write_features(lake, year, make_inspections(), **changed_provenance)
    with pytest.raises(SourceError) as caught:
        unscaled_holdout(lake, training_set.load_training_set(lake))
    assert str(caught.value) == (
        f"{lake.year_path('bridge_features', year)}: the features of {year} are not those of the training set. "
        "They have been rebuilt since. What to do: build the training set again, with everything downstream."
    )


def test_features_of_a_year_without_held_out_inspections_may_be_rebuilt(lake):
    table = make_inspections()
    training_data = write_training_set(lake, table.filter(pl.col("survey_year") == 2018))
    write_features(lake, 2020, table, raw_bridges="rebuilt")
    assert unscaled_holdout(lake, training_data)["survey_year"].unique().to_list() == [2018]


def test_a_held_out_inspection_that_has_no_features_is_left_out(lake):
    training_data = training_set.load_training_set(lake)
    gone = holdout_rows(training_data.table).filter(pl.col("survey_year") == 2020)["structure_key"][0]
    before = unscaled_holdout(lake, training_data)
    write_features(lake, 2020, make_inspections().filter(pl.col("structure_key") != gone))
    after = unscaled_holdout(lake, training_data)
    assert after.equals(before.filter((pl.col("structure_key") != gone) | (pl.col("survey_year") != 2020)))
    assert after.height == before.height - 1


def test_duplicated_features_of_a_structure_are_an_error(lake):
    table = make_inspections()
    write_features(lake, 2020, pl.concat([table, table]))
    with pytest.raises(pl.exceptions.ComputeError, match="1:1"):
        unscaled_holdout(lake, training_set.load_training_set(lake))


def recorded_decision(candidate: ModelVersion, compared_with: str, home: Path) -> Decision:
    """The gate's decision when all checks have passed, the comparison with this champion."""
    content = read_content(candidate)
    passed = [
        CheckEvaluation(each.asset, each.check, True, content.stages[each.asset], 1.0, "old", champion=compared_with)
        for each in REQUIRED_CHECKS
    ]
    return decide(content, passed, champion=current_champion(REGISTRY, home, SETTINGS.name))


def test_the_worse_of_two_that_were_judged_without_a_champion_is_refused(candidate, good, lake, tmp_path):
    assert recorded_decision(candidate, "", tmp_path).is_open
    champion_in(tmp_path, good)
    recorded = recorded_decision(candidate, "", tmp_path)
    assert not recorded.is_open
    compared = compare_again(recorded, candidate, lake, REGISTRY, tmp_path, SETTINGS, "today")
    assert [finding.state for finding in compared.findings] == ["passed"] * (len(REQUIRED_CHECKS) - 1) + ["failed"]
    assert f"worse than for champion {good.version}" in compared.explain()
    assert compared.findings[:-1] == recorded.findings[:-1]


def test_a_version_that_is_not_worse_than_todays_champion_passes_again(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    lenient = ModelSettings(gate=GateSettings(champion_auc_loss=1, champion_brier_loss=1))
    recorded = recorded_decision(candidate, "earlier", tmp_path)
    compared = compare_again(recorded, candidate, lake, REGISTRY, tmp_path, lenient, "today")
    assert compared.is_open
    assert compared.findings[-1].evaluation is not None
    assert compared.findings[-1].evaluation.run_id == "today"


def test_a_comparison_with_todays_champion_is_not_repeated(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    recorded = recorded_decision(candidate, good.version, tmp_path)
    assert recorded.is_open
    assert compare_again(recorded, candidate, lake, REGISTRY, tmp_path, SETTINGS, "today") is recorded


def test_files_that_changed_after_the_decision_are_not_compared_again(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    lenient = ModelSettings(gate=GateSettings(champion_auc_loss=1, champion_brier_loss=1))
    recorded = recorded_decision(candidate, "", tmp_path)
    probe = candidate.file("probe.json")
    probe.write_text(probe.read_text() + " ")
    assert compare_again(recorded, candidate, lake, REGISTRY, tmp_path, lenient, "today") is recorded


def test_what_cannot_be_compared_any_more_stays_outdated(candidate, good, lake, tmp_path):
    champion_in(tmp_path, good)
    recorded = recorded_decision(candidate, "", tmp_path)
    write_training_set(lake, make_inspections().head(5000))
    assert compare_again(recorded, candidate, lake, REGISTRY, tmp_path, SETTINGS, "today") == recorded
    assert not recorded.is_open


@pytest.mark.parametrize(
    ("comparison", "state", "expected_message"),
    [
        (Comparison("abc", "as good"), "passed", "as good"),
        (Comparison("abc", "compared", ("AUC is worse", "Brier is worse")), "failed", "AUC is worse; Brier is worse"),
    ],
    ids=["not worse", "worse"],
)
def test_the_decision_depends_only_on_the_comparison(poor, comparison, state, expected_message):
    started = time.time()
    decision = champion_decision(read_content(poor), comparison, "run-1", SETTINGS.gate)
    [finding] = decision.findings
    assert decision.version == poor.version
    assert decision.is_open is (state == "passed")
    assert (finding.requirement, finding.state) == (CHAMPION_REQUIREMENT, state)
    assert finding.expected_digest == read_content(poor).stages["onnx_model"]
    evaluation = finding.evaluation
    assert evaluation is not None
    assert (evaluation.message, evaluation.run_id) == (expected_message, "run-1")
    assert (evaluation.champion, evaluation.limits) == ("abc", limits_of("not_worse_than_champion", SETTINGS.gate))
    assert started <= evaluation.timestamp <= time.time()


def test_a_version_without_an_onnx_model_is_refused(poor, tmp_path):
    content = read_content(with_stages(poor, tmp_path, onnx_model=""))
    comparison = Comparison(None, "there is no champion yet")
    [finding] = champion_decision(content, comparison, "run", SETTINGS.gate).findings
    assert finding.state == "missing"
