"""Is this model version good, and is each of its forms what it was made from? These checks are the gate."""

import dagster as dg

from bridge_assets.orchestration.assets.warehouse import inventory_models
from bridge_assets.orchestration.checks.inventory import RELIED_ON
from bridge_assets.orchestration.gate.check_history import data_problems, judged
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.model_version import latest


def _verdict(problems: list[str], otherwise: str, about: str, **metadata) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems[:20]) or otherwise,
        metadata=judged(about, **metadata),
    )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description=(
        "Every check on the records and tables that this training set was made from was evaluated on those very "
        "bytes, and passed. A check that was left out of a run shows up here."
    ),
)
def inputs_passed_their_checks(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training import training_set

    made = training_set.read(platform.lake)
    dbt_checks = [spec.key for spec in inventory_models.check_specs]
    problems = data_problems(context.instance, made.made_from["raw_bridges"], RELIED_ON, dbt_checks)
    count = len(RELIED_ON) * len(made.made_from["raw_bridges"]) + len(dbt_checks)
    return _verdict(problems, f"{count} evaluations passed", made.digest)


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description="There are inspections to train on and held-out ones, in both some that fell and some that did not.",
)
def enough_to_learn_from(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training import training_set

    made = training_set.read(platform.lake)
    return _verdict(
        training_set.size_problems(made), f"{made.table.height:,} inspections with a known outcome", made.digest
    )


@dg.asset_check(
    asset="training_set",
    blocking=True,
    description=(
        "No feature is a function of the ratings published by FHWA, of the outcome or of the identity; no structure "
        "is on both sides of the split; nothing trained on became known after the first held-out year."
    ),
)
def no_leakage(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.training import training_set
    from bridge_assets.models.training.leakage import leakage_problems

    made = training_set.read(platform.lake)
    problems = leakage_problems(made.table, made.features)
    return _verdict(problems, f"{len(made.features)} features, none of them forbidden", made.digest)


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "On held-out structures in later years, enough of them, the model ranks falls better than the rating table "
        "and its probabilities are nearer to what happened than the base rate (a regression: it ranks changes better "
        "than the table, and its RMSE is smaller than that of no change), both by more than chance: the lower end of a "
        "95 % interval counts. Limits: `gate` in configs/model_config.yaml."
    ),
)
def beats_baselines(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quality_problems
    from bridge_assets.models.evaluation.evaluate import intervals_markdown, markdown_table
    from bridge_assets.models.evaluation.record import Evaluation

    candidate = latest(platform.data.models_folder)
    candidate.verify("bridge_model")
    evaluation = Evaluation.load(candidate.file("evaluation.json"))
    problems = quality_problems(evaluation, platform.model.gate)
    return _verdict(
        problems,
        "better than both baselines",
        candidate.stages["bridge_model"],
        held_out=dg.MetadataValue.md(markdown_table(evaluation)),
        intervals=dg.MetadataValue.md(intervals_markdown(evaluation)),
    )


@dg.asset_check(
    asset="bridge_model",
    blocking=True,
    description=(
        "Probabilities come true: by tenths of the held-out inspections, they are no farther from the share that fell "
        "(expected changes: from the mean change) than perfect ones would be, give or take `gate.calibration_error` in "
        "configs/model_config.yaml."
    ),
)
def probabilities_come_true(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import calibration_problems
    from bridge_assets.models.evaluation.record import Evaluation

    candidate = latest(platform.data.models_folder)
    candidate.verify("bridge_model")
    found = Evaluation.load(candidate.file("evaluation.json"))
    said = found.calibration.said if found.calibration else ""
    figures = (
        {} if found.calibration is None else {"error": found.calibration.error, "excess": found.calibration.excess}
    )
    return _verdict(calibration_problems(found, platform.model.gate), said, candidate.stages["bridge_model"], **figures)


@dg.asset_check(
    asset="quantized_model",
    blocking=True,
    description="In float16 no held-out answer moves, and no AUC is lost, beyond `gate` in model_config.yaml.",
)
def keeps_the_probabilities(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.evaluation.acceptance import quantization_problems
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.training import training_set
    from bridge_assets.models.training.skops_file import load_model

    candidate = latest(platform.data.models_folder)
    made = training_set.read(platform.lake)
    forest = load_model(candidate.verify("bridge_model"))
    quantized = Float16Forest.load(candidate.verify("quantized_model"))
    problems, difference, loss = quantization_problems(
        forest, quantized, made.table, made.features, platform.model.gate
    )
    return _verdict(
        problems,
        f"largest difference {difference:.6f}, AUC lost {loss:.6f}",
        candidate.stages["quantized_model"],
        largest_difference=difference,
        auc_lost=loss,
    )


@dg.asset_check(
    asset="onnx_model",
    blocking=True,
    description=(
        "On the inspections that both hold out, this version is not worse than the champion, by AUC and Brier score (a "
        "regression: by RMSE and rank correlation), beyond the `champion_..._loss` of `gate` in "
        "configs/model_config.yaml."
    ),
)
def not_worse_than_champion(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.deployment.gate.challenge import against_champion
    from bridge_assets.errors import RegistryError

    candidate = latest(platform.data.models_folder)
    candidate.verify("onnx_model")
    about = candidate.stages["onnx_model"]
    try:
        found = against_champion(candidate, platform.lake, platform.registry, platform.data.home_folder, platform.model)
    except RegistryError as error:  # a damaged champion, or a registry that does not answer, proves nothing
        return _verdict([str(error)], "", about)
    beside = dg.MetadataValue.md(found.markdown())
    return _verdict(list(found.problems), found.said, about, champion=found.champion or "", beside=beside)


@dg.asset_check(
    asset="onnx_model",
    blocking=True,
    description=(
        "The ONNX graph takes the float16 forest's decisions: on the training set's rows, on random ones, and on rows "
        "that lie exactly on thresholds."
    ),
)
def parity(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.forest.onnx_parity import onnx_problems
    from bridge_assets.models.training import training_set

    candidate = latest(platform.data.models_folder)
    forest = Float16Forest.load(candidate.verify("quantized_model"))
    rows = training_set.read(platform.lake).table.select(forest.features).head(5000).to_numpy()
    problems, difference = onnx_problems(
        forest, candidate.verify("onnx_model"), rows, limit=platform.model.gate.onnx_difference
    )
    return _verdict(
        problems, f"largest difference {difference:.2e}", candidate.stages["onnx_model"], largest_difference=difference
    )
