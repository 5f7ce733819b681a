"""A registered version as those who use MLflow load it: in natural units, with named columns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pandas as pd
import polars as pl
import pytest
from support.model_versions import FEATURES, NAME, make_version

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.registry.mlflow_registry import LOADER_TAG, MlflowRegistry
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.registry.open_registry import open_registry
from bridge_assets.runtime.onnx_predictor import OnnxPredictor
from bridge_assets.runtime.probe import Probe
from bridge_assets.runtime.served_model import ServedModel
from bridge_assets.storage import write_json

URI = f"models:/{NAME}@champion"
UNITS = {"condition": "rating 0-9", "age": "year", "traffic": "log10(1/day)", "span": "m"}


def scaled_version(models: Path, seed: int = 0, **options) -> ModelVersion:
    version = make_version(models, seed, center=41.37, scale=17.3, **options)
    card = {"features": [{"name": name, "unit": UNITS[name], "source": "27", "reason": "-"} for name in FEATURES]}
    write_json(card, version.file("model_card.json"))
    version.record_stage("bridge_model")
    return version


def served_model(version: ModelVersion) -> ServedModel:
    normalization = Normalization.load(version.file("normalization.json"))
    return ServedModel(
        version.version, "f" * 12, (2010, 2020), normalization, OnnxPredictor(version.file("model.onnx"))
    )


def natural_rows(count: int, seed: int = 1) -> pl.DataFrame:
    """Rows in natural units; a fifth of the values is missing."""
    random = np.random.default_rng(seed)
    values = random.normal(41, 40, (count, len(FEATURES)))
    values[random.random(values.shape) < 0.2] = np.nan
    return pl.DataFrame(values, schema=list(FEATURES))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return scaled_version(tmp_path_factory.mktemp("trained") / "models")


@pytest.fixture(scope="module")
def registry(version: ModelVersion, empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    shutil.copyfile(empty_database, path)
    opened = open_registry(f"sqlite:///{path}", NAME)
    assert isinstance(opened, MlflowRegistry)
    opened.set_alias("champion", opened.register(version))
    return opened


@pytest.fixture
def mlflow(registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow as a user sets it up: with the registry's address, as the platform shows it."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.address)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    return mlflow


def test_rows_in_natural_units_give_the_served_probabilities(mlflow, version):
    loaded = mlflow.pyfunc.load_model(URI)
    probe = Probe.load(version.file("probe.json"))
    answers = loaded.predict(pd.DataFrame(probe.request_rows()))
    assert (answers.name, answers.dtype) == ("fall_probability", np.float32)
    assert answers.astype(float).tolist() == list(probe.answers)

    rows = natural_rows(3_000)
    expected = served_model(version).predict(rows).to_numpy()
    for table in (rows.to_pandas(), rows.select(reversed(FEATURES)).with_columns(more=pl.lit("text")).to_pandas()):
        assert (loaded.predict(table).to_numpy() == expected).all()
    assert expected.std() > 0.01


def test_a_regression_predicts_the_change(version, registry, mlflow, tmp_path):
    regression = scaled_version(tmp_path / "models", 7, task="regression")
    loaded = mlflow.pyfunc.load_model(registry.register(regression).uri)
    rows = natural_rows(200)
    assert (loaded.predict(rows.to_pandas()).to_numpy() == served_model(regression).predict(rows).to_numpy()).all()
    assert loaded.metadata.get_output_schema().input_names() == ["expected_change"]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([40, 7]),
        pd.Series([40, 7], dtype="int8"),
        pd.Series([40, 7], dtype="float32"),
        pd.Series([40.0, 7.0], dtype="Float64"),
        pd.Series([40, 7], dtype="Int64"),
        pd.Series([40, 7], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_integers_and_floats_of_any_width_are_numbers(mlflow, version, column):
    rows = pd.DataFrame({"condition": [6.0, 5.0], "age": column, "traffic": [3.5, None], "span": [True, False]})
    expected = served_model(version).predict(
        pl.DataFrame({"condition": [6.0, 5.0], "age": [40, 7], "traffic": [3.5, None], "span": [1, 0]})
    )
    assert mlflow.pyfunc.load_model(URI).predict(rows).tolist() == expected.to_list()


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, np.nan, pd.NaT])
def test_a_missing_value_is_filled_as_in_training(mlflow, version, missing):
    rows = pd.DataFrame({"condition": [6], "age": [missing], "traffic": [3], "span": [20]})
    filled = pl.DataFrame({"condition": [6], "age": [None], "traffic": [3], "span": [20]})
    expected = served_model(version).predict(filled.cast(pl.Float64)).to_list()
    assert mlflow.pyfunc.load_model(URI).predict(rows).tolist() == expected


def test_a_wrong_column_is_refused_by_name(mlflow):
    loaded = mlflow.pyfunc.load_model(URI)
    rows = natural_rows(3).to_pandas()
    with pytest.raises(mlflow.MlflowException, match="age"):
        loaded.predict(rows.rename(columns={"age": "Age"}))
    with pytest.raises(mlflow.MlflowException, match="condition"):
        loaded.predict(rows.to_numpy())
    for value, found in (("old", r"str 'old'"), (float("inf"), "too large"), (1e39, "too large"), (1e30, "too large")):
        with pytest.raises(mlflow.MlflowException, match=rf"row 1: feature age: expected a number.*{found}"):
            loaded.predict(rows.astype(object).assign(age=[1, value, 3]))
    with pytest.raises(mlflow.MlflowException, match="row 0: feature age: expected a number"):
        loaded.predict(rows.assign(age=pd.to_datetime("2020-01-01")))


def test_the_signature_has_names_and_the_metadata_units(mlflow, version):
    model = mlflow.models.get_model_info(URI)
    assert model.signature.inputs.input_names() == list(FEATURES)
    assert model.signature.inputs.required_input_names() == list(FEATURES)
    assert model.signature.outputs.input_names() == ["fall_probability"]
    assert {name: each["unit"] for name, each in model.metadata["features"].items()} == UNITS
    assert model.metadata["model_version"] == version.version
    loaded = mlflow.pyfunc.load_model(URI)
    probe = Probe.load(version.file("probe.json"))
    assert loaded.predict(loaded.input_example).tolist() == list(probe.answers[:5])


def test_the_onnx_flavor_stays(mlflow, version):
    graph = mlflow.onnx.load_model(URI).graph
    assert graph.input[0].name == "X"


def test_no_installed_bridge_assets_is_needed(mlflow, version, tmp_path):
    """In a process where neither bridge_assets nor polars can be imported."""
    program = f"""
