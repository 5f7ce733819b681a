"""The checks that the gate requires: is the training data sound, is the model good enough, do its float16 and ONNX
forms predict the same? Each evaluates the version that was materialized in its own run, otherwise the latest one.
"""

import dagster as dg

from bridge_assets.orchestration.assets.warehouse import warehouse_assets
from bridge_assets.orchestration.checks.inventory import REQUIRED_RAW_CHECKS
from bridge_assets.orchestration.checks.results import check_result, measured
from bridge_assets.orchestration.gate.check_history import CHAMPION_KEY, data_problems, judged_metadata
from bridge_assets.orchestration.model_chain import training_set_of, upstream_training_set, upstream_version
from bridge_assets.orchestration.resources import Platform


def _check_result(problems: list[str], passed_message: str, digest: str, **metadata) -> dg.AssetCheckResult:
    return check_result(problems, passed_message, judged_metadata(digest, **metadata))


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
    return _check_result(problems, f"{count} evaluations passed", training_data.digest, evaluations=count)


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description="The training split and the held-out split both contain inspections with and without a drop.",
)
def enough_training_data(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training import training_set

    training_data = upstream_training_set(context, platform)
    return _check_result(
        training_set.size_problems(training_data),
        f"{training_data.table.height:,} inspections with a known outcome",
        training_data.digest,
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
    return _check_result(problems, f"{count} features, none of them leaks", training_data.digest, features=count)


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "On enough held-out structures in later years, the model ranks drops better than the rating table and its "
        "Brier score is better than that of the base rate (regression: it ranks changes better than the table, and its "
        'RMSE is smaller than that of "No change"). Both must hold at the lower end of a 95 % interval. Limits: `gate` '
        "in configs/model_config.yaml."
    ),
)
def beats_baselines(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quality_problems
    from bridge_assets.models.evaluation.evaluate import evaluation_markdown, intervals_markdown
    from bridge_assets.models.evaluation.record import Evaluation

    model_version = upstream_version(context, platform, "bridge_model")
    model_version.verify_stage("bridge_model")
    evaluation = Evaluation.load(model_version.file("evaluation.json"))
    problems = quality_problems(evaluation, platform.model.gate)
    return _check_result(
        problems,
        "better than both baselines",
        model_version.stages["bridge_model"],
        held_out=dg.MetadataValue.md(evaluation_markdown(evaluation)),
        intervals=dg.MetadataValue.md(intervals_markdown(evaluation)),
        **measured(evaluation.headline_metrics()),
    )


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "Predicted probabilities match observed frequencies: over ten groups of the held-out inspections, the "
        "calibration error exceeds that of a perfectly calibrated model by at most `gate.calibration_error` in "
        "configs/model_config.yaml (regression: predicted against mean observed change)."
    ),
)
def is_calibrated(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import calibration_problems
    from bridge_assets.models.evaluation.record import Evaluation

    model_version = upstream_version(context, platform, "bridge_model")
    model_version.verify_stage("bridge_model")
    evaluation = Evaluation.load(model_version.file("evaluation.json"))
    message = evaluation.calibration.summary if evaluation.calibration else ""
    figures = (
        {}
        if evaluation.calibration is None
        else {"error": evaluation.calibration.error, "excess": evaluation.calibration.excess}
    )
    return _check_result(
        calibration_problems(evaluation, platform.model.gate), message, model_version.stages["bridge_model"], **figures
    )


@dg.asset_check(
    asset="quantized_model",
    blocking=True,
    description="In float16, held-out predictions and AUC change by no more than `gate` in model_config.yaml allows.",
)
def quantization_parity(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quantization_problems
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.training.skops_file import load_model

    model_version = upstream_version(context, platform, "quantized_model")
    training_data = training_set_of(model_version, platform)
    forest = load_model(model_version.verify_stage("bridge_model"))
    quantized = Float16Forest.load(model_version.verify_stage("quantized_model"))
    problems, difference, loss = quantization_problems(
        forest, quantized, training_data.table, training_data.features, platform.model.gate
    )
    return _check_result(
        problems,
        f"largest difference {difference:.6f}, AUC lost {loss:.6f}",
        model_version.stages["quantized_model"],
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

    model_version = upstream_version(context, platform, "onnx_model")
    model_version.verify_stage("onnx_model")
    digest = model_version.stages["onnx_model"]
    try:
        comparison = compare_with_champion(
            model_version, platform.lake, platform.registry, platform.data.home_folder, platform.model
        )
    except RegistryError as error:  # an unreadable champion cannot be compared with, so the check fails
        return _check_result([str(error)], "", digest)
    return _check_result(
        list(comparison.problems),
        comparison.message,
        digest,
        **{CHAMPION_KEY: comparison.champion or ""},
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

    model_version = upstream_version(context, platform, "onnx_model")
    forest = Float16Forest.load(model_version.verify_stage("quantized_model"))
    rows = training_set_of(model_version, platform).table.select(forest.features).head(5000).to_numpy()
    problems, difference = onnx_problems(
        forest, model_version.verify_stage("onnx_model"), rows, limit=platform.model.gate.onnx_difference
    )
    return _check_result(
        problems,
        f"largest difference {difference:.2e}",
        model_version.stages["onnx_model"],
        largest_difference=difference,
    )
