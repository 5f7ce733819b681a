"""Versions of survey files and models in DVC: with the real tool, a local remote, and an S3 server on loopback."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.dvc_program import require_dvc

from bridge_assets.data.dvc.command import DvcError
from bridge_assets.data.dvc.repository import ensure_repository
from bridge_assets.data.dvc.versions import (
    dvc_add,
    dvc_pull,
    dvc_push,
    is_tracked,
    restore,
    version_model,
    version_raw_files,
)
from bridge_assets.data.sources.survey_files import survey_files, survey_source
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings, DvcSettings

require_dvc()

SURVEY = b"STATE_CODE_001,STRUCTURE_NUMBER_008,FACILITY_CARRIED_007\r\n01,'000000000001234','O'NEAL ROAD       '\r\n"
LOCAL = DvcSettings(remote="remote")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a DVC repository; because its remote is relative, it can be copied."""
    project = tmp_path_factory.mktemp("template") / "project"
    (project / "configs").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, project.parent, project)
        ensure_repository(LOCAL)
    return project


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a DVC repository and two survey files, and no git."""
    project = shutil.copytree(template, tmp_path / "project")
    _isolate(monkeypatch, tmp_path, project)
    _survey_files(project)
    return project


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a DVC repository."""
    project = tmp_path / "project"
    (project / "configs").mkdir(parents=True)
    _isolate(monkeypatch, tmp_path, project)
    _survey_files(project)
    return project


def _isolate(patch: pytest.MonkeyPatch, folder: Path, project: Path) -> None:
    for part in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE"):
        patch.setenv(f"DVC_{part}_DIR", str(folder / part.lower()))
    patch.setenv("BRIDGE_ASSETS_CONFIGS", str(project / "configs"))
    patch.chdir(project)


def _survey_files(project: Path) -> None:
    (project / "nbi").mkdir()
    for year in (2016, 2017):
        (project / "nbi" / f"NBI_{year}.txt").write_bytes(SURVEY * year)


def _model(project: Path) -> Path:
    folder = project / "var" / "models" / "0a1b2c3d"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "model.onnx").write_bytes(bytes(range(256)) * 100)
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _lose(*folders: Path) -> None:
    for folder in (*folders, Path(".dvc/cache")):
        shutil.rmtree(folder)


def _objects(store: Path) -> list[Path]:
    return [path for path in (store / "files" / "md5").glob("*/*") if path.suffix != ".dir"]


def _damage(stored: Path) -> None:
    stored.chmod(0o644)
    stored.write_bytes(b"\0" + stored.read_bytes()[1:])
    stored.chmod(0o444)  # DVC trusts read-only files in its cache


def test_survey_files_are_restored_from_a_local_remote_byte_for_byte(project: Path) -> None:
    data = DataSettings(source="nbi")
    source = data.source_folder
    (source / ".NBI_2018.txt.part").write_bytes(b"half a download")
    before = _content(source)
    facts = {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_mode) for path in source.iterdir()}

    versions = version_raw_files(data, LOCAL)

    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_mode) for path in facts} == facts
    assert versions == version_raw_files(data, LOCAL) == {source: _pointer(source)["md5"]}
    assert is_tracked(source)
    _lose(source)
    assert dvc_pull() == 0
    del before[".NBI_2018.txt.part"]  # files that are still being written are not part of a version
    assert _content(source) == before
    assert os.access(source / "NBI_2016.txt", os.W_OK)


def test_the_md5_of_a_model_version_is_that_of_its_folder(project: Path) -> None:
    folder = _model(project)
    before = _content(folder)
    md5 = version_model(folder, LOCAL)
    assert md5.endswith(".dir")
    assert md5 == _pointer(folder)["md5"]
    _lose(folder)
    assert restore(folder) == folder
    assert _content(folder) == before


