"""The wheel works without a checkout: built, installed into an empty folder, and run from another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.shipped.other_pythons import UNSUPPORTED_PYTHONS

from bridge_assets.storage import digest

PROJECT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "workspace.yaml"):
        shutil.copy(PROJECT / name, source)
    for name in ("bridge_assets", "configs", "dbt_project"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    # What dbt leaves in a checkout, whether or not it ran here.
    for name in ("target", "logs", "dbt_packages"):
        (source / "dbt_project" / name).mkdir(exist_ok=True)
        (source / "dbt_project" / name / "left_by_dbt.json").write_text("{}")
    build = [UV, "build", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "--wheel"]
    subprocess.run([*build, "--out-dir", folder, source], check=True, timeout=120)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed without its dependencies: those of this environment are used."""
    folder = tmp_path_factory.mktemp("installed")
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", folder, wheel], check=True, timeout=120)
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """An empty working directory."""
    folder = tmp_path / "workplace"
    folder.mkdir()
    return folder


def shell(installed: Path, folder: Path, *arguments: str, **variables: str) -> str:
    """Run the installed `bridge-assets` in a folder, with an empty home; its output."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_ASSETS_", "DAGSTER_"))}
    environment = kept | {
        "PYTHONPATH": str(installed),  # comes before the editable install of the checkout
        "HOME": str(home),
        "DO_NOT_TRACK": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        **variables,
    }
    command = [str(installed / "bin" / "bridge-assets"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def installed_files(installed: Path) -> dict[str, str]:
    """Digest of every file of the installation, except what Python and numba compile next to the modules."""
    files = (path for path in installed.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(installed)): digest(path) for path in files}


def test_the_wheel_holds_the_whole_project_and_nothing_that_dbt_wrote(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    project = [PROJECT / "workspace.yaml", *(PROJECT / "configs").rglob("*")]
    project += [
        path
        for folder in ("models", "macros", "tests", "dbt_project.yml", "profiles.yml")
        for path in [PROJECT / "dbt_project" / folder, *(PROJECT / "dbt_project" / folder).rglob("*")]
    ]
    expected = {f"bridge_assets/default_project/{path.relative_to(PROJECT)}" for path in project if path.is_file()}
    assert {name for name in names if name.startswith("bridge_assets/default_project/")} == expected
    assert "bridge_assets/py.typed" in names
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"bridge_assets"}
    product = (path for path in (PROJECT / "bridge_assets").rglob("*") if path.is_file())
    assert {str(path.relative_to(PROJECT)) for path in product if "__pycache__" not in path.parts} <= names


def test_an_empty_folder_is_enough_to_run(installed: Path, workplace: Path) -> None:
    before = installed_files(installed)
    assert shell(installed, workplace, "--version").startswith("bridge-assets, version ")
    small = {"BRIDGE_ASSETS_DATA__SAMPLE__STRUCTURES": "300", "BRIDGE_ASSETS_DATA__SAMPLE__FIRST_YEAR": "2024"}
    output = shell(installed, workplace, "run", "--job", "inventory", **small)
    assert f"Running inventory over survey years 2024 to 2025 from {workplace / 'var' / 'sample'}" in output
    assert "Done after " in output
    assert [path.name for path in workplace.iterdir()] == ["var"], "all outputs are in the home folder"
    assert (workplace / "var" / "lake" / "int_inspections.parquet").is_file()
    assert (workplace / "var" / "reports" / "data_quality.html").is_file()
    assert (workplace / "var" / "dagster" / "dagster.yaml").is_file()
    assert len(list((workplace / "var" / "dbt").glob("parsed-*/manifest.json"))) == 1
    assert installed_files(installed) == before


def test_a_new_project_is_written_and_its_settings_are_used(installed: Path, workplace: Path) -> None:
    output = shell(installed, workplace, "init", "mine")
    assert "cd mine" in output and "bridge-assets run" in output and "bridge-assets dev" in output
    config = workplace / "mine" / "configs" / "data_config.yaml"
    assert config.read_bytes() == (PROJECT / "configs" / "data_config.yaml").read_bytes()
    config.write_text("sample:\n  structures: 60\n  first_year: 2025\nhome: results\n")
    output = shell(installed, workplace / "mine", "sample")
    assert f"60 structures in 1 files in {workplace / 'mine' / 'results' / 'sample'}" in output


@pytest.mark.parametrize(("version", "python"), UNSUPPORTED_PYTHONS)
def test_pip_of_another_python_version_says_which_is_needed(wheel: Path, version: str, python: str) -> None:
    command = [python, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"requires a different Python: {version}." in done.stderr and "<3.13,>=3.11" in done.stderr
