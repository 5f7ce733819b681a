"""The local endpoint: whatever happens, a whole version answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.local_endpoint import FEATURES, answers_as, assert_whole, change_a_byte, leftovers, snapshot

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import CanaryMismatch, DeploymentError
from bridge_assets.registry.model_version import Candidate
from bridge_assets.runtime.endpoint_folder import EndpointFolder, version_of
from bridge_assets.runtime.package import SERVED, content_name, served_digests
from bridge_assets.storage import digest

# Deploying


def test_a_deployed_version_answers_as_its_artifact_and_says_what_stands(endpoint, candidates):
    assert endpoint.current() is None
    deployment = endpoint.deploy(candidates[0])
    assert answers_as(endpoint, candidates[0])
    assert (deployment.target, deployment.version, deployment.previous) == ("local", candidates[0].version, None)
    assert deployment.canary.rows == 32
    assert deployment.canary.largest_difference == 0
    assert {path.name for path in Path(deployment.address).iterdir()} == {*SERVED, "manifest.json"}
    assert not leftovers(endpoint)


def test_what_is_served_comes_with_its_scale_and_what_it_was_trained_on(endpoint, candidates):
    endpoint.deploy(candidates[0])
    served = endpoint.served()
    assert (served.version, served.features_digest, served.training_years) == (
        candidates[0].version,
        "f" * 12,
        (2010, 2020),
    )
    assert served.normalization.features == served.predictor.features == FEATURES


def test_the_next_version_takes_over_and_the_one_before_stays(endpoint, candidates):
    endpoint.deploy(candidates[0])
    deployment = endpoint.deploy(candidates[1])
    assert answers_as(endpoint, candidates[1])
    assert deployment.previous == endpoint.previous() == candidates[0].version


def test_deploying_what_is_current_changes_nothing_but_sends_the_canary(endpoint, candidates):
    probe = json.loads(candidates[1].file("probe.json").read_text())
    probe["answers"][7] += 5e-7  # within the tolerance: shows that answers were compared
    candidates[1].file("probe.json").write_text(json.dumps(probe))
    candidates[1].record("onnx_model")
    endpoint.deploy(candidates[0])
    first = endpoint.deploy(candidates[1])
    before = snapshot(endpoint.root)
    again = endpoint.deploy(candidates[1])
    assert snapshot(endpoint.root) == before
    assert again == first
    assert again.previous == candidates[0].version
    assert again.canary.largest_difference == pytest.approx(5e-7)


def test_versions_beyond_those_kept_are_removed_and_named(tmp_path, candidates):
    endpoint = LocalEndpoint(tmp_path / "endpoint", keep=2)
    removed = [endpoint.deploy(candidate).removed for candidate in candidates]
    assert [[version_of(name) for name in names] for names in removed] == [
        [],
        [],
        [candidates[0].version],
        [candidates[1].version],
    ]
    assert {version_of(name) for name in EndpointFolder(endpoint.root).on_disk()} == {
        candidates[2].version,
        candidates[3].version,
    }
    assert not leftovers(endpoint)
    with pytest.raises(ValueError, match="at least 2"):
        LocalEndpoint(tmp_path, keep=1)


def test_a_version_exported_anew_with_other_bytes_is_taken_and_the_old_form_stays(endpoint, candidates):
    version, other = candidates[0], candidates[1]
    endpoint.deploy(version)
    for name in ("forest.safetensors", "model.onnx", "probe.json"):
        shutil.copyfile(other.file(name), version.file(name))
    version.record("quantized_model")
    version.record("onnx_model")
    endpoint.deploy(version)
    assert answers_as(endpoint, version)
    assert endpoint.previous() == version.version
    endpoint.rollback()
    assert endpoint.served().predictor.predict_proba(np.zeros((1, 4), dtype=np.float32)).shape == (1,)
    assert len(EndpointFolder(endpoint.root).on_disk()) == 2


def test_the_folder_can_be_moved(endpoint, candidates, tmp_path):
    endpoint.deploy(candidates[0])
    moved = LocalEndpoint(endpoint.root.rename(tmp_path / "elsewhere"))
    assert answers_as(moved, candidates[0])


# Refusing


def test_nothing_deployed_is_said_so(endpoint):
    for ask in (endpoint.served, endpoint.canary):
        with pytest.raises(DeploymentError, match=r"no model version is deployed.*materialise local_endpoint"):
            ask()
    with pytest.raises(DeploymentError, match="no previous version to go back to"):
        endpoint.rollback()


@pytest.mark.parametrize("damage", ["changed", "gone", "never made"])
def test_a_damaged_artifact_is_refused_before_anything_is_created(endpoint, candidates, damage):
    model = candidates[0].file("model.onnx")
    if damage == "changed":
        change_a_byte(model)
    elif damage == "gone":
        model.unlink()
    else:
        manifest = candidates[0].manifest
        del manifest["stages"]["onnx_model"]
        candidates[0].file("manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DeploymentError, match=r"cannot be deployed.*What to do: materialise onnx_model"):
        endpoint.deploy(candidates[0])
    assert not endpoint.root.exists()


@pytest.mark.parametrize("name", ["normalization.json", "probe.json"])
def test_an_incomplete_version_is_refused_before_anything_is_created(endpoint, candidates, name):
    candidates[0].file(name).unlink()
    with pytest.raises(DeploymentError, match=rf"(is not complete|cannot be deployed).*{name}"):
        endpoint.deploy(candidates[0])
    assert not endpoint.root.exists()


def wrong_model(candidate: Candidate, other: Candidate) -> None:
    for name in ("forest.safetensors", "model.onnx"):
        shutil.copyfile(other.file(name), candidate.file(name))
    candidate.record("quantized_model")
    candidate.record("onnx_model")


def wrong_answer(candidate: Candidate, other: Candidate) -> None:
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["answers"][7] += 2e-6
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record("onnx_model")


def features_in_another_order(candidate: Candidate, other: Candidate) -> None:
    scale = json.loads(candidate.file("normalization.json").read_text())
    scale["features"] = scale["features"][::-1]
    candidate.file("normalization.json").write_text(json.dumps(scale))


def another_feature(candidate: Candidate, other: Candidate) -> None:
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["features"][0] = "colour"
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record("onnx_model")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wrong_model, "answers are not the artifact's own"),
        (wrong_answer, "1 of 32 answers are not the artifact's own; row 7"),
        (features_in_another_order, "another order"),
        (another_feature, "colour, condition"),
    ],
)
def test_a_canary_that_comes_back_wrong_leaves_the_old_version_serving(endpoint, candidates, spoil, said):
    endpoint.deploy(candidates[0])
    before = snapshot(endpoint.root)
    spoil(candidates[1], candidates[2])
    with pytest.raises(CanaryMismatch, match=said):
        endpoint.deploy(candidates[1])
    assert snapshot(endpoint.root) == before
    assert answers_as(endpoint, candidates[0])


def test_a_graph_that_cannot_be_loaded_leaves_the_old_version_serving(endpoint, candidates):
    endpoint.deploy(candidates[0])
    candidates[1].file("model.onnx").write_bytes(b"this is no graph")
    candidates[1].record("onnx_model")
    with pytest.raises(DeploymentError, match="the model cannot be loaded"):
        endpoint.deploy(candidates[1])
    assert answers_as(endpoint, candidates[0])
    assert not leftovers(endpoint)


# Damage on the disk


@pytest.mark.parametrize("name", [*SERVED, "manifest.json"])
def test_served_bytes_that_changed_are_noticed_and_mended_by_deploying_again(endpoint, candidates, name):
    endpoint.deploy(candidates[0])
    copy = endpoint.root / "current" / name
    copy.write_bytes(b"{" if name == "manifest.json" else copy.read_bytes()[:-1] + b"?")
    with pytest.raises(DeploymentError, match=r"deploy the version again"):
        endpoint.canary()
    if name in ("model.onnx", "manifest.json"):
        with pytest.raises(DeploymentError, match=r"deploy the version again"):
            endpoint.served()
    endpoint.deploy(candidates[0])
    assert_whole(endpoint)
    assert answers_as(endpoint, candidates[0])
    assert not leftovers(endpoint)


def test_a_link_that_is_not_ours_is_left_alone(endpoint, candidates, tmp_path):
    endpoint.root.mkdir()
    (endpoint.root / "current").symlink_to(tmp_path)
    with pytest.raises(DeploymentError, match="this is no link of an endpoint"):
        endpoint.deploy(candidates[0])
    assert (endpoint.root / "current").readlink() == tmp_path


def test_an_unreadable_history_stops_no_answers_and_says_how_to_go_on(endpoint, candidates):
    endpoint.deploy(candidates[0])
    history = endpoint.root / "history.json"
    history.write_text('["')
    assert answers_as(endpoint, candidates[0])
    with pytest.raises(DeploymentError, match=r"history.*remove the file"):
        endpoint.deploy(candidates[1])
    assert answers_as(endpoint, candidates[0])
    history.unlink()
    assert endpoint.deploy(candidates[1]).previous == candidates[0].version


# Going back


def test_rollback_goes_back_step_by_step_and_then_says_that_there_is_nothing_left(endpoint, candidates):
    for candidate in candidates[:3]:
        endpoint.deploy(candidate)
    for candidate in (candidates[1], candidates[0]):
        assert endpoint.rollback().version == candidate.version
        assert answers_as(endpoint, candidate)
    assert endpoint.previous() is None
    with pytest.raises(DeploymentError, match=f"no previous version.*Current is {candidates[0].version}"):
        endpoint.rollback()
    assert answers_as(endpoint, candidates[0])


def test_rollback_to_a_named_version_in_both_directions(endpoint, candidates):
    for candidate in candidates[:3]:
        endpoint.deploy(candidate)
    assert endpoint.rollback(candidates[0].version).previous is None
    assert endpoint.rollback(candidates[2].version).previous == candidates[1].version
    assert answers_as(endpoint, candidates[2])
    with pytest.raises(DeploymentError, match=f"no version 'never'.*{candidates[1].version}"):
        endpoint.rollback("never")


def test_a_version_that_was_rolled_back_is_not_what_the_next_rollback_goes_to(endpoint, candidates):
    endpoint.deploy(candidates[0])
    endpoint.deploy(candidates[1])
    endpoint.rollback()
    assert endpoint.deploy(candidates[2]).previous == candidates[0].version


def test_rollback_to_a_damaged_version_is_refused(endpoint, candidates):
    endpoint.deploy(candidates[0])
    change_a_byte(endpoint.root / "current" / "model.onnx")
    endpoint.deploy(candidates[1])
    with pytest.raises(DeploymentError, match=r"model\.onnx is not what was deployed"):
        endpoint.rollback()
    assert answers_as(endpoint, candidates[1])


def test_the_name_of_a_package_tells_contents_apart(candidates):
    assert len({content_name(served_digests(candidate)) for candidate in candidates}) == 4


# The forest beside the graph


def test_a_whole_year_is_scored_by_the_forest_and_a_request_by_the_graph_alike(endpoint, candidates):
    endpoint.deploy(candidates[0])
    served = endpoint.served()
    draw = np.random.default_rng(3)
    year = pl.DataFrame(draw.normal(size=(20_000, len(FEATURES))).astype(np.float32), schema=list(FEATURES))
    by_forest = served.fall_probability(year)
    by_graph = served.fall_probability(year.head(2_000))
    assert served.forest is not None
    assert "packed" in vars(served.forest)  # its loops were asked
    assert by_forest.head(2_000).to_numpy() == pytest.approx(by_graph.to_numpy(), abs=1e-6)


def test_a_forest_of_another_graph_is_refused(endpoint, candidates):
    endpoint.deploy(candidates[0])
    shutil.copyfile(candidates[2].file("forest.safetensors"), candidates[1].file("forest.safetensors"))
    manifest = candidates[1].manifest
    manifest["stages"]["quantized_model"] = digest(candidates[1].file("forest.safetensors"))
    candidates[1].file("manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DeploymentError, match=r"forest\.safetensors and model\.onnx are not of one model"):
        endpoint.deploy(candidates[1])
    assert answers_as(endpoint, candidates[0])
