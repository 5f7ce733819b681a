"""One model version, stage by stage: trained, in float16, as ONNX, registered. Every stage writes into the version's
folder.
"""

import dagster as dg
from pydantic import Field

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.features import training_set
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.gate import overrides
from bridge_assets.orchestration.gate.check_history import ask_gate
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.resources import Platform
from bridge_assets.registry.model_version import latest, open_candidate


class RegisterConfig(dg.Config):
    """How to register."""

    override_reason: str = Field(
        default="",
        description=(
            "Register although it is worse than the champion, and why: at least ten characters. The reason is kept "
            "with the version and as a tag of the run. The endpoint asks for a reason of its own."
        ),
    )


@dg.asset(
    deps=[training_set],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
    kinds={"scikitlearn"},
    description=(
        "A random forest that gives the probability that a bridge's condition falls at its next inspection (or what "
        "`target` and `task` in model_config.yaml ask for), judged on held-out structures in later years and at "
        "earlier cut years, beside its baselines, with intervals, by group, with a model card. Its version names its "
        "content: the same training set, settings and libraries give the same version."
    ),
)
def bridge_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.features.definitions import FAMILIES
    from bridge_assets.models.evaluation import evaluate, importance, model_card, plots, rolling_origin
    from bridge_assets.models.forest.quantize import quantize_rf
    from bridge_assets.models.metrics.groups import group_keys, groups_markdown
    from bridge_assets.models.training import train_forest, training_set
    from bridge_assets.storage import digest as digest_of_file
    from bridge_assets.storage import replacing

    settings = platform.model
    with explained():
        made = training_set.read(platform.lake)
        recipe = train_forest.recipe(made.features, settings.forest) | {
            "features_digest": made.made_from["features_digest"]
        }
        candidate = open_candidate(platform.data.models_folder, made.digest, recipe, made.made_from)
        made.normalization.save(candidate.file("normalization.json"))
        forest = train_forest.train_forest(made.table, made.features, settings.forest)
        train_forest.save_model(forest, candidate.file("model.skops"))
        answers = train_forest.holdout_answers(forest, made.table, made.features)
        evaluation = evaluate.evaluate(
            made.table,
            answers,
            oracle=_oracle(platform, made),
            features=made.features,
            keys=group_keys(evaluate.holdout_rows(made.table), platform.lake),
            rolling=rolling_origin.rolling_origin(made.table, made.features, settings, context.log.info),
            importance=importance.permutation_importance(
                quantize_rf(forest),
                made.table,
                {family: [each.name for each in features] for family, features in FAMILIES.items()},
                settings.evaluation,
            ),
            settings=settings.evaluation,
        )
        pictures = {
            "calibration.png": plots.calibration_plot_png(made.table, answers),
            "importance.png": plots.importance_plot_png(evaluation.importance),
            "earlier_cuts.png": plots.cuts_plot_png(evaluation),
        }
        for name, picture in pictures.items():
            with replacing(candidate.file(name)) as aside:
                aside.write_bytes(picture)
        evaluation.save(candidate.file("evaluation.json"))
        card = model_card.model_card(
            settings.name,
            candidate.version,
            recipe,
            made,
            evaluation,
            source=_source(platform),
            model_digest=digest_of_file(candidate.file("model.skops")),
            is_sample=platform.data.uses_sample,
        )
        text = model_card.save(card, candidate.folder)
        digest = candidate.record("bridge_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate.version),
        metadata={
            "model_version": candidate.version,
            "foresees": card["foresees"]["in_words"],
            "held_out": dg.MetadataValue.md(evaluate.markdown_table(evaluation)),
            "intervals": dg.MetadataValue.md(evaluate.intervals_markdown(evaluation)),
            "calibration": evaluation.calibration.said if evaluation.calibration else "nothing was held out",
            "earlier_cuts": dg.MetadataValue.md(rolling_origin.rolling_markdown(evaluation.rolling)),
            "earlier_cuts_plot": display.plot(pictures["earlier_cuts.png"]),
            "by_group": dg.MetadataValue.md(groups_markdown(evaluation.groups)),
            "model_card": dg.MetadataValue.md(text),
            "plot": display.plot(pictures["calibration.png"]),
            "goes_by": dg.MetadataValue.md(importance.importance_markdown(evaluation.importance)),
            "goes_by_plot": display.plot(pictures["importance.png"]),
            **{name: value for name, value in evaluation.figures().items() if value is not None},
            "digest": digest,
            "folder": display.file(candidate.folder),
        },
    )


