"""Drift and realised quality follow their inputs by themselves, once somebody starts Dagster's automation sensor."""

from collections.abc import Iterator

import dagster as dg
import pytest
from support.small_platform import defs

from bridge_assets.orchestration.metadata.automation import AFTER_ANY_YEAR, AFTER_ITS_INPUTS, AUTOMATION_CONDITIONS

YEARS = dg.StaticPartitionsDefinition(["2017", "2018", "2019"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@dg.asset(partitions_def=YEARS)
def scores() -> None: ...


@dg.asset_check(asset=scores, blocking=True)
def complete(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed="broken" not in context.run.tags)


@dg.asset(deps=[scores], partitions_def=YEARS, automation_condition=AFTER_ITS_INPUTS)
def report() -> None: ...


@dg.asset(deps=[scores], automation_condition=AFTER_ANY_YEAR)
def quality() -> None: ...


SMALL = dg.Definitions(assets=[scores, report, quality], asset_checks=[complete])


def materialize(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, year: str, **tags: str) -> None:
    dg.materialize(
        [*assets, complete], instance=instance, partition_key=year, tags=tags, raise_on_error=False, selection=assets
    )


def test_the_assets_of_the_watch_have_the_condition() -> None:
    graph = defs.resolve_asset_graph()
    conditions = {
        key.to_user_string(): node.automation_condition
        for key in graph.get_all_asset_keys()
        if (node := graph.get(key)).automation_condition is not None
    }
    assert set(conditions) == set(AUTOMATION_CONDITIONS) == {"drift_report", "realised_quality"}


def test_it_is_requested_for_the_year_whose_inputs_changed_and_not_twice(instance) -> None:
    tick = dg.evaluate_automation_conditions(SMALL, instance)
    assert tick.get_num_requested(report.key) == 0
    materialize(instance, scores, year="2017")
    tick = dg.evaluate_automation_conditions(SMALL, instance, cursor=tick.cursor)
    assert tick.get_requested_partitions(report.key) == {"2017"}
    assert tick.get_num_requested(quality.key) == 1
    tick = dg.evaluate_automation_conditions(SMALL, instance, cursor=tick.cursor)
    assert tick.total_requested == 0


def test_a_run_that_makes_both_requests_nothing(instance) -> None:
    tick = dg.evaluate_automation_conditions(SMALL, instance)
    materialize(instance, scores, report, quality, year="2018")
    tick = dg.evaluate_automation_conditions(SMALL, instance, cursor=tick.cursor)
    assert tick.total_requested == 0


def test_nothing_is_built_on_inputs_whose_blocking_check_failed(instance) -> None:
    tick = dg.evaluate_automation_conditions(SMALL, instance)
    materialize(instance, scores, year="2019", broken="yes")
    tick = dg.evaluate_automation_conditions(SMALL, instance, cursor=tick.cursor)
    assert tick.total_requested == 0
    materialize(instance, scores, year="2019")
    tick = dg.evaluate_automation_conditions(SMALL, instance, cursor=tick.cursor)
    assert tick.get_requested_partitions(report.key) == {"2019"}
