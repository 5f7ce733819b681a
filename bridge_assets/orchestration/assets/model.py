"""The assets that build a model version: bridge_model, quantized_model, onnx_model and registered_model. Each writes
its files to the version's folder and passes the version on (`orchestration.model_chain`).
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.features import training_set
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate import overrides
from bridge_assets.orchestration.gate.check_history import gate_decision
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.model_chain import training_set_of, upstream_training_set, upstream_version
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.model_version import ModelVersion, create_or_resume

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.training.training_set import TrainingSet


class RegisterConfig(dg.Config):
    """Options of a registration."""

    override_reason: str = Field(
        default="",
        description=(
            "Reason for registering this version although it is worse than the champion (at least ten characters). The "
            "reason is stored with the version and as a tag of the run. Deploying the version needs its own reason."
        ),
    )


@dg.asset(
    deps=[training_set],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"scikitlearn"},
    description=(
        "A random forest that predicts how likely a bridge's condition is to drop at its next inspection (or another "
        "outcome, set by `target` and `task` in model_config.yaml). Evaluated on held-out structures in later years "
        "and at earlier cut-off years, against baselines, with confidence intervals, by group, and with a model card. "
        "The version is a digest of its inputs: the same training set, settings and libraries give the same version."
    ),
)
def bridge_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.evaluation import model_card
    from bridge_assets.models.training import train_forest
    from bridge_assets.storage import digest as digest_of_file

    settings = platform.model
    with user_errors_as_failures():
        training_data = upstream_training_set(context, platform)
        training_recipe = train_forest.training_recipe(training_data.features, settings.forest) | {
            "features_digest": training_data.made_from["features_digest"]
        }
        model_version = create_or_resume(
            platform.data.models_folder, training_data.digest, training_recipe, training_data.made_from
        )
        context.log.info(f"training {settings.forest.trees} trees on {training_data.table.height:,} inspections")
        forest = train_forest.train_forest(training_data.table, training_data.features, settings.forest)
        predictions = train_forest.holdout_predictions(forest, training_data.table, training_data.features)
        evaluation = _evaluate(context, platform, training_data, forest, predictions)
        plots = _plots(training_data, predictions, evaluation)

        training_data.normalization.save(model_version.file("normalization.json"))
        train_forest.save_model(forest, model_version.file("model.skops"))
        evaluation.save(model_version.file("evaluation.json"))
        _save_plots(plots, model_version)
        card = model_card.model_card(
            settings.name,
            model_version.version,
            training_recipe,
            training_data,
            evaluation,
            source=_source_description(platform),
            model_digest=digest_of_file(model_version.file("model.skops")),
            is_sample=platform.data.uses_sample,
        )
        card_text = model_card.save_card(card, model_version.folder)
        digest = model_version.record_stage("bridge_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model_version.version),
        metadata={
            "model_version": model_version.version,
            "predicts": card["predicts"]["in_words"],
            "model_card": dg.MetadataValue.md(card_text),
            **_evaluation_metadata(evaluation, plots),
            "digest": digest,
            "folder": display.path_metadata(model_version.folder),
            **display.dashboard_metadata(platform.dashboard, "model"),
        },
    )


@dg.asset(
    deps=[bridge_model],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"numpy", "safetensors"},
    description=(
        "The random forest of bridge_model in float16. Features are already rounded to float16, and thresholds are "
        "rounded down to it, so every split decides as before; only the probabilities in the leaves are rounded."
    ),
)
def quantized_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.forest.quantize import quantize_rf
    from bridge_assets.models.training.skops_file import load_model

    with user_errors_as_failures():
        model_version = upstream_version(context, platform, "bridge_model")
        source = model_version.verify_stage("bridge_model")
        forest = quantize_rf(load_model(source))
        path = forest.save(model_version.file("forest.safetensors"))
        digest = model_version.record_stage("quantized_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:12]),
        metadata={
            "model_version": model_version.version,
            "megabytes": round(path.stat().st_size / 1e6, 3),
            "megabytes_unquantized": round(source.stat().st_size / 1e6, 3),
            "digest": digest,
            "file": display.path_metadata(path),
        },
    )


@dg.asset(
    deps=[quantized_model, training_set],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"model", "onnx"},
    description=(
        "The float16 forest as an ONNX graph, which every endpoint serves. Comes with a probe: sample rows and the "
        "predictions that an endpoint must return for them before it takes traffic."
    ),
)
def onnx_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.forest.onnx_export import export_to_onnx
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.probe import write_probe

    with user_errors_as_failures():
        model_version = upstream_version(context, platform, "quantized_model")
        forest = Float16Forest.load(model_version.verify_stage("quantized_model"))
        rows = training_set_of(model_version, platform).table.select(forest.features).head(256).to_numpy()
        path = export_to_onnx(forest, rows, model_version.file("model.onnx"))
        normalization = Normalization.load(model_version.file("normalization.json"))
        write_probe(OnnxPredictor(path).predict, normalization, rows, model_version.file("probe.json"))
        digest = model_version.record_stage("onnx_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:12]),
        metadata={
            "model_version": model_version.version,
            "megabytes": round(path.stat().st_size / 1e6, 3),
            "digest": digest,
            "file": display.path_metadata(path),
        },
    )


@dg.asset(
    deps=[onnx_model],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"mlflow"},
    description=(
        "The model version in the registry (MLflow or DVC) under the alias `challenger`, with its files, held-out "
        "metrics, digests and gate results. Refused if it is worse than the champion on the same held-out "
        "inspections. It becomes `champion` when the local endpoint serves it."
    ),
)
def registered_model(
    context: dg.AssetExecutionContext, config: RegisterConfig, platform: Platform
) -> dg.MaterializeResult:
    from bridge_assets.deployment.gate.challenge import champion_decision, compare_with_champion
    from bridge_assets.deployment.gate.content import read_content
    from bridge_assets.deployment.gate.decision import require_open_gate
    from bridge_assets.orchestration.metadata.registry import registry_metadata
    from bridge_assets.registry.register import configured_registry, register_version

    home = platform.data.home_folder
    with user_errors_as_failures():
        model_version = upstream_version(context, platform, "onnx_model")
        comparison = compare_with_champion(model_version, platform.lake, platform.registry, home, platform.model)
        content, limits = read_content(model_version), platform.model.gate
        override = require_open_gate(
            champion_decision(content, comparison, context.run.run_id, limits), config.override_reason
        )
        tags = {
            f"gate.{finding.requirement.asset}.{finding.requirement.check}": f"{finding.state} "
            f"{finding.message}".strip()
            for finding in gate_decision(context.instance, content, comparison.champion or "", limits).findings
        }
        if override:
            overrides.record_override(
                context,
                f"registering although worse than the champion. {comparison.message}",
                override,
                platform.outbox,
                platform.environment.alerts,
            )
            tags["override_reason"] = override.reason
        registered = register_version(model_version, platform.registry, home, platform.model.name, tags=tags)
        dvc_md5 = registered.tags.get("dvc_md5", "")
        if platform.model.registry != "dvc" and platform.dvc.enabled and platform.dvc.models:
            from bridge_assets.data.dvc.versions import version_model

            dvc_md5 = version_model(model_version.folder, platform.dvc)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model_version.version),
        metadata={
            **({"dvc_md5": dvc_md5} if dvc_md5 else {}),
            "model_version": model_version.version,
            "registered_as": f"{registered.name} version {registered.version_number}",
            "mlflow_run_id": registered.run_id,
            **registry_metadata(configured_registry(platform.registry, home, platform.model.name), registered),
            "champion": comparison.champion or "",
            "champion_comparison": dg.MetadataValue.md(comparison.markdown()),
            "override_reason": override.reason if override else "",
        },
    )


def _evaluate(
    context: dg.AssetExecutionContext,
    platform: Platform,
    training_data: "TrainingSet",
    forest: "RandomForestClassifier",
    predictions: "np.ndarray",
) -> "Evaluation":
    """Evaluate the forest on the held-out inspections: against the baselines, by group and by cut-off year."""
    from bridge_assets.data.features.definitions import FAMILIES
    from bridge_assets.models.evaluation import evaluate, importance, rolling_origin
    from bridge_assets.models.forest.quantize import quantize_rf
    from bridge_assets.models.metrics.groups import group_keys

    table, settings = training_data.table, platform.model
    context.log.info("evaluating on held-out inspections: earlier cut years, feature importance, baselines, intervals")
    feature_names_by_family = {family: [each.name for each in features] for family, features in FAMILIES.items()}
    return evaluate.evaluate(
        table,
        predictions,
        oracle=_oracle_probabilities(platform, training_data),
        features=training_data.features,
        keys=group_keys(evaluate.holdout_rows(table), platform.lake),
        rolling=rolling_origin.rolling_origin(table, training_data.features, settings, context.log.info),
        importance=importance.permutation_importance(
            quantize_rf(forest), table, feature_names_by_family, settings.evaluation
        ),
        settings=settings.evaluation,
    )


def _plots(training_data: "TrainingSet", predictions: "np.ndarray", evaluation: "Evaluation") -> dict[str, bytes]:
    """File name -> PNG."""
    from bridge_assets.models.evaluation import plots

    return {
        "calibration.png": plots.calibration_plot_png(training_data.table, predictions),
        "importance.png": plots.importance_plot_png(evaluation.importance),
        "rolling_origin.png": plots.rolling_origin_plot_png(evaluation),
    }


def _save_plots(plots: dict[str, bytes], model_version: ModelVersion) -> None:
    from bridge_assets.storage import atomic_write

    for name, png in plots.items():
        with atomic_write(model_version.file(name)) as temporary:
            temporary.write_bytes(png)


def _evaluation_metadata(evaluation: "Evaluation", plots: dict[str, bytes]) -> dict[str, Any]:
    """The evaluation for the UI: tables, plots, and the headline metrics that Dagster plots over time."""
    from bridge_assets.models.evaluation.evaluate import evaluation_markdown, intervals_markdown
    from bridge_assets.models.evaluation.importance import importance_markdown
    from bridge_assets.models.evaluation.rolling_origin import rolling_markdown
    from bridge_assets.models.metrics.groups import groups_markdown
    from bridge_assets.models.metrics.parts import by_rating_markdown, parts_markdown

    return {
        "held_out": dg.MetadataValue.md(evaluation_markdown(evaluation)),
        "intervals": dg.MetadataValue.md(intervals_markdown(evaluation)),
        "calibration": evaluation.calibration.summary if evaluation.calibration else "nothing was held out",
        "plot": display.image_metadata(plots["calibration.png"]),
        "rolling_origin": dg.MetadataValue.md(rolling_markdown(evaluation.rolling)),
        "rolling_origin_plot": display.image_metadata(plots["rolling_origin.png"]),
        "parts": dg.MetadataValue.md(parts_markdown(evaluation.parts)),
        "by_rating": dg.MetadataValue.md(by_rating_markdown(evaluation.by_rating)),
        "by_group": dg.MetadataValue.md(groups_markdown(evaluation.groups)),
        "feature_importance": dg.MetadataValue.md(importance_markdown(evaluation.importance)),
        "feature_importance_plot": display.image_metadata(plots["importance.png"]),
        **{name: value for name, value in evaluation.headline_metrics().items() if value is not None},
    }


def _oracle_probabilities(platform: Platform, training_data: "TrainingSet") -> "pl.Series | None":
    """The true fall probabilities of the generated sample, one per row of the table; None for real files, or if the
    model predicts something else.
    """
    import polars as pl

    from bridge_assets.models.tasks.tasks import CLASSIFICATION, task_of_table

    made_from = training_data.made_from
    predicts_fall = (made_from.get("target", "fall"), made_from.get("component", "condition")) == ("fall", "condition")
    is_known = predicts_fall and task_of_table(training_data.table) is CLASSIFICATION
    if not (is_known and platform.data.uses_sample and platform.data.oracle_file.is_file()):
        return None
    truth = pl.read_parquet(platform.data.oracle_file).select("structure_key", "survey_year", "fall_probability")
    joined = training_data.table.join(truth, on=["structure_key", "survey_year"], how="left", maintain_order="left")
    return joined["fall_probability"]


def _source_description(platform: Platform) -> str:
    """A description of where the survey files came from, without any path on this machine."""
    from bridge_assets.data.sources.local_copies import redact_url

    data = platform.data
    if data.uses_sample:
        return "the generated sample inventory"
    return f"the folder {data.source_folder.name}" if data.source_kind == "folder" else redact_url(data.source)
