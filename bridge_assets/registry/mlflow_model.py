"""The files that let MLflow load a registered version: `MLmodel`, the code, an input example and the requirements.

They stand beside the version's own files and are not part of it: another release of bridge_assets may write them again.
They are written without a time or a random identifier, so that the same version gives the same files.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

from bridge_assets.models.tasks.names import PREDICTION_COLUMNS
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.storage import write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

_MODEL, _NORMALIZATION, _PROBE, _CARD = "model.onnx", "normalization.json", "probe.json", "model_card.json"
_LOADER = Path(__file__).with_name("mlflow_pyfunc.py")

#: Rows of the input example, taken from the probe; the first of them lacks a value.
_EXAMPLE_ROWS = 5

#: What the loader imports, pinned to what is installed where the version is registered.
_REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")


def loader_module() -> str:
    """Name of the module with the loader's code; other code has another name."""
    return f"bridge_assets_pyfunc_{hashlib.sha256(_LOADER.read_bytes()).hexdigest()[:12]}"


def log_mlflow_model(client: MlflowClient, run_id: str, model_version: ModelVersion) -> None:
    """Upload the files with which MLflow loads a version.

    `mlflow.pyfunc.load_model` then takes rows in natural units; `mlflow.onnx.load_model` gives the graph, which takes
    scaled rows. A version without a scaling or a probe gets only the latter.
    """
    if not model_version.file(_MODEL).is_file():
        return
    with tempfile.TemporaryDirectory() as created:
        folder = Path(created)
        _write_files(model_version, folder)
        # MLmodel last: MLflow finds no half-written model.
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == "MLmodel"):
            if path.is_file():
                parent = path.relative_to(folder).parent.as_posix()
                client.log_artifact(run_id, str(path), None if parent == "." else parent)


def _write_files(model_version: ModelVersion, folder: Path) -> None:
    from mlflow.models import Model

    flavors: dict[str, Any] = {
        "onnx": {"onnx_version": version("onnx"), "data": _MODEL, "providers": ["CPUExecutionProvider"]}
    }
    model = Model(utc_time_created=" ", model_uuid=model_version.stages.get("onnx_model", "")[:32], flavors=flavors)
    if model_version.file(_NORMALIZATION).is_file() and model_version.file(_PROBE).is_file():
        probe = json.loads(model_version.file(_PROBE).read_text(encoding="utf-8"))
        column = PREDICTION_COLUMNS[_task(model_version.file(_MODEL))]
        flavors["python_function"] = _write_code(folder)
        model.signature = _signature(probe["features"], column)
        model.metadata = _metadata(model_version, probe["features"], column)
        model.saved_input_example_info = _write_example(probe, folder)
    model.save(str(folder / "MLmodel"))


def _task(path: Path) -> str:
    import onnx

    outputs = {output.name for output in onnx.load(path, load_external_data=False).graph.output}
    return "classification" if "probabilities" in outputs else "regression"


def _write_code(folder: Path) -> dict[str, Any]:
    """Write the loader and its requirements; returns MLflow's description of them."""
    module = loader_module()
    write_text(_LOADER.read_text(encoding="utf-8"), folder / "code" / f"{module}.py")
    write_text("".join(f"{package}=={version(package)}\n" for package in _REQUIREMENTS), folder / "requirements.txt")
    environment = f"python: {python_version()}\nbuild_dependencies:\n- pip\ndependencies:\n- -r requirements.txt\n"
    write_text(environment, folder / "python_env.yaml")
    return {
        "loader_module": module,
        "code": "code",
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": python_version(),
    }


def _signature(features: list[str], column: str) -> ModelSignature:
    """Named columns, all of them required.

    Their type is `any`: for `double`, MLflow refuses a column of integers that a user wrote as such, ages for example.
    The loader refuses what is not a number, by row and feature.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name) for name in features]),
        outputs=Schema([ColSpec(DataType.float, column)]),
    )


def _metadata(model_version: ModelVersion, features: list[str], column: str) -> dict[str, Any]:
    """Unit and source of each feature, from the version's own model card: MLflow's schema has no place for them."""
    described: dict[str, dict[str, str]] = {}
    if model_version.file(_CARD).is_file():
        card = json.loads(model_version.file(_CARD).read_text(encoding="utf-8"))
        described = {feature["name"]: feature for feature in card.get("features", [])}
    known = ("unit", "source")
    return {
        "model_version": model_version.version,
        "features": {
            name: {"type": "number", **{key: described[name][key] for key in known if key in described.get(name, {})}}
            for name in features
        },
        "prediction": {column: {"unit": "probability, 0-1" if column == "fall_probability" else "rating points"}},
    }


def _write_example(probe: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write rows of the probe as an input example and as a request; returns MLflow's description of them."""
    table = {"columns": probe["features"], "data": probe["rows"][:_EXAMPLE_ROWS]}
    example, request = "input_example.json", "serving_input_example.json"
    write_text(json.dumps(table) + "\n", folder / example)
    write_text(json.dumps({"dataframe_split": table}, indent=2) + "\n", folder / request)
    return {"artifact_path": example, "pandas_orient": "split", "type": "dataframe", "serving_input_path": request}
