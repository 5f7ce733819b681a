"""The checks that the gate requires: is the training data sound, is the model good enough, do its float16 and ONNX
forms predict the same? Each evaluates the version that was materialized in its own run, otherwise the latest one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.errors import ModelVersionError
from bridge_assets.orchestration.assets.warehouse import warehouse_assets
from bridge_assets.orchestration.checks.inventory import REQUIRED_RAW_CHECKS
from bridge_assets.orchestration.checks.results import judged_result, measured
from bridge_assets.orchestration.gate.check_history import data_problems
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.model_chain import training_set_of, upstream_training_set, upstream_version
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    from bridge_assets.registry.model_version import ModelVersion


@contextmanager
def _version_to_judge(
    context: dg.AssetCheckExecutionContext, platform: Platform
) -> Iterator[tuple["ModelVersion", Judged]]:
    """The version whose stage this check evaluates, and what the check judges: every byte of it so far, and the limits.

    Raises
    ------
    ModelVersionError
        If the stage is incomplete or differs from the manifest, or a file changed while the check was reading.
    """
    from bridge_assets.deployment.gate.content import read_content

    [spec] = context.check_specs
    stage = spec.asset_key.to_user_string()
    model_version = upstream_version(context, platform, stage)
    model_version.verify_stage(stage)
    about = read_content(model_version).stages[stage]
    yield model_version, Judged(about, limits_of(spec.name, platform.model.gate))
    if read_content(model_version).stages.get(stage) != about:
        raise ModelVersionError(
            f"model version {model_version.version} changed while {spec.name} was reading it",
            where=model_version.folder,
            why="Another run may be writing it",
            do=f"run {stage} again together with its checks",
            stage=stage,
        )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description=(
        "Every check on the records and tables behind this training set was evaluated on exactly those bytes and "
        "passed. Catches checks that were left out of a run."
    ),
)
def input_checks_passed(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    training_data = upstream_training_set(context, platform)
    dbt_checks = [spec.key for spec in warehouse_assets(platform.data.home_folder).inventory.check_specs]
    problems = data_problems(context.instance, training_data.made_from["raw_bridges"], REQUIRED_RAW_CHECKS, dbt_checks)
    count = len(REQUIRED_RAW_CHECKS) * len(training_data.made_from["raw_bridges"]) + len(dbt_checks)
    return judged_result(
        context, Judged(training_data.digest), problems, f"{count} evaluations passed", evaluations=count
    )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description="The training split and the held-out split both contain inspections with and without a drop.",
)
def enough_training_data(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training import training_set

    training_data = upstream_training_set(context, platform)
    return judged_result(
        context,
        Judged(training_data.digest),
        training_set.size_problems(training_data),
        f"{training_data.table.height:,} inspections with a known outcome",
        **training_set.split_sizes(training_data),
    )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description=(
        "No feature is derived from the ratings published by FHWA, from the outcome or from the structure's identity; "
        "no structure is in both splits; every outcome used for training was known before the first held-out year."
    ),
)
def no_leakage(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training.leakage import leakage_problems

    training_data = upstream_training_set(context, platform)
    problems = leakage_problems(training_data.table, training_data.features)
    count = len(training_data.features)
    return judged_result(
        context, Judged(training_data.digest), problems, f"{count} features, none of them leaks", features=count
    )


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "On enough held-out structures in later years, the model ranks drops better than the rating table and its "
        "Brier score is better than that of the base rate (regression: it ranks changes better than the table, and its "
        'RMSE is smaller than that of "No change"). Both must hold at the lower end of a 95 % interval. Limits: `gate` '
        "in configs/model_config.yaml. The same is asked for ratings of 7 and less, and for bridges that become Poor."
    ),
)
def beats_baselines(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quality_problems
    from bridge_assets.models.evaluation.evaluate import evaluation_markdown, intervals_markdown
    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.metrics.parts import parts_markdown

    with _version_to_judge(context, platform) as (model_version, judged):
        evaluation = Evaluation.load(model_version.file("evaluation.json"))
    return judged_result(
        context,
        judged,
        quality_problems(evaluation, platform.model.gate),
        "better than both baselines",
        held_out=dg.MetadataValue.md(evaluation_markdown(evaluation)),
        intervals=dg.MetadataValue.md(intervals_markdown(evaluation)),
        **({"parts": dg.MetadataValue.md(parts_markdown(evaluation.parts))} if evaluation.parts else {}),
        **measured(evaluation.headline_metrics()),
    )


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "Predicted probabilities match observed frequencies: over ten groups of the held-out inspections, the "
        "calibration error exceeds that of a perfectly calibrated model by at most `gate.calibration_error` in "
        "configs/model_config.yaml (regression: predicted against mean observed change). Expected over observed falls, "
        "of all and of each rating with enough falls, is within `gate.calibration_ratio`, beyond chance."
    ),
)
def is_calibrated(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import calibration_problems
    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.metrics.parts import by_rating_markdown

    with _version_to_judge(context, platform) as (model_version, judged):
        evaluation = Evaluation.load(model_version.file("evaluation.json"))
    message = evaluation.calibration.summary if evaluation.calibration else ""
    figures = (
        {}
        if evaluation.calibration is None
        else {"error": evaluation.calibration.error, "excess": evaluation.calibration.excess}
    )
    by_rating = (
        {"by_rating": dg.MetadataValue.md(by_rating_markdown(evaluation.by_rating))} if evaluation.by_rating else {}
    )
    problems = calibration_problems(evaluation, platform.model.gate)
    return judged_result(context, judged, problems, message, **figures, **by_rating)


@dg.asset_check(
    asset="quantized_model",
    blocking=True,
    description="In float16, held-out predictions and AUC change by no more than `gate` in model_config.yaml allows.",
)
def quantization_parity(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quantization_problems
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.training.skops_file import load_model

    with _version_to_judge(context, platform) as (model_version, judged):
        training_data = training_set_of(model_version, platform)
        forest = load_model(model_version.verify_stage("bridge_model"))
        quantized = Float16Forest.load(model_version.verify_stage("quantized_model"))
    problems, difference, loss = quantization_problems(
        forest, quantized, training_data.table, training_data.features, platform.model.gate
    )
    return judged_result(
        context,
        judged,
        problems,
        f"largest difference {difference:.6f}, AUC lost {loss:.6f}",
        largest_difference=difference,
        auc_lost=loss,
    )


@dg.asset_check(
    asset="onnx_model",
    blocking=True,
    description=(
        "On inspections that both hold out, this version is not worse than the champion by AUC and Brier score "
        "(regression: by RMSE and rank correlation), within the `champion_..._loss` limits of `gate` in "
        "configs/model_config.yaml."
    ),
)
def not_worse_than_champion(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.deployment.gate.challenge import compare_with_champion
    from bridge_assets.errors import RegistryError

    with _version_to_judge(context, platform) as (model_version, judged):
        try:
            comparison = compare_with_champion(
                model_version, platform.lake, platform.registry, platform.data.home_folder, platform.model
            )
        except RegistryError as error:  # an unreadable champion cannot be compared with, so the check fails
            return judged_result(context, judged, [str(error)], "")
    return judged_result(
        context,
        replace(judged, champion=comparison.champion or ""),
        list(comparison.problems),
        comparison.message,
        beside=dg.MetadataValue.md(comparison.markdown()),
        inspections=comparison.inspections,
        **{f"gain_in_{metric}": gain for metric, gain in comparison.gains().items()},
    )


@dg.asset_check(
    asset="onnx_model",
    blocking=True,
    description=(
        "The ONNX graph predicts the same as the float16 forest: on rows of the training set, on random rows, and on "
        "rows with values exactly at the thresholds."
    ),
)
def onnx_parity(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.forest.onnx_parity import onnx_problems

    with _version_to_judge(context, platform) as (model_version, judged):
        forest = Float16Forest.load(model_version.verify_stage("quantized_model"))
        rows = training_set_of(model_version, platform).table.select(forest.features).head(5000).to_numpy()
        problems, difference = onnx_problems(
            forest, model_version.verify_stage("onnx_model"), rows, limit=platform.model.gate.onnx_difference
        )
    return judged_result(
        context, judged, problems, f"largest difference {difference:.2e}", largest_difference=difference
    )
