"""Starting a container: where the bundle comes from, which code serves, and the errors at start."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import httpx
import pytest
from support.deployment.server_process import ServerProcess, start_container

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import compare_answers
from bridge_assets.serve import container

#: Runs with the libraries of this environment but without this checkout, which only the files read by `site` lead to.
_RUN_FROM_CODE_ZIP = """
import atexit, json, os, runpy, sys
sys.path.append(sys.argv.pop(1))
def report():
    loaded = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    disabled = os.environ.get("ORT_DISABLE_TELEMETRY")
    print(json.dumps({"event": "modules", "loaded": loaded, "path": sys.path, "telemetry_disabled": disabled}))
atexit.register(report)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def archive(bundle, tmp_path) -> Path:
    return bundle.write(tmp_path / "bundle.tar.gz")


def predicts_correctly(url: str, bundle: Bundle) -> bool:
    reply = httpx.post(f"{url}/predict", json={"instances": bundle.probe.request_rows()}, timeout=30)
    compare_answers(reply.json()["predictions"], bundle.probe, url)
    return reply.headers["X-Model-Slot"] == bundle.slot


# Starting


def test_only_code_from_the_bundle_runs_and_no_heavy_library_is_loaded(bundle, archive, tmp_path):
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _RUN_FROM_CODE_ZIP,
        sysconfig.get_path("purelib"),
        container.__file__,
    ]
    package = {"BRIDGE_ASSETS_PACKAGE": str(archive), "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest}
    server = ServerProcess(command, **package, XDG_CACHE_HOME=str(tmp_path / "cache"), ORT_DISABLE_TELEMETRY=None)
    assert predicts_correctly(server.url, bundle)
    assert httpx.post(f"{server.url}/v2/models/bridge-fall/infer", content=b"{").status_code == 400
    assert server.stop() == 0
    report = server.log[-1]
    folder = Path(report["path"][0]).parent
    ours = {file for name, file in report["loaded"].items() if name.partition(".")[0] == "bridge_assets"}
    assert len(ours) > 10
    assert all(file.startswith(f"{folder}/code.zip/") for file in ours)
    assert not folder.exists(), "the unpacked bundle is removed at exit"
    heavy = ["dagster", "mlflow", "sklearn", "pandas", "numba", "requests", "scipy", "pydantic", "pyarrow", "fsspec"]
    assert [name for name in heavy if name in report["loaded"]] == []
    assert report["telemetry_disabled"] == "1"
    assert not (tmp_path / "cache").exists(), "ONNX Runtime stores its telemetry there"


@pytest.mark.parametrize(
    "variables",
    [
        {"BRIDGE_ASSETS_PACKAGE": "{}/unpacked", "AIP_STORAGE_URI": "gs://not/used"},
        {"AZUREML_MODEL_DIR": "{}/mounted"},
        {"AIP_STORAGE_URI": "{}"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_the_bundle_is_found_where_the_provider_puts_it(bundle, archive, tmp_path, variables):
    bundle.unpack(tmp_path / "unpacked")
    # Azure ML mounts the registered folder inside AZUREML_MODEL_DIR
    shutil.copytree(tmp_path / "unpacked", tmp_path / "mounted" / "bridge-fall")
    variables = {name: value.format(tmp_path) for name, value in variables.items()}
    server = start_container(BRIDGE_ASSETS_SLOT=bundle.slot, **variables)
    assert predicts_correctly(server.url, bundle)
    server.stop()


def test_the_bundle_is_downloaded_from_a_bucket(bundle, s3_endpoint):
    import boto3

    boto3.client("s3").create_bucket(Bucket="served")
    boto3.client("s3").put_object(Bucket="served", Key="fall/bundle.tar.gz", Body=bundle.archive)
    server = start_container(AIP_STORAGE_URI="s3://served/fall/", BRIDGE_ASSETS_SLOT=bundle.slot)
    assert predicts_correctly(server.url, bundle)
    server.stop()


def test_the_bundle_is_downloaded_from_a_signed_url(bundle, web_server):
    url = web_server.serve("/fall/bundle.tar.gz", bundle.archive) + "?signature=abc"
    server = start_container(BRIDGE_ASSETS_PACKAGE=url, BRIDGE_ASSETS_PACKAGE_SHA256=bundle.digest.upper())
    assert predicts_correctly(server.url, bundle)
    server.stop()
    assert web_server.requests[-1][1].endswith("?signature=abc")


def test_leftovers_of_a_killed_server_are_removed_by_the_next(bundle, archive, tmp_path):
    (tmp_path / "tmp").mkdir()
    # The same process id as before, as in a restarted container
    leave_folder = "import os, sys; os.mkdir(f'{sys.argv[1]}/bridge_assets_{os.getpid()}_old')"
    again = f"{leave_folder}; os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, "-c", again, str(tmp_path / "tmp"), sys.executable, container.__file__]
    server = ServerProcess(command, BRIDGE_ASSETS_PACKAGE=str(archive), TMPDIR=str(tmp_path / "tmp"))
    (folder,) = (tmp_path / "tmp").iterdir()
    assert not folder.name.endswith("_old")
    assert predicts_correctly(server.url, bundle)
    server.stop()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({}, 8080),
        ({"SAGEMAKER_BIND_TO_PORT": "9001"}, 9001),
        ({"AIP_HTTP_PORT": "9002", "SAGEMAKER_BIND_TO_PORT": "9001"}, 9002),
        ({"BRIDGE_ASSETS_PORT": "0", "AIP_HTTP_PORT": "9002"}, 0),
    ],
)
def test_the_port_comes_from_the_provider(variables, port):
    assert container.port_of(variables) == port


def test_the_slot_is_the_one_of_the_deployment(bundle, tmp_path):
    package, configured = bundle.unpack(tmp_path / "package"), bundle.with_runtime_config({"image": "other"})
    assert configured.slot != bundle.slot
    assert container.verify_bundle(package, bundle.slot) == container.verify_bundle(package, None) == bundle.slot
    assert container.verify_bundle(package, configured.slot) == configured.slot, (
        "the same content with a runtime config"
    )


# Errors at start


def start_error(**variables: str) -> str:
    """The line on stderr of a container that fails to start with exit code 2."""
    environ = {"PATH": "", "BRIDGE_ASSETS_HOST": "127.0.0.1", "BRIDGE_ASSETS_PORT": "0", **variables}
    ran = subprocess.run(
        [sys.executable, container.__file__], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def test_a_missing_bundle_is_reported(tmp_path):
    missing = "no bundle was found. The path does not exist. What to do: set BRIDGE_ASSETS_PACKAGE"
    assert f"/opt/ml/model: {missing}" in start_error()
    assert missing in start_error(BRIDGE_ASSETS_PACKAGE=str(tmp_path / "gone"))
    assert "It contains neither bundle.tar.gz nor manifest.json" in start_error(AZUREML_MODEL_DIR=str(tmp_path))


def test_another_archive_than_the_one_deployed_is_not_unpacked(archive):
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PACKAGE_SHA256="0" * 64)
    assert "the archive is not what was deployed" in error


def test_another_slot_than_the_one_deployed_is_not_served(archive, versions):
    other = bundle_of(versions[1]).slot
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_SLOT=other)
    assert f"BRIDGE_ASSETS_SLOT says {other}" in error


@pytest.mark.parametrize("name", ["model.onnx", "normalization.json", "probe.json"])
def test_changed_files_are_not_served(bundle, tmp_path, name):
    package = bundle.unpack(tmp_path / "package")
    (package / name).write_bytes((package / name).read_bytes() + b" ")
    assert f"{name} is not what was deployed" in start_error(BRIDGE_ASSETS_PACKAGE=str(package))


def test_changed_code_is_not_run_if_the_slot_is_set(bundle, tmp_path):
    package = bundle.unpack(tmp_path / "package")
    (package / "code.zip").write_bytes(b"print('mine')")
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(package), BRIDGE_ASSETS_SLOT=bundle.slot)
    assert "this is not the expected bundle" in error


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "code.zip"])
def test_an_incomplete_bundle_is_not_served(bundle, tmp_path, name):
    package = bundle.unpack(tmp_path / "package")
    (package / name).unlink()
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(package))
    assert (
        "no bundle was found" in error
        if name == "manifest.json"
        else f"{package}: this bundle is not complete" in error
    )