@pytest.mark.slow
def test_survey_files_and_a_model_are_restored_from_s3(
    bare: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = _bucket(s3_endpoint, "bridge-versions")
    _address_from_settings(monkeypatch, bare.parent)
    settings = DvcSettings(remote=f"s3://{bucket}/dvc", endpoint_url=s3_endpoint, region="us-east-1")
    source, model = bare / "nbi", _model(bare)
    before = _content(source), _content(model)

    version_raw_files(DataSettings(source="nbi"), settings)
    version_model(model, settings)

    config = (bare / ".dvc" / "config").read_text()
    assert s3_endpoint in config
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in config
    _lose(source, model)
    assert dvc_pull() == 0
    assert (_content(source), _content(model)) == before


@pytest.mark.slow
def test_an_unusable_s3_remote_is_an_error_with_the_reason(
    project: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _address_from_settings(monkeypatch, project.parent)
    settings = DvcSettings(remote="s3://no-such-bucket-of-ours/dvc", endpoint_url=s3_endpoint)
    with pytest.raises(DvcError, match=r"bucket does not exist.*create the bucket"):
        version_raw_files(DataSettings(source="nbi"), settings)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DvcError, match=r"Could not connect.*check the network"):
            version_raw_files(DataSettings(source="nbi"), settings.model_copy(update={"endpoint_url": address}))
    assert is_tracked(project / "nbi")  # added locally; only the push failed


def test_exit_codes_of_dvc_are_returned_and_its_output_is_logged(
    bare: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert dvc_add("nbi/NBI_2016.txt") == dvc_pull() == dvc_push("nbi") == 253
    assert caplog.text.count("you are not inside of a DVC repository") == 3
    with pytest.raises(DvcError, match="DVC is switched off"):
        ensure_repository(DvcSettings.load())
    assert not (bare / ".dvc").exists()


def test_missing_and_untracked_paths_give_an_exit_code(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert dvc_add("nbi/NBI_1066.txt") == 1
    assert "does not exist" in caplog.text
    assert not (project / "nbi" / "NBI_1066.txt.dvc").exists()
    assert dvc_pull("nbi/NBI_2016.txt") != 0
    assert not is_tracked("nbi/NBI_2016.txt")
    with pytest.raises(SourceError, match="DVC does not track this path"):
        restore("nbi/NBI_2016.txt")
    outside = project.parent / "elsewhere"
    outside.mkdir()
    with pytest.raises(DvcError, match=r"outside of DVC project.*set `repository`"):
        version_model(_filled(outside), LOCAL)


def test_any_name_can_be_versioned(project: Path) -> None:
    names = ["NBI 2016 (Brücken).txt", "-rf.txt", "--all", "[20:16]*.txt"]
    for name in names:
        (project / name).write_bytes(SURVEY + name.encode())
        assert dvc_add(name) == 0
    assert dvc_push(*names) == 0
    for name in names:
        (project / name).unlink()
    shutil.rmtree(".dvc/cache")
    assert restore("-rf.txt") == project / "-rf.txt"
    assert dvc_pull(*names) == 0
    assert [(project / name).read_bytes() for name in names] == [SURVEY + name.encode() for name in names]


def test_one_file_of_a_tracked_folder_is_restored_alone(project: Path) -> None:
    version_raw_files(DataSettings(source="nbi"), LOCAL)
    _lose(project / "nbi")
    assert is_tracked("nbi/NBI_2016.txt")
    assert restore("nbi/NBI_2016.txt").read_bytes() == SURVEY * 2016
    assert not (project / "nbi" / "NBI_2017.txt").exists()
    with pytest.raises(SourceError, match=r"DVC does not have this file.*nbi\.dvc"):
        restore("nbi/NBI_1066.txt")


def test_a_survey_year_with_only_a_pointer_is_found_and_restored(project: Path) -> None:
    path = Path("nbi/NBI_2016.txt")
    content = path.read_bytes()
    assert (dvc_add(str(path)), dvc_push(path)) == (0, 0)
    path.unlink()
    assert list(survey_files(Path("nbi"))) == [2016, 2017]
    source = survey_source(Path("nbi"), 2016)
    assert [part.path for part in source.files] == [path]
    assert path.read_bytes() == content


def test_another_version_is_replaced_and_unsaved_work_is_not(project: Path) -> None:
    path, pointer = project / "nbi" / "NBI_2016.txt", project / "nbi" / "NBI_2016.txt.dvc"
    assert dvc_add(path) == 0
    first = pointer.read_text()
    path.write_bytes(b"the second version")
    assert dvc_add(path) == 0
    pointer.write_text(first)
    assert restore(path).read_bytes() == SURVEY * 2016
    path.write_bytes(b"an afternoon's work")
    with pytest.raises(SourceError, match=r"nsaved.*save it with dvc_add"):
        restore(path)
    assert path.read_bytes() == b"an afternoon's work"


def test_a_damaged_object_in_the_remote_is_not_restored(project: Path) -> None:
    assert dvc_add("nbi/NBI_2016.txt") == dvc_push() == 0
    _damage(*_objects(project / "remote"))
    (project / "nbi" / "NBI_2016.txt").unlink()
    shutil.rmtree(".dvc/cache")
    assert dvc_pull() == 1
    with pytest.raises(SourceError, match=r"a file in the remote is missing or damaged"):
        restore("nbi/NBI_2016.txt")
    assert not (project / "nbi" / "NBI_2016.txt").exists()


def test_a_damaged_object_in_the_cache_is_detected(project: Path) -> None:
    path = project / "nbi" / "NBI_2016.txt"
    assert dvc_add(path) == 0
    _damage(*_objects(project / ".dvc" / "cache"))
    path.unlink()
    with pytest.raises(SourceError, match=r"differs from its pointer.*NBI_2016\.txt.*cache is damaged"):
        restore(path)


def test_a_version_that_does_not_reach_the_remote_is_an_error(project: Path) -> None:
    (project / "remote").write_text("a file instead of the folder")
    with pytest.raises(DvcError, match=r"`dvc push` failed"):
        version_raw_files(DataSettings(source="nbi"), LOCAL)
    assert dvc_push() != 0


def test_an_invalid_pointer_is_named(project: Path) -> None:
    (project / "nbi" / "NBI_2018.txt.dvc").write_text("<<<<<<< HEAD\nouts:\n")
    (project / "nbi" / "NBI_2018.txt").write_bytes(SURVEY)
    with pytest.raises(SourceError, match=r"NBI_2018\.txt\.dvc: this is not a DVC pointer file"):
        restore("nbi/NBI_2018.txt")


def test_a_lost_remote_is_filled_again_from_the_local_files(project: Path) -> None:
    version_raw_files(DataSettings(source="nbi"), LOCAL)
    _lose(project / "remote")
    assert dvc_push() == 0  # with a warning from DVC that it has nothing to upload
    version_raw_files(DataSettings(source="nbi"), LOCAL)
    _lose(project / "nbi")
    assert dvc_pull() == 0


def test_a_killed_add_leaves_the_file_and_can_be_repeated(project: Path) -> None:
    big = project / "nbi" / "national.txt"
    with big.open("wb") as file:
        for block in range(60):
            file.write(bytes([block]) * 4_000_000)
    facts = big.stat()
    line = [sys.executable, "-c", "from bridge_assets.data.dvc.versions import dvc_add; dvc_add('nbi/national.txt')"]
    lock = project / ".dvc" / "tmp" / "rwlock"
    running = subprocess.Popen(line, start_new_session=True)
    _until(lambda: lock.exists() and '"pid"' in lock.read_text())  # it is adding now
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not is_tracked(big)
    now = big.stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    _until(lambda: not _group_exists(running.pid))  # DVC takes a zombie for a running process
    assert dvc_add(big) == 0
    assert len(_objects(project / ".dvc" / "cache")) == 1
    assert _pointer(big)["size"] == facts.st_size


def test_a_lock_left_by_a_killed_process_is_ignored(project: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    held = {"pid": ended.pid, "cmd": "dvc add nbi/NBI_2016.txt"}
    lock = project / ".dvc" / "tmp" / "rwlock"
    lock.write_text(json.dumps({"write": {str(project / "nbi" / "NBI_2016.txt"): held}, "read": {}}))
    assert dvc_add("nbi/NBI_2016.txt") == 0


def test_a_second_command_waits_for_the_first(project: Path) -> None:
    codes: dict[int, int] = {}

    def add(year: int) -> None:
        codes[year] = dvc_add(project / "nbi" / f"NBI_{year}.txt")

    adding = [threading.Thread(target=add, args=(year,)) for year in (2016, 2017)]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    assert codes == {2016: 0, 2017: 0}


def test_with_git_the_pointers_are_visible_and_the_data_is_ignored(bare: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    (bare / ".gitignore").write_text("var/\n")
    model = _model(bare)
    with pytest.raises(DvcError, match=r"git-ignored.*!var/\*\*/\*\.dvc"):
        version_model(model, LOCAL)
    (bare / ".gitignore").write_text("var/**\n!var/**/\n!var/**/*.dvc\n!var/**/.gitignore\n")
    version_model(model, LOCAL)
    seen = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {".dvc/config", "var/models/.gitignore", "var/models/0a1b2c3d.dvc"} <= {*seen}
    assert not [name for name in seen if "model.onnx" in name]


def test_the_repository_follows_its_settings(project: Path) -> None:
    config = project / ".dvc" / "config"
    before = config.read_bytes()
    ensure_repository(LOCAL)
    assert config.read_bytes() == before
    assert {"analytics = false", "check_update = false", "verify = true", 'type = "reflink,copy"'} <= _lines(before)
    ensure_repository(DvcSettings(remote="s3://bucket/x", endpoint_url="http://127.0.0.1:9", region="eu-west-1"))
    assert {"url = s3://bucket/x", "endpointurl = http://127.0.0.1:9", "region = eu-west-1"} <= _lines(
        config.read_bytes()
    )
    ensure_repository(LOCAL)
    assert _lines(config.read_bytes()) == _lines(before)


@pytest.mark.parametrize(
    "settings",
    [
        DvcSettings(remote="s3://AKIAKEY:hush-hush@bucket/dvc"),
        DvcSettings(remote="s3://hush-hush@bucket/dvc"),
        DvcSettings(remote="s3://bucket/dvc", endpoint_url="https://me:hush-hush@minio.example.org"),
    ],
)
def test_credentials_are_refused_and_not_repeated(bare: Path, settings: DvcSettings) -> None:
    with pytest.raises(DvcError, match="contains credentials") as error:
        ensure_repository(settings)
    assert "hush-hush" not in str(error.value)
    assert not (bare / ".dvc").exists()


def test_if_dvc_is_missing_the_message_says_how_to_get_it(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    monkeypatch.setenv("PATH", str(bare))
    for call in (lambda: dvc_add("nbi"), dvc_pull, dvc_push, lambda: ensure_repository(LOCAL)):
        with pytest.raises(SourceError, match="run `make dvc` in the checkout"):
            call()


def test_nothing_to_version_is_an_error(project: Path) -> None:
    with pytest.raises(DvcError, match="no survey file to version"):
        version_raw_files(DataSettings(source="nowhere"), LOCAL)
    with pytest.raises(DvcError, match="no model version"):
        version_model("var/models/none", LOCAL)


def test_the_shipped_settings_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(Path(__file__).parents[3] / "configs"))
    assert DvcSettings.load() == DvcSettings()
    assert not DvcSettings.load().enabled
    monkeypatch.setenv("BRIDGE_ASSETS_DVC__REMOTE", "s3://bucket/dvc")
    assert DvcSettings.load().enabled


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _pointer(data: Path) -> dict[str, Any]:
    return yaml.safe_load(Path(f"{data}.dvc").read_text())["outs"][0]


def _lines(config: bytes) -> set[str]:
    return {line.strip() for line in config.decode().splitlines()}


def _filled(folder: Path) -> Path:
    (folder / "model.onnx").write_bytes(b"model")
    return folder


def _address_from_settings(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.delenv("AWS_ENDPOINT_URL")
    empty = folder / "aws_config"
    empty.touch()
    patch.setenv("AWS_CONFIG_FILE", str(empty))  # the S3 plugin of DVC does not accept /dev/null


def _bucket(endpoint: str, name: str) -> str:
    import boto3

    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    return name
