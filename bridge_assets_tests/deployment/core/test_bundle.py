"""The archive for a remote endpoint: complete, reproducible, and refused if a byte is wrong."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile

import pytest
from support.deployment.local_endpoint import corrupt_byte

from bridge_assets.deployment.core.bundle import BUNDLE_FILES, bundle_of
from bridge_assets.deployment.core.tags import check_owner, deployment_tags, history_from_tags
from bridge_assets.deployment.core.target import version_of
from bridge_assets.errors import DeploymentError, OwnershipError
from bridge_assets.runtime.package import Package


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


def test_a_changed_byte_is_refused_before_and_during_packing(model_versions):
    bundle = bundle_of(model_versions[0])
    corrupt_byte(model_versions[0].file("model.onnx"))
    with pytest.raises(DeploymentError, match=r"model\.onnx changed while it was being packed"):
        bundle.files()
    with pytest.raises(DeploymentError, match="cannot be deployed"):
        bundle_of(model_versions[0])


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