import sys
sys.modules["bridge_assets"] = sys.modules["polars"] = None
import mlflow
mlflow.set_tracking_uri({mlflow.get_tracking_uri()!r})
loaded = mlflow.pyfunc.load_model({URI!r})
print(loaded.predict(loaded.input_example).tolist())
"""
    environment = {**os.environ, "PYTHONPATH": "", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == list(Probe.load(version.file("probe.json")).answers[:5])


def test_files_of_two_versions_are_not_mixed(mlflow, registry, version, tmp_path):
    downloaded = Path(mlflow.artifacts.download_artifacts(URI, dst_path=str(tmp_path / "copy")))
    scale = json.loads((downloaded / "normalization.json").read_text())
    write_json({**scale, "scale": [value * 1.7 for value in scale["scale"]]}, downloaded / "normalization.json")
    with pytest.raises(mlflow.MlflowException, match=r"\d+ of 32 predictions for probe\.json differ"):
        mlflow.pyfunc.load_model(str(downloaded))
    write_json({**scale, "features": scale["features"][::-1]}, downloaded / "normalization.json")
    with pytest.raises(mlflow.MlflowException, match="belong to different versions"):
        mlflow.pyfunc.load_model(str(downloaded))


def test_a_version_of_an_older_release_is_read_and_gets_the_loader_when_registered_again(
    mlflow, registry, version, tmp_path
):
    other = scaled_version(tmp_path / "models", 5)
    registered = registry.register(other)
    # An older release wrote an MLmodel without a loader of its own, and no tag.
    folder = Path(registry.client.get_run(registered.run_id).info.artifact_uri.removeprefix("file://"))
    shutil.rmtree(folder / "code")
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    data: model.onnx\n    loader_module: mlflow.onnx\nmodel_uuid: x\n"
    )
    registry.client.delete_model_version_tag(NAME, str(registered.version_number), LOADER_TAG)
    [found] = [each for each in registry.versions() if each.version == other.version]
    assert found.files == registered.files

    assert registry.register(other).version_number == registered.version_number
    rows = natural_rows(50)
    answers = mlflow.pyfunc.load_model(registered.uri).predict(rows.to_pandas())
    assert (answers.to_numpy() == served_model(other).predict(rows).to_numpy()).all()


def test_mlflow_evaluates_it(mlflow, version, tmp_path):
    rows = natural_rows(100).to_pandas()
    rows["fall"] = np.random.default_rng(3).random(len(rows)) < 0.3
    # The default experiment stores its plots in the current folder.
    experiment = mlflow.create_experiment("evaluation", artifact_location=tmp_path.as_uri())
    with mlflow.start_run(experiment_id=experiment):
        result = mlflow.models.evaluate(
            URI,
            rows.astype({"fall": float}),
            targets="fall",
            model_type="regressor",
            evaluator_config={"explainability_nsamples": 10},
        )
    expected = served_model(version).predict(pl.from_pandas(rows.drop(columns="fall"))).to_numpy()
    brier = float(np.mean((expected - rows["fall"].to_numpy()) ** 2))
    assert result.metrics["mean_squared_error"] == pytest.approx(brier, rel=1e-6)


@pytest.fixture(scope="module")
def scoring_server(registry: MlflowRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow models serve` of the champion, with the packages that are installed."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow starts uvicorn by its name
    environment = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": registry.address}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", URI, "-p", str(port), "-h", "127.0.0.1"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [*command, "--env-manager", "local"], cwd=folder, env=environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{address}/ping", timeout=1):
                    break
            except OSError:
                if time.monotonic() > deadline or running.poll() is not None:
                    pytest.fail(f"mlflow models serve did not start: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.3)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(20)


def post(address: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_mlflow_serves_it(scoring_server, version):
    probe = Probe.load(version.file("probe.json"))
    for body in (
        {"dataframe_records": probe.request_rows()},
        {"dataframe_split": {"columns": list(probe.features), "data": [list(row) for row in probe.rows]}},
    ):
        answers = post(scoring_server, body)["predictions"]
        assert [answer["fall_probability"] for answer in answers] == pytest.approx(list(probe.answers), abs=1e-9)
    whole = [{"condition": 6, "age": 40, "traffic": 3, "span": 20}]
    expected = served_model(version).predict(pl.DataFrame(whole)).to_list()
    [answer] = post(scoring_server, {"dataframe_records": whole})["predictions"]
    assert answer["fall_probability"] == pytest.approx(expected[0], abs=1e-9)
    for row, message in (({"condition": 6}, "age"), ({**whole[0], "age": "old"}, "row 0: feature age")):
        with pytest.raises(HTTPError) as refused:
            post(scoring_server, {"dataframe_records": [row]})
        assert refused.value.code == 400
        assert message in refused.value.read().decode()
