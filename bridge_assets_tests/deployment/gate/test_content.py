"""What a check judges: every byte of a version and the code that serves it, whatever its manifest claims."""

from __future__ import annotations

import json

import pytest
from support.deployment.local_endpoint import corrupt_byte, exchange, make_model_version

from bridge_assets.deployment.gate.content import read_content
from bridge_assets.errors import ModelVersionError
from bridge_assets.registry.model_version import COMPANION_FILES, STAGE_FILES, ModelVersion
from bridge_assets.storage import write_json

STAGES = ("training_set", *STAGE_FILES)


@pytest.fixture
def version(tmp_path) -> ModelVersion:
    """A version with every file; those that no test loads have any content."""
    made = make_model_version(tmp_path / "models", 1)
    for name in ("model.skops", *COMPANION_FILES["bridge_model"]):
        if not made.file(name).is_file():
            made.file(name).write_text(f"content of {name}")
    for stage in STAGE_FILES:
        made.record_stage(stage)
    return made


@pytest.mark.parametrize(
    ("stage", "name"),
    [(stage, name) for stage, main in STAGE_FILES.items() for name in (main, *COMPANION_FILES.get(stage, ()))],
)
def test_every_file_is_part_of_its_stage_and_of_all_later_ones(version, stage, name):
    before = read_content(version)
    corrupt_byte(version.file(name))
    version.record_stage(stage)  # the manifest agrees with the changed file
    for later in list(STAGE_FILES)[list(STAGE_FILES).index(stage) + 1 :]:
        version.record_stage(later)
    after = read_content(version)
    changed = {each for each in STAGES if before.stages[each] != after.stages[each]}
    assert changed == set(STAGES[STAGES.index(stage) :])
    assert {each for each in before.files if before.files[each] != after.files[each]} == {name, "manifest.json"}


def test_a_file_that_was_added_or_removed_changes_the_digest(version):
    before = read_content(version).stages["onnx_model"]
    version.file("evaluation.json").unlink()
    assert read_content(version).stages["onnx_model"] != before


@pytest.mark.parametrize("key", ["recipe", "made_from", "something_new"])
def test_the_manifests_provenance_is_part_of_it(version, key):
    before = read_content(version).stages
    write_json({**version.manifest, key: {"training_years": [1992, 2024]}}, version.file("manifest.json"))
    after = read_content(version).stages
    assert [stage for stage in STAGES if before[stage] != after[stage]] == list(STAGE_FILES)


def test_another_training_set_changes_every_stage(version):
    before = read_content(version).stages
    stages = version.manifest["stages"] | {"training_set": "b" * 64}
    write_json({**version.manifest, "stages": stages}, version.file("manifest.json"))
    after = read_content(version).stages
    assert not set(before.values()) & set(after.values())


def test_a_copied_folder_is_another_version(version):
    copy = ModelVersion(version.folder.rename(version.folder.with_name("0123456789ab")))
    assert read_content(copy).version == "0123456789ab"
    before = read_content(copy).stages["onnx_model"]
    assert read_content(ModelVersion(copy.folder.rename(version.folder))).stages["onnx_model"] != before


def test_the_code_that_serves_is_part_of_the_last_stage_only(version, code_of_a_newer_release, monkeypatch):
    before = read_content(version).stages
    monkeypatch.setattr("bridge_assets.deployment.gate.content.code_archive", lambda: code_of_a_newer_release)
    after = read_content(version).stages
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["onnx_model"]


def test_exchanged_files_with_an_exchanged_manifest_are_seen(version, tmp_path):
    """The scale times 1.7 with a probe that agrees: every digest in the manifest is right."""
    before = read_content(version).stages
    exchange(version, make_model_version(tmp_path / "others", 2))
    after = read_content(version).stages
    assert before["onnx_model"] not in after.values()


def test_an_unfinished_stage_has_no_digest(version):
    manifest = version.manifest
    del manifest["stages"]["onnx_model"]
    write_json(manifest, version.file("manifest.json"))
    assert set(read_content(version).stages) == {"training_set", "bridge_model", "quantized_model"}
    version.file("forest.safetensors").unlink()
    assert set(read_content(version).stages) == {"training_set", "bridge_model"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"stages": {}}', '{"stages": 3}'])
def test_a_damaged_manifest_is_an_error_that_names_the_version(version, content):
    version.file("manifest.json").write_text(content)
    with pytest.raises(ModelVersionError, match=f"model version {version.version} cannot be read"):
        read_content(version)


def test_a_missing_manifest_is_an_error(tmp_path):
    with pytest.raises(ModelVersionError, match="has no manifest"):
        read_content(ModelVersion(tmp_path / "none"))


def test_reading_changes_nothing(version):
    before = json.loads(version.file("manifest.json").read_text())
    assert read_content(version) == read_content(version)
    assert json.loads(version.file("manifest.json").read_text()) == before
