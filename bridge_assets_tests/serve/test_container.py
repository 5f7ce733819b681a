"""How a container starts: where the bundle comes from, whose code answers, and why nothing is served."""

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

#: The libraries of this environment without what leads to this checkout, the files that `site` would read.
_FROM_CODE_ZIP_ALONE = """
import atexit, json, os, runpy, sys
sys.path.append(sys.argv.pop(1))
def tell():
    loaded = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    silent = os.environ.get("ORT_DISABLE_TELEMETRY")
    print(json.dumps({"event": "modules", "loaded": loaded, "path": sys.path, "silent": silent}))
atexit.register(tell)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def archive(bundle, tmp_path) -> Path:
    return bundle.write(tmp_path / "bundle.tar.gz")


def answers(url: str, bundle: Bundle) -> bool:
    reply = httpx.post(f"{url}/predict", json={"instances": bundle.probe.request_rows()}, timeout=30)
    compare_answers(reply.json()["predictions"], bundle.probe, url)
    return reply.headers["X-Model-Slot"] == bundle.slot


# Starting


def test_only_the_bundles_own_code_answers_and_nothing_heavy_is_loaded(bundle, archive, tmp_path):
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _FROM_CODE_ZIP_ALONE,
        sysconfig.get_path("purelib"),
        container.__file__,
    ]
    package = {"BRIDGE_ASSETS_PACKAGE": str(archive), "BRIDGE_ASSETS_PACKAGE_SHA256": bundle.digest}
    server = ServerProcess(command, **package, XDG_CACHE_HOME=str(tmp_path / "cache"), ORT_DISABLE_TELEMETRY=None)
    assert answers(server.url, bundle)
    assert httpx.post(f"{server.url}/v2/models/bridge-fall/infer", content=b"{").status_code == 400
    assert server.stop() == 0
    told = server.log[-1]
    folder = Path(told["path"][0]).parent
    ours = {file for name, file in told["loaded"].items() if name.partition(".")[0] == "bridge_assets"}
    assert len(ours) > 10
    assert all(file.startswith(f"{folder}/code.zip/") for file in ours)
    assert not folder.exists(), "what was unpacked is removed at the end"
    heavy = ["dagster", "mlflow", "sklearn", "pandas", "numba", "requests", "scipy", "pydantic", "pyarrow", "fsspec"]
    assert [name for name in heavy if name in told["loaded"]] == []
    assert told["silent"] == "1"
    assert not (tmp_path / "cache").exists(), "ONNX Runtime keeps what it would report there"


@pytest.mark.parametrize(
    "variables",
    [
        {"BRIDGE_ASSETS_PACKAGE": "{}/unpacked", "AIP_STORAGE_URI": "gs://not/asked/for"},
        {"AZUREML_MODEL_DIR": "{}/mounted"},
        {"AIP_STORAGE_URI": "{}"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_a_provider_says_where_the_bundle_is(bundle, archive, tmp_path, variables):
    bundle.unpack(tmp_path / "unpacked")
    # Azure ML mounts the folder that was registered inside of the one it names
    shutil.copytree(tmp_path / "unpacked", tmp_path / "mounted" / "bridge-fall")
    said = {name: value.format(tmp_path) for name, value in variables.items()}
    server = start_container(BRIDGE_ASSETS_SLOT=bundle.slot, **said)
    assert answers(server.url, bundle)
    server.stop()


def test_the_bundle_is_fetched_from_a_bucket(bundle, s3_endpoint):
    import boto3

    boto3.client("s3").create_bucket(Bucket="served")
    boto3.client("s3").put_object(Bucket="served", Key="fall/bundle.tar.gz", Body=bundle.archive)
    server = start_container(AIP_STORAGE_URI="s3://served/fall/", BRIDGE_ASSETS_SLOT=bundle.slot)
    assert answers(server.url, bundle)
    server.stop()


def test_the_bundle_is_fetched_from_the_web_with_a_signature(bundle, web_server):
    url = web_server.serve("/fall/bundle.tar.gz", bundle.archive) + "?signature=abc"
    server = start_container(BRIDGE_ASSETS_PACKAGE=url, BRIDGE_ASSETS_PACKAGE_SHA256=bundle.digest.upper())
    assert answers(server.url, bundle)
    server.stop()
    assert web_server.requests[-1][1].endswith("?signature=abc")


def test_what_a_killed_server_left_is_removed_by_the_next(bundle, archive, tmp_path):
    (tmp_path / "tmp").mkdir()
    # The same process number as before, as in a container that is started again
    left = "import os, sys; os.mkdir(f'{sys.argv[1]}/bridge_assets_{os.getpid()}_old')"
    again = f"{left}; os.execv(sys.argv[2], sys.argv[2:])"
    command = [sys.executable, "-c", again, str(tmp_path / "tmp"), sys.executable, container.__file__]
    server = ServerProcess(command, BRIDGE_ASSETS_PACKAGE=str(archive), TMPDIR=str(tmp_path / "tmp"))
    (folder,) = (tmp_path / "tmp").iterdir()
    assert not folder.name.endswith("_old")
    assert answers(server.url, bundle)
    server.stop()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ({}, 8080),
        ({"SAGEMAKER_BIND_TO_PORT": "9001"}, 9001),
        ({"AIP_HTTP_PORT": "9002", "SAGEMAKER_BIND_TO_PORT": "9001"}, 9002),
        ({"BRIDGE_ASSETS_PORT": "0", "AIP_HTTP_PORT": "9002"}, 0),
    ],
)
def test_a_provider_says_the_port(said, port):
    assert container.port_of(said) == port


def test_the_slot_is_the_one_that_the_deployment_names(bundle, tmp_path):
    package, settled = bundle.unpack(tmp_path / "package"), bundle.with_runtime_config({"image": "other"})
    assert settled.slot != bundle.slot
    assert container.verify_bundle(package, bundle.slot) == container.verify_bundle(package, None) == bundle.slot
    assert container.verify_bundle(package, settled.slot) == settled.slot, "the same content, under settings"


# Not starting


def refusal(**variables: str) -> str:
    """What a container says that does not start: one line, and the code 2."""
    environ = {"PATH": "", "BRIDGE_ASSETS_HOST": "127.0.0.1", "BRIDGE_ASSETS_PORT": "0", **variables}
    ran = subprocess.run(
        [sys.executable, container.__file__], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


def test_there_is_no_bundle(tmp_path):
    nothing = "there is no bundle. There is no such folder or file. What to do: set BRIDGE_ASSETS_PACKAGE"
    assert f"/opt/ml/model: {nothing}" in refusal()
    assert nothing in refusal(BRIDGE_ASSETS_PACKAGE=str(tmp_path / "gone"))
    assert "It holds neither bundle.tar.gz nor manifest.json" in refusal(AZUREML_MODEL_DIR=str(tmp_path))


def test_another_archive_than_the_one_deployed_is_not_unpacked(archive):
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PACKAGE_SHA256="0" * 64)
    assert "the archive is not what was deployed" in said


def test_another_slot_than_the_one_deployed_is_not_served(archive, versions):
    other = bundle_of(versions[1]).slot
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_SLOT=other)
    assert f"BRIDGE_ASSETS_SLOT says {other}" in said


@pytest.mark.parametrize("name", ["model.onnx", "normalization.json", "probe.json"])
def test_bytes_that_changed_are_not_served(bundle, tmp_path, name):
    package = bundle.unpack(tmp_path / "package")
    (package / name).write_bytes((package / name).read_bytes() + b" ")
    assert f"{name} is not what was deployed" in refusal(BRIDGE_ASSETS_PACKAGE=str(package))


def test_code_that_changed_is_not_run_where_the_slot_is_named(bundle, tmp_path):
    package = bundle.unpack(tmp_path / "package")
    (package / "code.zip").write_bytes(b"print('mine')")
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(package), BRIDGE_ASSETS_SLOT=bundle.slot)
    assert "this is not the expected bundle" in said


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "code.zip"])
def test_a_bundle_that_is_not_whole_is_not_served(bundle, tmp_path, name):
    package = bundle.unpack(tmp_path / "package")
    (package / name).unlink()
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(package))
    assert (
        "there is no bundle" in said if name == "manifest.json" else f"{package}: this bundle is not complete" in said
    )


def test_a_folder_has_no_digest_to_be_compared(bundle, tmp_path):
    package = bundle.unpack(tmp_path / "package")
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(package), BRIDGE_ASSETS_PACKAGE_SHA256=bundle.digest)
    assert "set BRIDGE_ASSETS_SLOT instead" in said


def test_code_from_elsewhere_is_fetched_only_where_it_is_known(bundle, web_server):
    url = web_server.serve("/bundle.tar.gz", bundle.archive)
    assert "Downloaded code is run only if" in refusal(BRIDGE_ASSETS_PACKAGE=url)
    assert not web_server.requests


def test_what_cannot_be_fetched_is_said_without_the_signature(web_server):
    url = web_server.address.replace("http://", "http://user:word@") + "/gone.tar.gz?signature=abc"
    said = refusal(BRIDGE_ASSETS_PACKAGE=url, BRIDGE_ASSETS_PACKAGE_SHA256="0" * 64)
    assert f"{web_server.address}/gone.tar.gz: the archive cannot be fetched" in said
    assert "signature" not in said
    assert "word" not in said


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
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
def test_an_archive_with_anything_else_in_it_is_not_unpacked(tmp_path, members):
    archive = packed(tmp_path / "bundle.tar.gz", *members)
    (tmp_path / "tmp").mkdir()
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive), TMPDIR=str(tmp_path / "tmp"))
    assert f"{archive}: the archive cannot be unpacked" in said
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 1000, -1])
def test_half_an_archive_is_not_unpacked(bundle, tmp_path, cut):
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(bundle.archive[:cut])
    assert "the archive cannot be unpacked" in refusal(BRIDGE_ASSETS_PACKAGE=str(archive))


def test_a_port_must_be_one(archive):
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PORT="http")
    assert said == "BRIDGE_ASSETS_PORT: this is not a port. It is 'http'. What to do: set it to 0 to 65535.\n"


def test_a_port_that_is_taken_is_said_so(archive):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_PORT=str(port))
    assert f"127.0.0.1:{port}: the port cannot be used" in said


def test_a_model_that_does_not_answer_its_probe_here_is_not_served(versions, tmp_path):
    shutil.copytree(versions[0].folder, tmp_path / versions[0].version)
    candidate = ModelVersion(tmp_path / versions[0].version)
    probe = json.loads(candidate.file("probe.json").read_text())
    probe["answers"][7] += 2e-6
    candidate.file("probe.json").write_text(json.dumps(probe))
    candidate.record_stage("onnx_model")
    archive = bundle_of(candidate).write(tmp_path / "bundle.tar.gz")
    said = refusal(BRIDGE_ASSETS_PACKAGE=str(archive))
    assert "1 of 32 answers are not the artifact's own; row 7" in said
