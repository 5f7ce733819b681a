"""`install_command`: what an error message says works where the package is installed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from bridge_assets import extras
from bridge_assets.extras import install_command

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def installed_from(tmp_path, monkeypatch):
    """An installed package whose direct_url.json (PEP 610) says where it came from."""

    def install(direct_url: dict | None) -> None:
        folder = tmp_path / "bridge_assets-0.1.0.dist-info"
        folder.mkdir(exist_ok=True)
        lines = ["Name: bridge-assets", "Version: 0.1.0"]
        lines += [
            f"Requires-Dist: {name}" for name in ("polars>=1", 'boto3>=1.40; extra == "aws"', 's3fs; extra == "aws"')
        ]
        (folder / "METADATA").write_text("\n".join(lines))
        if direct_url is not None:
            (folder / "direct_url.json").write_text(json.dumps(direct_url))

        def found(name: str) -> Distribution:
            return PathDistribution(folder)

        monkeypatch.setattr(extras, "distribution", found)

    return install


def arguments(extra: str) -> list[str]:
    command = shlex.split(install_command(extra))
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    return command[4:]


def test_an_editable_checkout_is_named(installed_from, tmp_path) -> None:
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    installed_from({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    assert arguments("aws") == ["--editable", f"{checkout}[aws]"]


def test_a_wheel_is_named(installed_from, tmp_path) -> None:
    wheel = tmp_path / "bridge_assets-0.1.0-py3-none-any.whl"
    wheel.touch()
    installed_from({"url": wheel.as_uri(), "archive_info": {}})
    assert arguments("k8s") == [f"bridge-assets[k8s] @ {wheel.as_uri()}"]


def test_the_libraries_are_named_if_the_wheel_is_gone(installed_from, tmp_path) -> None:
    installed_from({"url": (tmp_path / "gone.whl").as_uri(), "archive_info": {}})
    assert arguments("aws") == ["boto3>=1.40", "s3fs"]


def test_a_package_from_an_index_is_named_alone(installed_from) -> None:
    installed_from(None)
    assert arguments("sheets") == ["bridge-assets[sheets]"]


def test_an_environment_without_pip_uses_uv(monkeypatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert install_command("aws").startswith(f"uv pip install --python {sys.executable} ")


def test_pip_accepts_the_command_of_this_installation() -> None:
    """Nothing is downloaded: without dependencies, pip only resolves the name that the command gives it."""
    command = shlex.split(install_command("aws"))
    options = ["--dry-run", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


def test_no_message_names_an_extra_in_another_way() -> None:
    modules = [path for path in (PROJECT / "bridge_assets").rglob("*.py") if path.name != "extras.py"]
    assert [str(path) for path in modules if re.search(r"install\s+'?bridge-assets\[", path.read_text("utf-8"))] == []
