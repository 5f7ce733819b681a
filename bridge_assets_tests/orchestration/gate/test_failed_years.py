"""A survey year whose check failed is named alone: the other years of the same evaluation passed."""

from collections.abc import Iterator

import dagster as dg
import pytest

from bridge_assets.deployment.gate.signature import KEY_VARIABLE
from bridge_assets.orchestration.checks.inventory import REQUIRED_RAW_CHECKS, rows_reconcile, schema_matches
from bridge_assets.orchestration.checks.results import judged_result
from bridge_assets.orchestration.gate.check_history import data_problems
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.resources import Platform

DIGESTS = {"2018": "x", "2019": "y", "2020": "z"}
KEY, OTHER_KEY = "0123456789abcdef" * 4, "fedcba9876543210" * 4
ONLY_2018 = ["raw_bridges:rows_reconcile[2018] failed"]
NONE_COUNTS = [
    "raw_bridges:rows_reconcile[2018] failed",
    "raw_bridges:rows_reconcile[2019] was not evaluated on the records in use",
    "raw_bridges:rows_reconcile[2020] was not evaluated on the records in use",
]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def evaluate(instance: dg.DagsterInstance, *failed: str) -> None:
    """A run of the blocking check in which these survey years fail; its step then fails as well."""

    @dg.asset_check(asset="raw_bridges", name="rows_reconcile", blocking=True)
    def check(context: dg.AssetCheckExecutionContext):
        problems = [f"{year}: 20 rows, but 19 were loaded and 0 rejected" for year in failed]
        return judged_result(context, Judged(DIGESTS, failed_years=failed), problems, "they reconcile")

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[check], jobs=[job])
    definitions.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)


def problems(instance: dg.DagsterInstance) -> list[str]:
    return data_problems(instance, DIGESTS, ["rows_reconcile"], [])


def test_a_failed_year_is_named_alone(instance: dg.DagsterInstance) -> None:
    evaluate(instance, "2018")
    assert problems(instance) == ONLY_2018
    evaluate(instance)
    assert problems(instance) == []
    evaluate(instance, "2018")
    assert problems(instance) == ONLY_2018


def test_a_failure_that_names_no_year_counts_for_all(instance: dg.DagsterInstance) -> None:
    """As an older release recorded it."""

    @dg.asset_check(asset="raw_bridges", name="rows_reconcile")
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, metadata=Judged(DIGESTS).metadata())

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    dg.Definitions(asset_checks=[check], jobs=[job]).resolve_job_def("checks").execute_in_process(instance=instance)
    assert problems(instance) == [f"raw_bridges:rows_reconcile[{year}] failed" for year in DIGESTS]


def test_passes_of_years_cannot_be_posted(instance: dg.DagsterInstance) -> None:
    """A reported failure that says that only one year failed is no evidence for the others."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("raw_bridges"),
        check_name="rows_reconcile",
        passed=False,
        metadata=Judged(DIGESTS, failed_years=("2018",)).metadata(),
    )
    instance.report_runless_asset_event(evaluation)
    assert problems(instance) == NONE_COUNTS


def test_passes_of_years_are_signed(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(instance, "2018")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert problems(instance) == NONE_COUNTS
    evaluate(instance, "2018")
    assert problems(instance) == ONLY_2018
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)
    assert problems(instance) == NONE_COUNTS


def test_the_checks_say_which_years_failed(platform, instance: dg.DagsterInstance) -> None:
    """On a small platform: a row of one year is lost, a key of another, and the file of a third is gone."""
    import polars as pl

    lake = platform.lake
    years = lake.available_years("raw_bridges")
    lake.write(lake.read_year("raw_bridges", years[0]).slice(1), "raw_bridges", years[0])
    broken = lake.read_year("raw_bridges", years[1]).with_columns(structure_key=pl.lit(None, pl.String))
    lake.write(broken, "raw_bridges", years[1])
    (platform.home / "sample" / f"NBI_{years[2]}.txt").unlink()
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(
        asset_checks=[rows_reconcile, schema_matches], jobs=[job], resources={"platform": Platform()}
    )
    definitions.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)
    digests = {str(year): lake.digest("raw_bridges", year) for year in years}
    assert data_problems(instance, digests, REQUIRED_RAW_CHECKS, []) == [
        f"raw_bridges:rows_reconcile[{years[0]}] failed",
        f"raw_bridges:rows_reconcile[{years[2]}] failed",
        f"raw_bridges:schema_matches[{years[1]}] failed",
    ]