@dg.asset(
    deps=[bridge_model],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
    kinds={"numpy", "safetensors"},
    description=(
        "The forest of bridge_model in float16: thresholds rounded down to float16's grid, on which the features lie, "
        "so that every decision stays what it was; only the probabilities in the leaves are rounded."
    ),
)
def quantized_model(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.forest.quantize import quantize_rf
    from bridge_assets.models.training.skops_file import load_model

    with explained():
        candidate = latest(platform.data.models_folder)
        source = candidate.verify("bridge_model")
        forest = quantize_rf(load_model(source))
        path = forest.save(candidate.file("forest.safetensors"))
        digest = candidate.record("quantized_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:12]),
        metadata={
            "model_version": candidate.version,
            "megabytes": round(path.stat().st_size / 1e6, 3),
            "megabytes_before": round(source.stat().st_size / 1e6, 3),
            "digest": digest,
            "file": display.file(path),
        },
    )


@dg.asset(
    deps=[quantized_model, training_set],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
    kinds={"model", "onnx"},
    description=(
        "The float16 forest as an ONNX graph: what every endpoint serves. Beside it a probe: rows and the answers "
        "that an endpoint must give to them before it takes traffic."
    ),
)
def onnx_model(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.forest.onnx_export import export_to_onnx
    from bridge_assets.models.training import training_set
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor
    from bridge_assets.runtime.probe import write_probe

    with explained():
        candidate = latest(platform.data.models_folder)
        forest = Float16Forest.load(candidate.verify("quantized_model"))
        rows = training_set.read(platform.lake).table.select(forest.features).head(256).to_numpy()
        path = export_to_onnx(forest, rows, candidate.file("model.onnx"))
        normalization = Normalization.load(candidate.file("normalization.json"))
        write_probe(OnnxPredictor(path).answers, normalization, rows, candidate.file("probe.json"))
        digest = candidate.record("onnx_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest[:12]),
        metadata={
            "model_version": candidate.version,
            "megabytes": round(path.stat().st_size / 1e6, 3),
            "digest": digest,
            "file": display.file(path),
        },
    )


@dg.asset(
    deps=[onnx_model],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
    kinds={"mlflow"},
    description=(
        "The model version in the registry (MLflow or DVC), with its files, held-out figures, digests and what the "
        "gate found, under the alias `challenger`; refused where it is worse than the champion on the same held-out "
        "inspections. It becomes `champion` when the local endpoint takes it."
    ),
)
def registered_model(
    context: dg.AssetExecutionContext, config: RegisterConfig, platform: Platform
) -> dg.MaterializeResult:
    from bridge_assets.deployment.gate.challenge import against_champion, judged_against
    from bridge_assets.deployment.gate.decision import let_through
    from bridge_assets.registry.register import register_version

    home = platform.data.home_folder
    with explained():
        candidate = latest(platform.data.models_folder)
        found = against_champion(candidate, platform.lake, platform.registry, home, platform.model)
        override = let_through(judged_against(candidate, found, context.run.run_id), config.override_reason)
        notes = {
            f"gate.{finding.requirement.asset}.{finding.requirement.check}": f"{finding.state} {finding.said}".strip()
            for finding in ask_gate(context.instance, candidate).findings
        }
        if override:
            overrides.record(context, f"registering although worse than the champion. {found.said}", override)
            notes["override_reason"] = override.reason
        registered = register_version(candidate, platform.registry, home, platform.model.name, notes=notes)
        dvc_md5 = registered.notes.get("dvc_md5", "")
        if platform.model.registry != "dvc" and platform.dvc.on and platform.dvc.models:
            from bridge_assets.data.dvc.versions import version_model

            dvc_md5 = version_model(candidate.folder, platform.dvc)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate.version),
        metadata={
            **({"dvc_md5": dvc_md5} if dvc_md5 else {}),
            "model_version": candidate.version,
            "registered_as": f"{registered.name} version {registered.version_number}",
            "mlflow_run_id": registered.run_id,
            "registry": registered.uri,
            "champion": found.champion or "",
            "beside_champion": dg.MetadataValue.md(found.markdown()),
            "override_reason": override.reason if override else "",
        },
    )


def _oracle(platform: Platform, made):
    """The sample's true fall probabilities, one a row of the table; None with real files and where something else is
    foreseen.
    """
    import polars as pl

    from bridge_assets.models.tasks.tasks import CLASSIFICATION, task_of

    is_known = (made.made_from.get("target", "fall"), made.made_from.get("component", "condition")) == (
        "fall",
        "condition",
    ) and task_of(made.table) is CLASSIFICATION
    if not (is_known and platform.data.uses_sample and platform.data.oracle_file.is_file()):
        return None
    truth = pl.read_parquet(platform.data.oracle_file).select("structure_key", "survey_year", "fall_probability")
    joined = made.table.join(truth, on=["structure_key", "survey_year"], how="left", maintain_order="left")
    return joined["fall_probability"]


def _source(platform: Platform) -> str:
    """Where the survey files came from, in words: no path of this machine."""
    from bridge_assets.data.sources.local_copies import shown

    data = platform.data
    if data.uses_sample:
        return "the generated sample inventory"
    return f"the folder {data.source_folder.name}" if data.source_kind == "folder" else shown(data.source)
