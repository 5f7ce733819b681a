"""A stage works on the model version of its own run, whatever other runs train in the meantime."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.errors import ModelVersionError, SourceError
from bridge_assets.orchestration.model_chain import training_set_of, upstream_training_set, upstream_version
from bridge_assets.registry.model_version import ModelVersion, create_or_resume, latest_version
from bridge_assets.storage import write_json

CHAIN = ("bridge_model", "quantized_model", "onnx_model", "registered_model")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def platform(tmp_path: Path) -> Any:
    """The parts of a platform that the chain needs: the folder of model versions, and the lake."""
    return SimpleNamespace(data=SimpleNamespace(models_folder=tmp_path / "models"), lake=Lake(tmp_path / "lake"))


def train(platform: Any, seed: int) -> ModelVersion:
    return create_or_resume(platform.data.models_folder, "a" * 64, {"seed": seed}, {})


def run_chain(
    instance: dg.DagsterInstance,
    platform: Any,
    seed: int,
    *selected: str,
    between: Mapping[str, Callable[[], object]] | None = None,
    **options: Any,
) -> dict[str, str]:
    """Run these assets of the chain in one run; asset -> the version that it worked on.

    `between` is called before the asset's own work; it does what other runs do at that moment.
    """
    worked_on: dict[str, str] = {}

    def stage(name: str, upstream: str | None) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=[upstream] if upstream else [], check_specs=[dg.AssetCheckSpec("check", asset=name)])
        def asset(context: dg.AssetExecutionContext):
            (between or {}).get(name, lambda: None)()
            version = upstream_version(context, platform, upstream) if upstream else train(platform, seed)
            worked_on[name] = version.version
            yield dg.MaterializeResult(metadata={"model_version": version.version})
            checked = upstream_version(context, platform, name)
            worked_on[f"{name}:check"] = checked.version
            yield dg.AssetCheckResult(passed=True, check_name="check")

        return asset

    assets = [stage(name, upstream) for name, upstream in zip(CHAIN, (None, *CHAIN), strict=False)]
    result = dg.materialize(
        assets, instance=instance, selection=dg.AssetSelection.assets(*(selected or CHAIN)), **options
    )
    assert result.success
    return worked_on


def test_a_run_passes_its_own_version_on_and_its_checks_evaluate_it(instance, platform):
    found = run_chain(instance, platform, 1)
    assert len(found) == 2 * len(CHAIN)
    assert set(found.values()) == {train(platform, 1).version}


@pytest.mark.parametrize("stage", CHAIN[1:])
def test_another_training_between_two_stages_changes_nothing(instance, platform, stage):
    """The other run goes all the way through, so that it is the latest of every stage and latest.json points at it."""
    found = run_chain(instance, platform, 1, between={stage: lambda: run_chain(instance, platform, 2)})
    assert latest_version(platform.data.models_folder) == train(platform, 2)
    assert set(found.values()) == {train(platform, 1).version}


def test_a_stage_in_its_own_run_takes_the_latest_version(instance, platform):
    run_chain(instance, platform, 1)
    run_chain(instance, platform, 2)
    train(platform, 3)  # like a training that was killed before it was recorded: it changes latest.json
    found = run_chain(instance, platform, 0, "quantized_model")
    assert set(found.values()) == {train(platform, 2).version}


def test_a_run_that_starts_in_the_middle_of_the_chain_keeps_its_version(instance, platform):
    run_chain(instance, platform, 1)
    found = run_chain(
        instance,
        platform,
        0,
        "quantized_model",
        "onnx_model",
        between={"onnx_model": lambda: run_chain(instance, platform, 2)},
    )
    assert set(found.values()) == {train(platform, 1).version}


def test_a_re_execution_continues_with_the_version_of_the_failed_run(instance, platform):
    """Re-executing from the failed step skips the training; models trained since belong to other runs."""

    def kill() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        run_chain(instance, platform, 1, between={"onnx_model": kill})
    [failed] = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    first = dg.DagsterRun(
        "chain", parent_run_id=failed.run_id, root_run_id=failed.run_id
    )  # failed, too, before it materialized anything
    instance.add_run(first)
    run_chain(instance, platform, 2)
    for run in (first, dg.DagsterRun("chain", parent_run_id=first.run_id, root_run_id=failed.run_id)):
        context: Any = SimpleNamespace(instance=instance, run=run)
        assert upstream_version(context, platform, "quantized_model") == train(platform, 1)
        assert upstream_version(context, platform, "registered_model") == train(platform, 2)  # that run never got there


def test_without_a_materialization_the_error_has_a_remedy(instance, platform):
    train(platform, 1)  # on the command line: the event log does not know it
    with pytest.raises(ModelVersionError, match=r"No bridge_model yet\. What to do: materialise bridge_model\.$"):
        run_chain(instance, platform, 0, "quantized_model")
    with pytest.raises(ModelVersionError, match=r"No onnx_model yet.*materialise bridge_model .*up to onnx_model"):
        run_chain(instance, platform, 0, "registered_model")


def test_a_materialization_reported_by_hand_has_no_version_and_is_skipped(instance, platform):
    run_chain(instance, platform, 1)
    for _ in range(101):  # more than a page
        instance.report_runless_asset_event(dg.AssetMaterialization("bridge_model"))
    assert set(run_chain(instance, platform, 0, "quantized_model").values()) == {train(platform, 1).version}


def write_training_set(lake: Lake, rows: int) -> str:
    """A minimal training set in the lake; returns its digest."""
    digest = lake.write(pl.DataFrame({"age": list(range(rows))}), "training_set")
    scale = {"features": ["age"], "fill": [0.0], "center": [0.0], "scale": [1.0]}
    write_json(
        {"digest": digest, "made_from": {}, "normalization": scale},
        lake.table_path("training_set").with_suffix(".json"),
    )
    return digest


def test_a_training_set_that_was_replaced_after_it_was_materialized_is_refused(instance, platform):
    found = {}

    @dg.asset
    def training_set():
        return dg.MaterializeResult(metadata={"digest": write_training_set(platform.lake, 3)})

    @dg.asset(deps=[training_set])
    def bridge_model(context: dg.AssetExecutionContext):
        found["before"] = upstream_training_set(context, platform)
        write_training_set(platform.lake, 4)  # another run
        upstream_training_set(context, platform)

    with pytest.raises(SourceError, match="the training set was replaced after it was materialized for this run"):
        dg.materialize([training_set, bridge_model], instance=instance)
    assert found["before"].table.height == 3
    with pytest.raises(SourceError, match="was replaced"):  # nor in a run of its own
        dg.materialize(
            [training_set, bridge_model], instance=instance, selection=dg.AssetSelection.assets("bridge_model")
        )


def test_without_a_training_set_the_error_has_a_remedy(instance, platform):
    context: Any = SimpleNamespace(instance=instance, run=dg.DagsterRun("chain"))
    with pytest.raises(SourceError, match=r"No training_set yet\. What to do: materialise training_set\.$"):
        upstream_training_set(context, platform)


def test_rows_of_another_training_set_are_refused(platform):
    digest = write_training_set(platform.lake, 3)
    version = create_or_resume(platform.data.models_folder, digest, {}, {})
    assert training_set_of(version, platform).digest == digest
    write_training_set(platform.lake, 4)
    with pytest.raises(SourceError, match=f"model version {version.version} was trained on another training set"):
        training_set_of(version, platform)
