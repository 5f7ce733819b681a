"""One model version, stage by stage: trained, in float16, as ONNX, registered. Every stage writes into the version's
folder.
"""

import dagster as dg

from bridge_assets.models.candidate import latest, open_candidate
from bridge_assets.orchestration import display, groups
from bridge_assets.orchestration.assets.features import training_set
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    deps=[training_set],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
    kinds={"scikitlearn"},
    description=(
        "A random forest that gives the probability that a bridge's condition falls at its next inspection, judged on "
        "held-out structures in later years and printed beside its baselines. Its version names its content: the same "
        "training set, settings and libraries give the same version."
    ),
)
def bridge_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models import evaluate, train, training_set

    with explained():
        made = training_set.read(platform.lake)
        candidate = open_candidate(
            platform.data.models_folder,
            made.digest,
            train.recipe(made.features, platform.model.forest) | {"features_digest": made.made_from["features_digest"]},
            made.made_from,
        )
        made.normalization.save(candidate.file("normalization.json"))
        forest = train.train_forest(made.table, made.features, platform.model.forest)
        train.save_model(forest, candidate.file("model.skops"))
        probability = train.holdout_probability(forest, made.table, made.features)
        evaluation = evaluate.evaluate(made.table, probability, oracle=_oracle(platform, made.table))
        evaluation.save(candidate.file("evaluation.json"))
        digest = candidate.record("bridge_model")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate.version),
        metadata={
            "model_version": candidate.version,
            "held_out": dg.MetadataValue.md(evaluate.markdown_table(evaluation)),
            "plot": display.plot(evaluate.calibration_plot_png(made.table, probability)),
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
    from bridge_assets.models.quantization import quantize_rf
    from bridge_assets.models.train import load_model

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
    from bridge_assets.deployment.base import write_probe
    from bridge_assets.models import training_set
    from bridge_assets.models.export_onnx import export_to_onnx
    from bridge_assets.models.predict import OnnxPredictor
    from bridge_assets.models.quantization import Float16Forest

    with explained():
        candidate = latest(platform.data.models_folder)
        forest = Float16Forest.load(candidate.verify("quantized_model"))
        rows = training_set.read(platform.lake).table.select(forest.features).head(256).to_numpy()
        path = export_to_onnx(forest, rows, candidate.file("model.onnx"))
        write_probe(OnnxPredictor(path), rows, candidate.file("probe.json"))
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
        "The model version in the MLflow registry, with its artifacts, held-out figures and digests, under the alias "
        "`challenger`. It becomes `champion` when the local endpoint takes it."
    ),
)
def registered_model(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.register import register_version

    with explained():
        candidate = latest(platform.data.models_folder)
        registered = register_version(candidate, platform.mlflow, platform.data.home_folder, platform.model.name)
        versioned = {}
        if platform.dvc.on and platform.dvc.models:
            from bridge_assets.data.dvc_integration import version_model

            versioned = {"dvc_md5": version_model(candidate.folder, platform.dvc)}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(candidate.version),
        metadata={
            **versioned,
            "model_version": candidate.version,
            "registered_as": f"{registered.name} version {registered.version_number}",
            "mlflow_run_id": registered.run_id,
            "registry": registered.uri,
        },
    )


def _oracle(platform: Platform, table):
    """The sample's true fall probabilities, one a row of the table; None with real files."""
    import polars as pl

    if not (platform.data.uses_sample and platform.data.oracle_file.is_file()):
        return None
    truth = pl.read_parquet(platform.data.oracle_file).select("structure_key", "survey_year", "fall_probability")
    return table.join(truth, on=["structure_key", "survey_year"], how="left", maintain_order="left")["fall_probability"]
