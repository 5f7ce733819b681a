"""Before a run writes, models and endpoints are closed to other users, and leftovers of killed runs removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings import CONFIG_FOLDER_VARIABLE
from bridge_assets.storage import write_text


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_run_starts_with_private_folders_and_without_leftovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv(CONFIG_FOLDER_VARIABLE, str(tmp_path / "configs"))
    left = tmp_path / "var" / "models" / "old" / "model.onnx"  # of an older release
    left.parent.mkdir(parents=True)
    left.write_text("x")
    tmp_path.chmod(0o755)
    (tmp_path / "var").chmod(0o755)

    unfinished = tmp_path / "var" / "lake" / "raw_bridges" / ".2018.parquet.1234abcd.tmp"  # of a killed run
    unfinished.parent.mkdir(parents=True)
    unfinished.write_text("half")

    @dg.asset
    def written(platform: Platform) -> None:
        assert not unfinished.exists()
        assert left.stat().st_mode & 0o007 == platform.data.models_folder.stat().st_mode & 0o007 == 0
        assert platform.data.endpoint_folder.parent.stat().st_mode & 0o777 == 0o700
        write_text("x", platform.data.models_folder / "new" / "model.onnx")
        package = platform.data.endpoint_folder / "versions" / "new"
        package.mkdir(parents=True)
        (package / "model.onnx").write_text("copied by a library")
        write_text("x", platform.data.reports_folder / "page.html")

    assert dg.materialize([written], resources={"platform": Platform()}).success
    assert left.stat().st_mode & 0o777 == 0o640  # the group of a folder that was there keeps what it may
    Platform().close_to_others()  # as at the end of `bridge-assets run`
    for folder in ("models", "endpoints"):
        for path in (tmp_path / "var" / folder).rglob("*"):
            assert path.stat().st_mode & 0o007 == 0, path
    package = tmp_path / "var" / "endpoints" / "local" / "versions" / "new"
    assert (package.stat().st_mode & 0o777, (package / "model.onnx").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (tmp_path / "var" / "reports" / "page.html").stat().st_mode & 0o777 == 0o644


def test_a_sensor_that_looks_creates_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))

    @dg.sensor(target="*")
    def looks(platform: Platform) -> dg.SkipReason:
        return dg.SkipReason(str(platform.data.models_folder))

    looks(dg.build_sensor_context(resources={"platform": Platform()}))
    assert not (tmp_path / "home").exists()
