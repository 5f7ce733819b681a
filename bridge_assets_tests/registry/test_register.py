from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.dvc_program import require_dvc

from bridge_assets.errors import ModelVersionError, RegistryError
from bridge_assets.models.evaluation.evaluate import evaluate
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.training.skops_file import save_model
from bridge_assets.models.training.train_forest import holdout_predictions, training_recipe
from bridge_assets.registry.base import RegisteredVersion
from bridge_assets.registry.model_version import ModelVersion, create_or_resume
from bridge_assets.registry.register import fetch_by_alias, find_by_alias, promote, register_version
from bridge_assets.settings import CONFIG_FOLDER_VARIABLE, DvcSettings, ForestSettings, MlflowSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
SETTINGS = MlflowSettings()


def make_candidate(models: Path, model, training, seed: int = 0) -> ModelVersion:
    made_from = {"survey_years": [2008, 2021], "features_digest": "f" * 12}
    candidate = create_or_resume(models, "a" * 64, training_recipe(FEATURES, ForestSettings(seed=seed)), made_from)
    save_model(model, candidate.file("model.skops"))
    evaluate(training, holdout_predictions(model, training, FEATURES)).save(candidate.file("evaluation.json"))
    candidate.record_stage("bridge_model")
    forest = quantize_rf(model)
    forest.save(candidate.file("forest.safetensors"))
    candidate.record_stage("quantized_model")
    export_to_onnx(forest, training.head(5), candidate.file("model.onnx"))
    candidate.record_stage("onnx_model")
    return candidate


def mlflow_client(home: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=SETTINGS.uri(home), registry_uri=SETTINGS.uri(home))


