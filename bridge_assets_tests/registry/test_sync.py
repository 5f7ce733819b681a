"""A version arrives completely in another registry, or not at all."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.model_versions import NAME, file_contents, make_version

from bridge_assets.errors import RegistryError
from bridge_assets.registry.base import CHAMPION, Registry, download_version, find_version
from bridge_assets.registry.folder_registry import REGISTRY_FILE
from bridge_assets.registry.model_version import STAGE_FILES, ModelVersion
from bridge_assets.registry.open_registry import open_registry
from bridge_assets.registry.sync import RegistryConflictError, RegistrySync

TAGS = {"gate.onnx_model.parity": "passed: largest difference 0", "override_reason": ""}
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(
    ["pytest", "bridge_assets.registry.sync", "bridge_assets.registry.folder_registry", __name__]
)


def sync_of(address: str | Registry, staging: Path, **more) -> RegistrySync:
    return RegistrySync(address, name=NAME, staging=staging, **more)


def registry_with(address: str, candidates: list[ModelVersion], champion: int | None = None, **more) -> Registry:
    """A registry with these versions."""
    registry = open_registry(address, NAME, **more)
    stored = [
        registry.register(candidate, {key: value for key, value in TAGS.items() if value}) for candidate in candidates
    ]
    if champion is not None:
        registry.set_alias(CHAMPION, stored[champion])
    return registry


def has_version(registry: Registry, candidate: ModelVersion, at: Path) -> bool:
    """Whether a registry has a version with exactly these bytes."""
    fetched = download_version(registry, find_version(registry, candidate.version), at / "downloaded")
    return file_contents(fetched.folder) == file_contents(candidate.folder)


def artifacts(address: str) -> Path:
    return Path(address.removeprefix("sqlite:///")).parent / "mlartifacts"


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_version_is_pushed_between_mlflow_databases_and_pulled_into_a_folder(database, model_versions, tmp_path):
    here, there, folder = database("here"), database("there"), str(tmp_path / "shelf")
    source = registry_with(here, model_versions[:2], champion=0)
    sync = sync_of(here, tmp_path / "staging")
    pushed = sync.push("champion", there)
    target = open_registry(there, NAME)
    assert (pushed.step.action, pushed.registered.version, pushed.promoted) == (
        "copy",
        model_versions[0].version,
        False,
    )
    assert has_version(target, model_versions[0], tmp_path)
    assert pushed.registered.files == find_version(source, "champion").files
    assert pushed.registered.tags == {"gate.onnx_model.parity": "passed: largest difference 0"}
    assert [each.version for each in target.versions()] == [model_versions[0].version]
    assert target.aliases() == {}
    pulled = sync_of(folder, tmp_path / "staging").pull(model_versions[0].version, there)
    assert file_contents(Path(pulled.registered.uri)) == file_contents(model_versions[0].folder)
    assert not [path for path in (tmp_path / "staging").iterdir() if path.is_dir()]


def test_pushing_again_changes_nothing(database, model_versions, tmp_path):
    here, there = database("here"), database("there")
    registry_with(here, model_versions[:1])
    sync = sync_of(here, tmp_path / "staging")
    first = sync.push(model_versions[0].version, there)
    again = sync.push(model_versions[0].version, there)
    assert again.step.action == "there"
    assert again.registered == first.registered
    client = open_registry(there, NAME).client  # type: ignore[attr-defined]
    experiment = client.get_experiment_by_name("bridge_assets").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["FINISHED"]


def test_the_champion_alias_is_copied_only_with_promote(model_versions, tmp_path):
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    registry_with(here, model_versions[:2], champion=0)
    target = registry_with(there, model_versions[1:2], champion=0)
    sync = sync_of(here, tmp_path / "staging")
    sync.push("champion", there)
    assert target.aliases()[CHAMPION].version == model_versions[1].version
    assert sync.push("champion", there, promote=True).promoted
    assert target.aliases()[CHAMPION].version == model_versions[0].version
    with pytest.raises(RegistryError, match=f"{model_versions[1].version} is not the champion there"):
        sync.push(model_versions[1].version, there, promote=True)
    assert target.aliases()[CHAMPION].version == model_versions[0].version


def test_a_plan_transfers_nothing_and_creates_nothing(database, model_versions, tmp_path):
    here, there = str(tmp_path / "here"), f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    registry_with(here, model_versions, champion=1)
    sync = sync_of(here, tmp_path / "staging")
    steps = sync.plan(there)
    assert [(step.version, step.action) for step in steps] == [(each.version, "copy") for each in model_versions]
    assert steps[1].aliases == (CHAMPION,)
    assert set(STAGE_FILES.values()) < set(steps[0].files)
    assert f"copy {model_versions[1].version} (champion): " in str(steps[1])
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "staging").exists()
    shelf = str(tmp_path / "shelf")
    sync.push("champion", shelf)
    assert [step.action for step in sync.plan(shelf)] == ["copy", "there", "copy"]
    [step] = sync_of(shelf, tmp_path / "staging").plan(here, version=model_versions[2].version, direction="pull")
    assert (step.action, step.source, step.target) == ("copy", here, shelf)


def test_the_same_version_with_other_bytes_is_rejected(model_versions, tmp_path):
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    registry_with(here, model_versions[:1])
    changed = ModelVersion(shutil.copytree(model_versions[0].folder, tmp_path / "made" / model_versions[0].version))
    changed.file("model_card.md").write_text("Another card\n")
    changed.record_stage("bridge_model")
    registry_with(there, [changed])
    before = file_contents(tmp_path / "there" / model_versions[0].version)
    sync = sync_of(here, tmp_path / "staging")
    with pytest.raises(RegistryConflictError, match=r"with other bytes than .*: manifest.json, model_card.md"):
        sync.push(model_versions[0].version, there)
    [step] = sync.plan(there)
    assert (step.action, step.files) == ("conflict", ("manifest.json", "model_card.md"))
    assert file_contents(tmp_path / "there" / model_versions[0].version) == before
    # Files in the folder that are not registered are not overwritten either.
    (tmp_path / "there" / REGISTRY_FILE).unlink()
    with pytest.raises(RegistryError, match=r"exists, but is not registered: manifest\.json"):
        sync.push(model_versions[0].version, there)
    assert file_contents(tmp_path / "there" / model_versions[0].version) == before


def test_a_conflict_in_mlflow_is_rejected_too(database, model_versions, tmp_path):
    here, there = database("here"), str(tmp_path / "there")
    changed = ModelVersion(shutil.copytree(model_versions[0].folder, tmp_path / "made" / model_versions[0].version))
    changed.file("model_card.md").write_text("Another card\n")
    changed.record_stage("bridge_model")
    mlflow = registry_with(here, [changed])
    registry_with(there, model_versions[:1])
    with pytest.raises(RegistryConflictError, match="with other bytes"):
        sync_of(here, tmp_path / "staging").pull(model_versions[0].version, there)
    assert len(mlflow.versions()) == 1


def test_a_damaged_artifact_is_not_passed_on(database, model_versions, tmp_path):
    here = database("here")
    registry_with(here, model_versions[:1])
    [damaged] = artifacts(here).rglob("forest.safetensors")
    change_a_byte(damaged)
    sync = sync_of(here, tmp_path / "staging")
    for there in (database("there"), str(tmp_path / "shelf")):
        with pytest.raises(RegistryError, match=r"forest.safetensors of model version \w+ is damaged\. Its SHA-256 is"):
            sync.push(model_versions[0].version, there)
        assert open_registry(there, NAME).versions() == []
    change_a_byte(damaged)  # flips the same bit again: repaired
    assert sync.push(model_versions[0].version, str(tmp_path / "shelf")).step.action == "resume"
    damaged.unlink()
    with pytest.raises(RegistryError, match="What to do"):
        sync.push(model_versions[0].version, str(tmp_path / "shelf2"))


def test_a_damaged_file_in_the_staging_folder_is_downloaded_again(model_versions, tmp_path):
    here = registry_with(str(tmp_path / "here"), model_versions[:1])
    place = (
        tmp_path / "staging" / find_version(here, model_versions[0].version).content_digest / model_versions[0].version
    )
    shutil.copytree(model_versions[0].folder, place)
    change_a_byte(place / "model.onnx")
    pushed = sync_of(here, tmp_path / "staging").push(model_versions[0].version, str(tmp_path / "there"))
    assert (pushed.step.action, pushed.step.files) == ("resume", ("model.onnx",))
    assert has_version(open_registry(str(tmp_path / "there"), NAME), model_versions[0], tmp_path)


def test_a_registry_cannot_lead_out_of_its_folder(model_versions, tmp_path):
    here = registry_with(str(tmp_path / "here"), model_versions[:1])
    path = tmp_path / "here" / REGISTRY_FILE
    good = json.loads(path.read_text())
    entry = good["versions"][model_versions[0].version]
    for versions in (
        {"../outside": entry},
        {model_versions[0].version: {**entry, "files": {"../../outside": "0" * 64}}},
        {model_versions[0].version: {**entry, "files": {".hidden": "0" * 64}}},
        {model_versions[0].version: {**entry, "files": {"model.onnx": "no digest"}}},
    ):
        path.write_text(json.dumps({**good, "versions": versions}))
        with pytest.raises(RegistryError):
            sync_of(here, tmp_path / "staging").push(next(iter(versions)), str(tmp_path / "there"))
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "there").exists()


def test_a_manifest_of_another_version_is_rejected(model_versions, tmp_path):
    here = registry_with(str(tmp_path / "here"), model_versions[:1])
    folder = tmp_path / "here"
    ledger = json.loads((folder / REGISTRY_FILE).read_text())
    ledger["versions"] = {"f" * 12: ledger["versions"][model_versions[0].version]}
    (folder / REGISTRY_FILE).write_text(json.dumps(ledger))
    shutil.move(folder / model_versions[0].version, folder / ("f" * 12))
    with pytest.raises(RegistryError, match=f"its manifest is for {model_versions[0].version}"):
        sync_of(here, tmp_path / "staging").push("f" * 12, str(tmp_path / "there"))


def test_missing_versions_and_registries_are_reported(database, model_versions, tmp_path):
    here = registry_with(str(tmp_path / "here"), model_versions[:1], champion=0)
    sync = sync_of(here, tmp_path / "staging")
    with pytest.raises(
        RegistryError, match=f"no version or alias 'abc' .* Known: champion, {model_versions[0].version}"
    ):
        sync.push("abc", str(tmp_path / "there"))
    missing = f"sqlite:///{tmp_path / 'mistyped.db'}"
    with pytest.raises(RegistryError, match="there is no registry at"):
        sync.pull("champion", missing)
    assert not (tmp_path / "mistyped.db").exists()
    with pytest.raises(RegistryError, match="there is no registry at"):
        sync.pull("champion", str(tmp_path / "nowhere"))
    with pytest.raises(RegistryError, match="is not the address of a registry"):
        sync.push("champion", "ftp://host/models")
    with pytest.raises(RegistryError, match="it holds versions of bridge_fall, not of other"):
        RegistrySync(str(tmp_path / "here"), name="other", staging=tmp_path / "staging").plan(missing)


def push_and_be_killed(here: str, there: str, staging: Path, version: str, change: int) -> None:
    """Kills its own process just before the n-th change to the staging folder or the target."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if not any(str(place) in str(value) for value in arguments for place in (there, staging)):
            return
        writes = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if not (writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")):
            return
        if seen == change:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    sys.addaudithook(hook)
    sync_of(here, staging).push(version, there, promote=True)


def test_after_a_kill_before_any_change_no_version_is_incomplete_and_the_next_push_completes(model_versions, tmp_path):
    here = str(tmp_path / "here")
    registry_with(here, model_versions[:1], champion=0)
    resumed = kills = 0
    for change in range(0, 200, 3):
        there, staging = tmp_path / f"there{change}", tmp_path / f"staging{change}"
        process = SPAWN.Process(
            target=push_and_be_killed, args=(here, str(there), staging, model_versions[0].version, change)
        )
        process.start()
        process.join()
        if process.exitcode == 0:
            break  # all changes have been tried
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        for registered in open_registry(str(there), NAME).versions():
            assert file_contents(Path(registered.uri)) == file_contents(model_versions[0].folder)
        pushed = sync_of(here, staging).push("champion", str(there), promote=True)
        resumed += pushed.step.action == "resume"
        assert file_contents(there / model_versions[0].version) == file_contents(model_versions[0].folder)
        assert open_registry(str(there), NAME).aliases()[CHAMPION].version == model_versions[0].version
        assert not [path for path in staging.iterdir() if path.is_dir()]
    assert kills > 10
    assert resumed > 3


@pytest.mark.parametrize("file", ["model.onnx", "probe.json"])
def test_a_killed_upload_to_mlflow_is_resumed(file, database, model_versions, tmp_path):
    here, there, staging = str(tmp_path / "here"), database("there"), tmp_path / "staging"
    registry_with(here, model_versions[:1])
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bridge_assets.registry.sync import RegistrySync\n"
        "here, there, staging, version, folder, file = sys.argv[1:]\n"
        "def hook(event, arguments):\n"
        "    if event in ('os.rename', 'os.link') and str(arguments[1]).startswith(folder):\n"
        "        if str(arguments[1]).endswith(file):\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\n"
        "RegistrySync(here, name='bridge_fall', staging=Path(staging)).push(version, there)\n"
    )
    arguments = [here, there, str(staging), model_versions[0].version, str(artifacts(there).resolve()), file]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    target = open_registry(there, NAME)
    assert target.versions() == []
    before = {path.name: path.stat().st_mtime_ns for path in artifacts(there).rglob("*") if path.is_file()}
    assert "forest.safetensors" in before
    pushed = sync_of(here, staging).push(model_versions[0].version, there)
    assert (pushed.step.action, pushed.step.files) == ("resume", ())
    assert has_version(target, model_versions[0], tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in artifacts(there).rglob("*") if path.is_file()}
    assert before["forest.safetensors"] == after["forest.safetensors"]  # not uploaded again
    client = target.client  # type: ignore[attr-defined]
    experiment = client.get_experiment_by_name("bridge_assets").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["FINISHED"]


