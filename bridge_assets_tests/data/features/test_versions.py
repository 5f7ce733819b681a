"""Values of a feature change only with its version, with the oldest allowed polars and with the locked one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support import feature_examples
from support.feature_examples import expected_values, present_values

from bridge_assets.data.features import build
from bridge_assets.data.features.definitions import FEATURES

PROJECT = Path(__file__).parents[3]

#: Largest difference that is tolerated. The distance to the coast is a product of float32 matrices, whose order of
#: summation depends on the processor; all else is float64 until it is rounded.
TOLERANCE = {"log_coast_distance": 1e-4}
DEFAULT_TOLERANCE = 1e-6

#: Messages of uv if no package index can be reached.
NO_INDEX_MESSAGES = (
    "failed to fetch",
    "error sending request",
    "dns error",
    "network was disabled",
    "network connectivity is disabled",
    "could not connect",
    "operation timed out",
)


def as_array(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def changed_values(present: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> list[str]:
    """Problems with features whose values or versions differ from the expected ones, with the remedy."""
    problems = [f"{name}: the feature no longer exists" for name in expected if name not in present]
    for name, feature in present.items():
        if name not in expected:
            problems.append(f"{name}: a new feature")
        elif feature["version"] != expected[name]["version"]:
            problems.append(f"{name}: now version {feature['version']}, values are for {expected[name]['version']}")
        else:
            now, before = as_array(feature["values"]), as_array(expected[name]["values"])
            tolerance = TOLERANCE.get(name, DEFAULT_TOLERANCE)
            if not np.allclose(now, before, rtol=tolerance, atol=tolerance, equal_nan=True):
                row = int(np.flatnonzero(~np.isclose(now, before, tolerance, tolerance, equal_nan=True))[0])
                problems.append(
                    f"{name}: record {row} was {before[row]} and is now {now[row]}, but the version is still "
                    f"{feature['version']}: increase the version of that feature"
                )
    return problems


def explain(problems: list[str]) -> str:
    script = Path(feature_examples.__file__).relative_to(PROJECT)
    return "\n".join([*problems, f"If a version was increased on purpose: python {script} --write"])


@pytest.fixture(scope="session")
def oldest_polars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the oldest polars that pyproject.toml allows."""
    from uv import find_uv_bin

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (requirement,) = [each for each in project["dependencies"] if each.startswith("polars")]
    folder = tmp_path_factory.mktemp("oldest-polars")
    command = [find_uv_bin(), "pip", "install", "--python", sys.executable, "--target", str(folder)]
    command += ["--resolution", "lowest-direct", requirement]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if run.returncode and any(message in run.stderr.lower() for message in NO_INDEX_MESSAGES):
        pytest.skip(f"no package index can be reached to install {requirement}: {run.stderr.strip()[-200:]}")
    assert run.returncode == 0, run.stderr
    return folder


def test_values_change_only_with_the_version_of_the_feature() -> None:
    problems = changed_values(present_values()["features"], expected_values())
    assert not problems, explain(problems)


def test_the_oldest_polars_gives_the_same_digest_and_values(oldest_polars: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(oldest_polars), str(PROJECT)])}
    command = [sys.executable, feature_examples.__file__]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["polars"] != pl.__version__
    assert found["features_digest"] == build.features_digest()
    problems = changed_values(found["features"], expected_values())
    assert not problems, explain(problems)


def test_the_examples_detect_a_change_of_any_feature() -> None:
    values = {name: feature["values"] for name, feature in expected_values().items()}
    assert set(values) == {feature.name for feature in FEATURES}
    assert all(len(set(each) - {None}) >= 2 for each in values.values())


def test_a_changed_expression_is_detected_and_the_message_names_the_feature() -> None:
    expected = expected_values()
    changed = {name: {**feature} for name, feature in expected.items()}
    changed["log_adt"]["values"] = [value and value + 0.001 for value in expected["log_adt"]["values"]]
    changed["age"]["version"] = 2
    del changed["skew"]
    skew, age, log_adt = changed_values(changed, expected)
    assert skew == "skew: the feature no longer exists"
    assert log_adt.startswith("log_adt: record ") and log_adt.endswith("increase the version of that feature")
    assert age == "age: now version 2, values are for 1"


def test_writing_keeps_the_values_of_an_unchanged_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_examples, "EXPECTED_FILE", tmp_path / "expected.json")
    feature_examples.write_expected(
        {"same": {"version": 1, "values": [1.0]}, "raised": {"version": 1, "values": [1.0]}}
    )
    feature_examples.write_expected(
        {"same": {"version": 1, "values": [2.0]}, "raised": {"version": 2, "values": [2.0]}}
    )
    expected = feature_examples.expected_values()
    assert (expected["same"]["values"], expected["raised"]["values"]) == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("change", "is_same"),
    [({"expression": pl.col("ADT_029") + 1}, True), ({"version": 99}, False), ({"unit": "1/day"}, False)],
    ids=["printed form", "version", "unit"],
)
def test_the_digest_covers_name_unit_and_version(
    change: dict[str, Any], is_same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build.features_digest()
    monkeypatch.setattr(build, "FEATURES", (replace(FEATURES[0], **change), *FEATURES[1:]))
    assert (build.features_digest() == before) == is_same


@pytest.mark.parametrize("table", ["normals_text", "coastline_text"])
def test_the_digest_covers_the_lookup_tables(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.features_digest()
    monkeypatch.setattr(build, table, lambda: "another table")
    assert build.features_digest() != before