def runs(home: Path):
    client = mlflow_client(home)
    experiment = client.get_experiment_by_name(SETTINGS.experiment)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def found_uri(home: Path, alias: str) -> str:
    found = find_by_alias(SETTINGS, home, "bridge_fall", alias)
    assert found is not None
    return found.uri


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """One database for all tests that do not interfere with each other: creating one takes seconds."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def candidate(home, model, training) -> ModelVersion:
    return make_candidate(home / "models", model, training)


@pytest.fixture(scope="module")
def registered(candidate, home) -> RegisteredVersion:
    return register_version(candidate, SETTINGS, home, "bridge_fall")


def test_a_version_is_registered_with_its_recipe_and_metrics(registered, candidate, home):
    assert (registered.name, registered.version_number, registered.uri) == ("bridge_fall", 1, "models:/bridge_fall/1")
    client = mlflow_client(home)
    version = client.get_model_version("bridge_fall", "1")
    assert version.tags["bridge_assets_version"] == candidate.version
    assert version.tags["bridge_assets_onnx_model"] == candidate.stages["onnx_model"]
    run = client.get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.forest.trees"] == "200"
    assert run.data.params["made_from.features_digest"] == "f" * 12
    assert 0.5 < run.data.metrics["scores.model.auc"] < 1
    assert int(client.get_model_version_by_alias("bridge_fall", "challenger").version) == 1


def test_its_files_are_stored_unchanged_in_the_home(registered, candidate, home):
    folder = Path(str(mlflow_client(home).get_run(registered.run_id).info.artifact_uri).removeprefix("file://"))
    assert folder.is_relative_to(home / "mlartifacts")
    stored = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "MLmodel"}
    assert stored == {path.name: path.read_bytes() for path in candidate.folder.iterdir()}
    assert "model.onnx" in stored


def test_without_a_scaling_mlflow_loads_only_the_graph(registered, candidate, home, training):
    from mlflow import MlflowException, onnx, pyfunc

    uri = mlflow_client(home).get_run(registered.run_id).info.artifact_uri
    assert uri
    graph = onnx.load_model(uri).graph
    assert graph.input[0].name == "X"
    assert [output.name for output in graph.output] == ["label", "probabilities"]
    # Rows in natural units must not be taken for scaled ones.
    with pytest.raises(MlflowException, match='does not have the "python_function" flavor'):
        pyfunc.load_model(uri)


def test_the_training_data_is_logged(registered, candidate, home):
    inputs = mlflow_client(home).get_run(registered.run_id).inputs
    assert inputs
    [used] = inputs.dataset_inputs
    assert used.dataset.name == "training_set"
    assert json.loads(used.dataset.source)["sha256"] == candidate.stages["training_set"]
    assert json.loads(used.dataset.profile or "") == {"survey_years": [2008, 2021]}


def test_results_of_the_gate_are_tagged_and_updated(registered, candidate, home):
    for state in ("failed: too large", "passed"):
        tagged = register_version(candidate, SETTINGS, home, "bridge_fall", tags={"gate.onnx_model.parity": state})
        assert tagged.tags == {"gate.onnx_model.parity": state}
        assert tagged.version_number == registered.version_number
    assert mlflow_client(home).get_model_version("bridge_fall", "1").tags["gate.onnx_model.parity"] == "passed"


def test_a_registered_version_is_downloaded_and_verified(registered, candidate, home, tmp_path):
    fetched = fetch_by_alias(SETTINGS, home, "bridge_fall", "challenger", tmp_path, exclude=("model.skops",))
    assert fetched is not None
    assert fetched.verify_stage("onnx_model").read_bytes() == candidate.file("model.onnx").read_bytes()
    assert not fetched.file("model.skops").exists()
    assert fetch_by_alias(SETTINGS, home, "bridge_fall", "unknown", tmp_path) is None


def test_registering_again_finds_the_same_version(registered, candidate, home):
    before = len(runs(home))
    assert register_version(candidate, SETTINGS, home, "bridge_fall").uri == registered.uri
    assert len(runs(home)) == before
    assert len(mlflow_client(home).search_model_versions("name = 'bridge_fall'")) == 1


def test_registering_again_moves_the_alias_back(registered, candidate, home, model, training):
    other = register_version(make_candidate(home / "models", model, training, seed=1), SETTINGS, home, "bridge_fall")
    assert other.version_number == registered.version_number + 1
    assert found_uri(home, "challenger") == other.uri
    assert register_version(candidate, SETTINGS, home, "bridge_fall").uri == registered.uri
    assert found_uri(home, "challenger") == registered.uri


def test_a_registered_version_is_promoted(registered, candidate, home):
    assert find_by_alias(SETTINGS, home, "bridge_fall", "champion") is None
    assert promote(candidate, SETTINGS, home, "bridge_fall").uri == registered.uri
    assert promote(candidate, SETTINGS, home, "bridge_fall").uri == registered.uri
    assert found_uri(home, "champion") == registered.uri


def test_an_unregistered_version_is_not_promoted(registered, candidate, home):
    with pytest.raises(RegistryError, match=r"is not registered as elsewhere, so it cannot become its champion"):
        promote(candidate, SETTINGS, home, "elsewhere")
    assert find_by_alias(SETTINGS, home, "elsewhere", "champion") is None


def test_telemetry_is_disabled(registered):
    import mlflow.telemetry

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert mlflow.telemetry.get_telemetry_client() is None


def test_a_failed_registration_is_marked_as_failed_and_can_be_repeated(model, training, tmp_path):
    candidate = make_candidate(tmp_path / "models", model, training)
    (tmp_path / "mlartifacts").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="mlartifacts"):
        register_version(candidate, SETTINGS, tmp_path, "bridge_fall")
    assert [run.info.status for run in runs(tmp_path)] == ["FAILED"]
    assert mlflow_client(tmp_path).search_model_versions() == []
    (tmp_path / "mlartifacts").unlink()
    assert register_version(candidate, SETTINGS, tmp_path, "bridge_fall").version_number == 1
    assert sorted(run.info.status for run in runs(tmp_path)) == ["FAILED", "FINISHED"]

    # An experiment whose artifacts are elsewhere, as after moving the home folder.
    client = mlflow_client(tmp_path)
    client.create_experiment("moved", artifact_location=(tmp_path / "old_home" / "mlartifacts").as_uri())
    other = make_candidate(tmp_path / "models", model, training, seed=1)
    with pytest.raises(RegistryError, match="or the home folder was moved"):
        register_version(other, MlflowSettings(experiment="moved"), tmp_path, "bridge_fall")


def test_an_incomplete_version_is_not_registered(model, training, tmp_path):
    candidate = make_candidate(tmp_path / "models", model, training)
    candidate.file("model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelVersionError, match="has changed since it was written"):
        register_version(candidate, SETTINGS, tmp_path, "bridge_fall")
    incomplete = create_or_resume(tmp_path / "models", "b" * 64, {}, {})
    with pytest.raises(ModelVersionError, match="has no bridge_model"):
        register_version(incomplete, SETTINGS, tmp_path, "bridge_fall")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_with_dvc_settings_a_version_is_registered_in_dvc(model, training, tmp_path, monkeypatch):
    require_dvc()
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv(CONFIG_FOLDER_VARIABLE, str(tmp_path / "configs"))
    settings, home = DvcSettings(remote="remote"), tmp_path / "var"
    candidate = make_candidate(home / "models", model, training)
    assert find_by_alias(settings, home, "bridge_fall", "challenger") is None
    registered = register_version(candidate, settings, home, "bridge_fall", tags={"gate.onnx_model.parity": "passed"})
    assert (registered.uri, registered.version_number) == (str(candidate.folder), 1)
    assert registered.tags["dvc_md5"] in candidate.folder.with_name(f"{candidate.version}.dvc").read_text()
    assert register_version(candidate, settings, home, "bridge_fall").version_number == 1
    assert promote(candidate, settings, home, "bridge_fall").uri == registered.uri
    for alias in ("challenger", "champion"):
        fetched = fetch_by_alias(settings, home, "bridge_fall", alias, tmp_path / alias)
        assert fetched is not None
        assert fetched.verify_stage("onnx_model").read_bytes() == candidate.file("model.onnx").read_bytes()
    assert not (home / "mlflow.db").exists()
