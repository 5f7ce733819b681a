"""Fixtures shared by all tests.

Real NBI records are not shipped with the project. The tests that need them look in `../shared/data` beside the
checkout, or in the folder that `BRIDGE_ASSETS_REAL_DATA` names, and skip where there is none. With
`BRIDGE_ASSETS_REQUIRE_REAL_DATA=1` (set by
`.ci/run` where the folder exists) a missing folder fails instead, so that they cannot be skipped by mistake.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.download_server import DownloadServer, download_server

PROJECT = Path(__file__).parent.parent

# What this machine's user has set for their own runs is none of the tests' business.
SETTINGS_SECTIONS = ("DATA", "MODEL", "MLFLOW", "DVC", "ENVIRONMENT")
USER_VARIABLE_PREFIXES = (
    *(f"BRIDGE_ASSETS_{of}__" for of in SETTINGS_SECTIONS),
    "DAGSTER_HOME",
    "SLACK_",
    "PROMETHEUS_",
)
for variable in [name for name in os.environ if name.startswith(USER_VARIABLE_PREFIXES)]:
    del os.environ[variable]

pytest_plugins = ["support.training_fixtures"]

# Some tests import ONNX Runtime before anything of ours could silence it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real NBI records."""
    folder = Path(os.environ.get("BRIDGE_ASSETS_REAL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "nbi").is_dir():
        reason = f"no real NBI records at {folder}: set BRIDGE_ASSETS_REAL_DATA to a folder that holds them"
        if os.environ.get("BRIDGE_ASSETS_REQUIRE_REAL_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server on loopback (moto), with credentials that are good for nothing else."""
    server = pytest.importorskip("moto.server", reason="the S3 server of the tests is moto[server]")
    with pytest.MonkeyPatch.context() as patch:
        # Set before the server starts: what a user's shell holds must never reach a real bucket.
        for variable in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(variable)
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
        host, port = running.get_host_and_port()
        for variable, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(variable, value)
        yield f"http://{host}:{port}"
        running.stop()


@pytest.fixture
def web_server() -> Iterator[DownloadServer]:
    """A web server on loopback, for downloads."""
    with download_server() as server:
        yield server
