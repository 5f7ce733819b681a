"""The local endpoint: whatever happens, a complete version is served."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.deployment.local_endpoint import FEATURES, assert_consistent, corrupt_byte, is_serving, leftovers, snapshot

from bridge_assets.deployment.core.packing import pack, read_served_files
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import CanaryMismatch, DeploymentError, RegistryError
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.endpoint_folder import EndpointFolder, version_of
from bridge_assets.runtime.package import PACKAGE_FILES, content_digest
from bridge_assets.storage import digest

# Deploying


def test_a_deployed_version_predicts_what_its_artifact_did_and_reports_the_result(endpoint, model_versions):
    assert endpoint.current() is None
    deployment = endpoint.deploy(model_versions[0])
    assert is_serving(endpoint, model_versions[0])
    assert (deployment.target, deployment.version, deployment.previous) == ("local", model_versions[0].version, None)
    assert deployment.canary.rows == 32
    assert deployment.canary.largest_difference == 0
    assert {path.name for path in Path(deployment.address).iterdir()} == {*PACKAGE_FILES, "manifest.json"}
    assert not leftovers(endpoint)


def test_a_served_model_has_its_normalization_and_provenance(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    served = endpoint.load_model()
    assert (served.version, served.features_digest, served.training_years) == (
        model_versions[0].version,
        "f" * 12,
        (2010, 2020),
    )
    assert served.normalization.features == served.predictor.features == FEATURES


def test_the_next_version_takes_over_and_the_previous_one_is_kept(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    deployment = endpoint.deploy(model_versions[1])
    assert is_serving(endpoint, model_versions[1])
    assert deployment.previous == endpoint.previous() == model_versions[0].version


def test_deploying_the_current_version_changes_nothing_but_sends_the_canary(endpoint, model_versions):
    probe = json.loads(model_versions[1].file("probe.json").read_text())
    probe["answers"][7] += 5e-7  # within the tolerance: shows that predictions were compared
    model_versions[1].file("probe.json").write_text(json.dumps(probe))
    model_versions[1].record_stage("onnx_model")
    endpoint.deploy(model_versions[0])
    first = endpoint.deploy(model_versions[1])
    before = snapshot(endpoint.root)
    again = endpoint.deploy(model_versions[1])
    assert snapshot(endpoint.root) == before
    assert again == first
    assert again.previous == model_versions[0].version
    assert again.canary.largest_difference == pytest.approx(5e-7)


class RegistryDown(Exception):
    pass


@pytest.mark.parametrize("error", [RegistryDown, KeyboardInterrupt])
def test_whatever_fails_after_the_switch_switches_back(endpoint, model_versions, error):
    first, second = model_versions[:2]
    served_during_call = []

    def fail() -> None:
        served_during_call.append(endpoint.current())
        raise error

    with pytest.raises(error):
        endpoint.deploy(first, on_switched=fail)
    assert endpoint.current() is None
    endpoint.deploy(first)
    with pytest.raises(error):
        endpoint.deploy(second, on_switched=fail)
    assert served_during_call == [first.version, second.version]
    assert (endpoint.current(), endpoint.previous()) == (first.version, None)
    assert endpoint.load_model().version == first.version
    assert endpoint.deploy(second).previous == first.version


def test_deploying_the_current_version_again_still_calls_what_follows_the_switch(endpoint, model_versions):
    called = []
    for _ in range(2):
        endpoint.deploy(model_versions[0], on_switched=lambda: called.append(endpoint.current()))
    assert called == [model_versions[0].version] * 2


def test_versions_beyond_packages_kept_are_removed_and_listed(tmp_path, model_versions):
    endpoint = LocalEndpoint(tmp_path / "endpoint", packages_kept=2)
    removed = [endpoint.deploy(candidate).removed for candidate in model_versions]
    assert [[version_of(name) for name in names] for names in removed] == [
        [],
        [],
        [model_versions[0].version],
        [model_versions[1].version],
    ]
    assert {version_of(name) for name in EndpointFolder(endpoint.root).on_disk()} == {
        model_versions[2].version,
        model_versions[3].version,
    }
    assert not leftovers(endpoint)
    with pytest.raises(ValueError, match="at least 2"):
        LocalEndpoint(tmp_path, packages_kept=1)


def test_a_version_that_was_exported_again_with_other_bytes_is_deployed_and_the_old_package_is_kept(
    endpoint, model_versions
):
    version, other = model_versions[0], model_versions[1]
    endpoint.deploy(version)
    for name in ("forest.safetensors", "model.onnx", "probe.json"):
        shutil.copyfile(other.file(name), version.file(name))
    version.record_stage("quantized_model")
    version.record_stage("onnx_model")
    endpoint.deploy(version)
    assert is_serving(endpoint, version)
    assert endpoint.previous() == version.version
    endpoint.rollback()
    assert endpoint.load_model().predictor.predict_proba(np.zeros((1, 4), dtype=np.float32)).shape == (1,)
    assert len(EndpointFolder(endpoint.root).on_disk()) == 2


def test_the_folder_can_be_moved(endpoint, model_versions, tmp_path):
    endpoint.deploy(model_versions[0])
    moved = LocalEndpoint(endpoint.root.rename(tmp_path / "elsewhere"))
    assert is_serving(moved, model_versions[0])


# Refused versions


def test_an_empty_endpoint_is_reported(endpoint):
    for ask in (endpoint.load_model, endpoint.canary):
        with pytest.raises(
            DeploymentError, match=r"no model version is deployed.*deploy a version to the local endpoint"
        ):
            ask()
    with pytest.raises(DeploymentError, match="no previous version to roll back to"):
        endpoint.rollback()


@pytest.mark.parametrize("damage", ["changed", "gone", "never created"])
def test_a_damaged_artifact_is_refused_before_anything_is_created(endpoint, model_versions, damage):
    model = model_versions[0].file("model.onnx")
    if damage == "changed":
        corrupt_byte(model)
    elif damage == "gone":
        model.unlink()
    else:
        manifest = model_versions[0].manifest
        del manifest["stages"]["onnx_model"]
        model_versions[0].file("manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        DeploymentError, match=r"cannot be deployed.*What to do: export the model version to ONNX again"
    ):
        endpoint.deploy(model_versions[0])
    assert not endpoint.root.exists()


@pytest.mark.parametrize("name", ["normalization.json", "probe.json"])
def test_an_incomplete_version_is_refused_before_anything_is_created(endpoint, model_versions, name):
    model_versions[0].file(name).unlink()
    with pytest.raises(DeploymentError, match=rf"(is not complete|cannot be deployed).*{name}"):
        endpoint.deploy(model_versions[0])
    assert not endpoint.root.exists()


def wrong_model(candidate: ModelVersion, other: ModelVersion) -> None:
    for name in ("forest.safetensors", "model.onnx"):
        shutil.copyfile(other.file(name), candidate.file(name))
    candidate.record_stage("quantized_model")
    candidate.record_stage("onnx_model")


def wrong_answer(candidate: ModelVersion, other: ModelVersion) -> None:
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["answers"][7] += 2e-6
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record_stage("onnx_model")


def features_in_another_order(candidate: ModelVersion, other: ModelVersion) -> None:
    scale = json.loads(candidate.file("normalization.json").read_text())
    scale["features"] = scale["features"][::-1]
    candidate.file("normalization.json").write_text(json.dumps(scale))


def another_feature(candidate: ModelVersion, other: ModelVersion) -> None:
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["features"][0] = "colour"
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record_stage("onnx_model")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong_model, "predictions differ from the exported model's"),
        (wrong_answer, "1 of 32 predictions differ from the exported model's; row 7"),
        (features_in_another_order, "another order"),
        (another_feature, "colour, condition"),
    ],
)
def test_a_failed_canary_leaves_the_old_version_serving(endpoint, model_versions, spoil, message):
    endpoint.deploy(model_versions[0])
    before = snapshot(endpoint.root)
    spoil(model_versions[1], model_versions[2])
    with pytest.raises(CanaryMismatch, match=message):
        endpoint.deploy(model_versions[1])
    assert snapshot(endpoint.root) == before
    assert is_serving(endpoint, model_versions[0])


def test_a_graph_that_cannot_be_loaded_leaves_the_old_version_serving(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    model_versions[1].file("model.onnx").write_bytes(b"this is no graph")
    model_versions[1].record_stage("onnx_model")
    with pytest.raises(DeploymentError, match="the model cannot be loaded"):
        endpoint.deploy(model_versions[1])
    assert is_serving(endpoint, model_versions[0])
    assert not leftovers(endpoint)


# Damage on disk


@pytest.mark.parametrize("name", [*PACKAGE_FILES, "manifest.json"])
def test_damaged_served_files_are_detected_and_repaired_by_deploying_again(endpoint, model_versions, name):
    endpoint.deploy(model_versions[0])
    copy = endpoint.root / "current" / name
    copy.write_bytes(b"{" if name == "manifest.json" else copy.read_bytes()[:-1] + b"?")
    with pytest.raises(DeploymentError, match=r"deploy the version again"):
        endpoint.canary()
    if name in ("model.onnx", "manifest.json"):
        with pytest.raises(DeploymentError, match=r"deploy the version again"):
            endpoint.load_model()
    endpoint.deploy(model_versions[0])
    assert_consistent(endpoint)
    assert is_serving(endpoint, model_versions[0])
    assert not leftovers(endpoint)


def test_a_link_that_is_not_ours_is_left_alone(endpoint, model_versions, tmp_path):
    endpoint.root.mkdir()
    (endpoint.root / "current").symlink_to(tmp_path)
    with pytest.raises(DeploymentError, match="this is not the link of an endpoint"):
        endpoint.deploy(model_versions[0])
    assert (endpoint.root / "current").readlink() == tmp_path


def test_an_unreadable_history_does_not_stop_serving_and_has_a_remedy(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    history = endpoint.root / "history.json"
    history.write_text('["')
    assert is_serving(endpoint, model_versions[0])
    with pytest.raises(DeploymentError, match=r"history.*remove the file"):
        endpoint.deploy(model_versions[1])
    assert is_serving(endpoint, model_versions[0])
    history.unlink()
    assert endpoint.deploy(model_versions[1]).previous == model_versions[0].version


# Rollback


def test_rollback_goes_back_step_by_step_until_no_version_is_left(endpoint, model_versions):
    for candidate in model_versions[:3]:
        endpoint.deploy(candidate)
    for candidate in (model_versions[1], model_versions[0]):
        assert endpoint.rollback().version == candidate.version
        assert is_serving(endpoint, candidate)
    assert endpoint.previous() is None
    with pytest.raises(DeploymentError, match=f"no previous version.*current version is {model_versions[0].version}"):
        endpoint.rollback()
    assert is_serving(endpoint, model_versions[0])


def test_rollback_to_a_named_version_in_both_directions(endpoint, model_versions):
    for candidate in model_versions[:3]:
        endpoint.deploy(candidate)
    assert endpoint.rollback(model_versions[0].version).previous is None
    assert endpoint.rollback(model_versions[2].version).previous == model_versions[1].version
    assert is_serving(endpoint, model_versions[2])
    with pytest.raises(DeploymentError, match=f"cannot roll back to version 'never'.*{model_versions[1].version}"):
        endpoint.rollback("never")


def test_only_a_package_that_was_served_can_be_rolled_back_to(endpoint, model_versions):
    """A copied folder, a package whose promotion was refused, and one of a killed deployment never answered."""
    endpoint.deploy(model_versions[0])
    copied = pack(read_served_files(model_versions[1]), endpoint.root / "versions" / "copied")
    content = content_digest(copied.manifest["served"])
    copied.folder.rename(copied.folder.with_name(f"{model_versions[1].version}-{content}"))

    def refuse() -> None:
        raise RegistryError("the registry cannot be reached")

    with pytest.raises(RegistryError):
        endpoint.deploy(model_versions[2], on_switched=refuse)
    for candidate in model_versions[1:3]:
        with pytest.raises(DeploymentError, match="served here before, and on disk: " + model_versions[0].version):
            endpoint.rollback(candidate.version)
    assert is_serving(endpoint, model_versions[0])
    assert endpoint.previous() is None
    endpoint.deploy(model_versions[1])
    assert endpoint.rollback().version == model_versions[0].version
    assert endpoint.rollback(model_versions[1].version).version == model_versions[1].version


@pytest.mark.parametrize("step", ["before the switch", "after the switch"])
def test_a_rollback_that_the_registry_refuses_changes_nothing(endpoint, model_versions, step):
    for candidate in model_versions[:3]:
        endpoint.deploy(candidate)
    endpoint.rollback()
    before = snapshot(endpoint.root)
    seen = []

    def refuse() -> None:
        seen.append(endpoint.current())
        raise RegistryError("the registry cannot be reached")

    def prepare(manifest):
        assert manifest["version"] == model_versions[0].version
        return refuse if step == "after the switch" else refuse()

    with pytest.raises(RegistryError):
        endpoint.rollback(prepare=prepare)
    assert seen == [model_versions[step == "before the switch"].version]
    assert is_serving(endpoint, model_versions[1])
    assert snapshot(endpoint.root).keys() == before.keys()
    assert endpoint.previous() == model_versions[0].version
    assert endpoint.rollback(model_versions[2].version).version == model_versions[2].version


def test_the_next_rollback_does_not_return_to_a_version_that_was_rolled_back(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    endpoint.deploy(model_versions[1])
    endpoint.rollback()
    assert endpoint.deploy(model_versions[2]).previous == model_versions[0].version


def test_rollback_to_a_damaged_version_is_refused(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    corrupt_byte(endpoint.root / "current" / "model.onnx")
    endpoint.deploy(model_versions[1])
    with pytest.raises(DeploymentError, match=r"model\.onnx is not what was deployed"):
        endpoint.rollback()
    assert is_serving(endpoint, model_versions[1])


def test_nobody_else_can_read_what_is_deployed(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in endpoint.root.rglob("*") if not path.is_symlink()}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file() and path.name != ".lock"} == {0o600}


def test_packages_with_different_contents_have_different_names(model_versions):
    assert len({content_digest(read_served_files(candidate).digests) for candidate in model_versions}) == 4


# The forest and the graph


def test_the_forest_scores_a_year_with_the_same_predictions_as_the_graph(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    served = endpoint.load_model()
    draw = np.random.default_rng(3)
    year = pl.DataFrame(draw.normal(size=(20_000, len(FEATURES))).astype(np.float32), schema=list(FEATURES))
    by_forest = served.fall_probability(year)
    by_graph = served.fall_probability(year.head(2_000))
    assert served.forest is not None
    assert "packed" in vars(served.forest)  # its compiled loops were used
    assert by_forest.head(2_000).to_numpy() == pytest.approx(by_graph.to_numpy(), abs=1e-6)


def test_a_forest_that_does_not_match_the_graph_is_refused(endpoint, model_versions):
    endpoint.deploy(model_versions[0])
    shutil.copyfile(model_versions[2].file("forest.safetensors"), model_versions[1].file("forest.safetensors"))
    manifest = model_versions[1].manifest
    manifest["stages"]["quantized_model"] = digest(model_versions[1].file("forest.safetensors"))
    model_versions[1].file("manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DeploymentError, match=r"forest\.safetensors and model\.onnx belong to different models"):
        endpoint.deploy(model_versions[1])
    assert is_serving(endpoint, model_versions[0])