def test_two_concurrent_pushes_register_one_version(model_versions, tmp_path):
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    registry_with(here, model_versions[:1], champion=0)
    both = [
        SPAWN.Process(target=push_and_be_killed, args=(here, there, tmp_path / "staging", "champion", 10**6))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    [registered] = open_registry(there, NAME).versions()
    assert registered.version_number == 1
    assert file_contents(Path(registered.uri)) == file_contents(model_versions[0].folder)


@pytest.mark.slow
def test_a_version_is_pushed_to_a_dvc_remote_and_pulled_without_its_folder(
    database, dvc, model_versions, tmp_path, project
):
    here, shelf = database("here"), "dvc:models"
    registry_with(here, model_versions[:1], champion=0)
    pushed = sync_of(here, tmp_path / "staging", dvc=dvc).push("champion", shelf, promote=True)
    assert pushed.registered.tags["dvc_md5"].endswith(".dir")
    models = project / "models"
    assert (models / f"{model_versions[0].version}.dvc").is_file()
    assert len([path for path in (project / "remote").rglob("*") if path.is_file()]) > len(STAGE_FILES)
    shutil.rmtree(models / model_versions[0].version)  # as in a fresh clone: pointers, no data
    shutil.rmtree(project / ".dvc" / "cache")
    other = str(tmp_path / "other")
    pulled = sync_of(other, tmp_path / "staging", dvc=dvc).pull("champion", shelf, promote=True)
    assert file_contents(Path(pulled.registered.uri)) == file_contents(model_versions[0].folder)
    assert "dvc_md5" not in pulled.registered.tags
    # Damage in the remote is detected.
    shutil.rmtree(models / model_versions[0].version)
    shutil.rmtree(project / ".dvc" / "cache")
    largest = max((path for path in (project / "remote").rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
    largest.chmod(0o644)
    change_a_byte(largest)
    with pytest.raises(ValueError, match=r"damaged|dvc pull.* failed"):
        sync_of(str(tmp_path / "third"), tmp_path / "staging", dvc=dvc).pull("champion", shelf)
    assert open_registry(str(tmp_path / "third"), NAME).versions() == []


@pytest.mark.slow
def test_a_version_is_pushed_to_an_mlflow_server_and_pulled_back(mlflow_server, database, model_versions, tmp_path):
    here, back = database("here"), database("back")
    registry_with(here, model_versions[:2], champion=1)
    sync = sync_of(here, tmp_path / "staging")
    assert [step.action for step in sync.plan(mlflow_server)] == ["copy", "copy"]
    sync.push("champion", mlflow_server, promote=True)
    assert [step.action for step in sync.plan(mlflow_server)] == ["copy", "there"]
    there = open_registry(mlflow_server, NAME)
    assert has_version(there, model_versions[1], tmp_path)
    assert there.aliases()[CHAMPION].version == model_versions[1].version
    pulled = sync_of(back, tmp_path / "staging").pull("champion", mlflow_server, promote=True)
    assert pulled.registered.files == find_version(open_registry(here, NAME), "champion").files
    assert has_version(open_registry(back, NAME), model_versions[1], tmp_path)
    changed = make_version(tmp_path / "made", 1)
    changed.file("model_card.md").write_text("Another card\n")
    changed.record_stage("bridge_model")
    registry_with(str(tmp_path / "shelf"), [changed])
    with pytest.raises(RegistryConflictError, match="with other bytes"):
        sync_of(str(tmp_path / "shelf"), tmp_path / "staging").push(changed.version, mlflow_server)


@pytest.mark.slow
def test_an_unreachable_registry_is_reported_without_its_password(model_versions, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry_with(str(tmp_path / "here"), model_versions[:1])
    with pytest.raises(RegistryError, match=r"http://127.0.0.1:9: .*MLflow says: .*What to do: check that") as error:
        sync_of(str(tmp_path / "here"), tmp_path / "staging").push(
            model_versions[0].version, "http://reader:secret-word@127.0.0.1:9"
        )
    assert "secret-word" not in str(error.value)