def test_a_folder_cannot_be_compared_with_the_digest_of_an_archive(bundle, tmp_path):
    package = bundle.unpack(tmp_path / "package")
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(package), BRIDGE_ASSETS_PACKAGE_SHA256=bundle.digest)
    assert "set BRIDGE_ASSETS_SLOT instead" in error


def test_code_is_downloaded_only_if_its_digest_or_slot_is_set(bundle, web_server):
    url = web_server.serve("/bundle.tar.gz", bundle.archive)
    assert "Downloaded code is run only if" in start_error(BRIDGE_ASSETS_PACKAGE=url)
    assert not web_server.requests


def test_a_failed_download_is_reported_without_the_signature(web_server):
    url = web_server.address.replace("http://", "http://user:word@") + "/gone.tar.gz?signature=abc"
    error = start_error(BRIDGE_ASSETS_PACKAGE=url, BRIDGE_ASSETS_PACKAGE_SHA256="0" * 64)
    assert f"{web_server.address}/gone.tar.gz: the archive cannot be downloaded" in error
    assert "signature" not in error
    assert "word" not in error


def make_archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    "members",
    [
        [(tarfile.TarInfo("../model.onnx"), b"")],
        [(tarfile.TarInfo("/tmp/model.onnx"), b"")],
        [(tarfile.TarInfo("./model.onnx"), b"")],
        [(tarfile.TarInfo("sitecustomize.py"), b"print()")],
        [(link("model.onnx", "/etc/passwd"), b"")],
        [(tarfile.TarInfo("model.onnx"), b"1"), (tarfile.TarInfo("model.onnx"), b"2")],
    ],
    ids=["above", "absolute", "dotted", "unknown", "link", "twice"],
)
def test_an_archive_with_unexpected_members_is_not_unpacked(tmp_path, members):
    archive = make_archive(tmp_path / "bundle.tar.gz", *members)
    (tmp_path / "tmp").mkdir()
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), TMPDIR=str(tmp_path / "tmp"))
    assert f"{archive}: the archive cannot be unpacked" in error
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 1000, -1])
def test_a_truncated_archive_is_not_unpacked(bundle, tmp_path, cut):
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(bundle.archive[:cut])
    assert "the archive cannot be unpacked" in start_error(BRIDGE_ASSETS_PACKAGE=str(archive))


def test_an_invalid_port_is_rejected(archive):
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PORT="http")
    assert error == "BRIDGE_ASSETS_PORT: not a port number. It is 'http'. What to do: set it to 0 to 65535.\n"


def test_a_port_in_use_is_reported(archive):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PORT=str(port))
    assert f"127.0.0.1:{port}: the port cannot be used" in error


def test_a_model_that_fails_its_probe_is_not_served(versions, tmp_path):
    shutil.copytree(versions[0].folder, tmp_path / versions[0].version)
    candidate = ModelVersion(tmp_path / versions[0].version)
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["answers"][7] += 2e-6
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record_stage("onnx_model")
    archive = bundle_of(candidate).write(tmp_path / "bundle.tar.gz")
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive))
    assert "1 of 32 predictions differ from the exported model's; row 7" in error
