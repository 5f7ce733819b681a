"""The archive for a remote endpoint: complete, reproducible, and refused if a byte is wrong."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile

import pytest
from support.deployment.local_endpoint import corrupt_byte, exchange

from bridge_assets.deployment.core.bundle import BUNDLE_FILES, bundle_of
from bridge_assets.deployment.core.tags import check_owner, deployment_tags, history_from_tags
from bridge_assets.deployment.core.target import version_of
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.errors import DeploymentError, OwnershipError
from bridge_assets.runtime.package import PACKAGE_FILES, Package


def test_the_same_version_gives_the_same_bytes_and_another_version_another_slot(model_versions):
    first, again, other = (
        bundle_of(model_versions[0]),
        bundle_of(model_versions[0].folder),
        bundle_of(model_versions[1]),
    )
    assert first.archive == again.archive
    assert first.slot == again.slot != other.slot
    assert len(first.slot) == 26
    assert version_of(first.slot) == model_versions[0].version


def test_the_archive_is_a_package_with_the_code_that_serves_it(model_versions, tmp_path):
    bundle = bundle_of(model_versions[0])
    with tarfile.open(fileobj=io.BytesIO(bundle.archive)) as tar:
        assert sorted(tar.getnames()) == sorted([*BUNDLE_FILES, "manifest.json", "code.zip"])
        tar.extractall(tmp_path / "there", filter="data")
    assert Package(tmp_path / "there").canary().largest_difference == 0
    code = "import bridge_assets.runtime.onnx_predictor as found; print(found.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, 'code.zip'); {code}"],
        cwd=tmp_path / "there",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "code.zip/bridge_assets/runtime/onnx_predictor.py" in found.stdout
    assert bundle.unpack(tmp_path / "again").joinpath("code.zip").is_file()


def test_a_bundle_has_the_bytes_that_were_read_and_no_later_ones(model_versions):
    bundle = bundle_of(model_versions[0])
    before, archive = dict(bundle.contents), bundle_of(model_versions[0]).archive
    for name in (*BUNDLE_FILES, "manifest.json"):
        corrupt_byte(model_versions[0].file(name))
    assert bundle.contents == before
    assert bundle.archive == archive


def test_a_changed_byte_is_refused(model_versions):
    corrupt_byte(model_versions[0].file("model.onnx"))
    with pytest.raises(DeploymentError, match="cannot be deployed"):
        bundle_of(model_versions[0])


@pytest.mark.parametrize("name", [*PACKAGE_FILES, "manifest.json"])
def test_only_the_bytes_that_the_gate_decided_about_are_bundled(model_versions, name):
    candidate = model_versions[0]
    judged = read_content(candidate).files
    assert bundle_of(candidate, judged).slot == bundle_of(candidate).slot
    with pytest.raises(DeploymentError, match=rf"{re.escape(name)} of model version \w+ changed while it was being"):
        bundle_of(candidate, {**judged, name: "0" * 64})


def test_files_exchanged_together_with_the_manifest_are_refused_after_the_decision(model_versions):
    judged = read_content(model_versions[0]).files
    exchange(model_versions[0], model_versions[1])
    assert bundle_of(model_versions[0])  # the manifest agrees with the files
    with pytest.raises(DeploymentError, match="the gate decided about"):
        bundle_of(model_versions[0], judged)


def test_tags_store_the_history_and_the_owner():
    history = ("m1-a", "m2-b", "m3-c")
    tags = deployment_tags("bridge-assets", history)
    assert history_from_tags(tags) == history
    assert history_from_tags({}) == ()
    assert all(len(value) <= 63 for pair in tags.items() for value in pair)
    check_owner(tags, "bridge-assets", "the endpoint x", "there")
    for others in ({}, deployment_tags("somebody-else")):
        with pytest.raises(OwnershipError, match=r"the endpoint x is not ours.*Nothing there was touched"):
            check_owner(others, "bridge-assets", "the endpoint x", "there")
