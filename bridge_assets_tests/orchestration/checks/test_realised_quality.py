"""The check of realised quality: what it says, how severe it is, and about which model and years."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.drift.realised_quality import AS_EXPECTED, MUCH_WORSE, TABLE_NAME, TOO_FEW, WORSE, table_schema
from bridge_assets.orchestration.checks.realised_quality import as_expected
from bridge_assets.orchestration.gate.judged import judged_of
from bridge_assets.orchestration.resources import Platform

SERVED = "0123456789ab"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    package = tmp_path / "endpoints" / "local" / "versions" / f"{SERVED}-0000000000000000"
    package.mkdir(parents=True)
    (package.parents[1] / "current").symlink_to(Path("versions", package.name))
    return tmp_path


def row(survey_year: int, verdict: str, version: str = SERVED) -> dict[str, Any]:
    auc = {AS_EXPECTED: 0.72, WORSE: 0.66, MUCH_WORSE: 0.55}.get(verdict)
    return {
        "survey_year": survey_year,
        "model_version": version,
        "published_at": datetime.datetime(survey_year + 1, 7, 1),
        "verdict": verdict,
        "scored": 1000,
        "outcomes": 900,
        "falls": 100,
        "expected_falls": 101.0,
        "falls_low": 80.0,
        "falls_high": 120.0,
        "auc": auc,
        "expected_auc": 0.72,
        "auc_low": 0.68,
        "auc_high": 0.76,
    }


def evaluation(home: Path, *rows: dict[str, Any]) -> dg.AssetCheckEvaluation:
    Lake(home / "lake").write(pl.DataFrame(list(rows), schema=table_schema()), TABLE_NAME)
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[as_expected], jobs=[job], resources={"platform": Platform()})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    [found] = result.get_asset_check_evaluations()
    return found


def test_years_that_turned_out_as_expected_pass(home) -> None:
    found = evaluation(home, row(2017, AS_EXPECTED), row(2018, AS_EXPECTED), row(2019, TOO_FEW))
    assert (found.passed, found.description) == (
        True,
        f"2017 to 2018: the scores of model {SERVED} turned out as expected",
    )
    assert judged_of(found).about == {"2017": SERVED, "2018": SERVED}
    assert found.metadata["outcomes"].value == 1800


def test_worse_warns_and_much_worse_is_an_error_of_that_year(home) -> None:
    found = evaluation(home, row(2017, AS_EXPECTED), row(2018, WORSE))
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == f"2018, model {SERVED}, 900 outcomes: AUC 0.660, expected 0.720 (0.680 to 0.760)"
    found = evaluation(home, row(2016, MUCH_WORSE), row(2017, AS_EXPECTED), row(2018, WORSE))
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert judged_of(found).failed_years == ("2016",)


def test_only_the_model_that_serves_is_judged(home) -> None:
    found = evaluation(home, row(2018, MUCH_WORSE, "another"))
    assert found.passed
    assert found.description == (
        f"no survey year that model {SERVED} scored before can be judged yet: too few outcomes are known"
    )
    assert judged_of(found).about == {}


def test_scores_that_are_not_kept_are_a_warning(home) -> None:
    scored = pl.DataFrame({"model_version": [SERVED]})
    Lake(home / "lake").write(scored, "bridge_predictions", 2018)
    found = evaluation(home)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "the scores of 2018 by model 0123456789ab are not kept as they were published" in (found.description or "")
    Lake(home / "lake").write(scored, "published_scores", 2018)
    assert evaluation(home).passed
