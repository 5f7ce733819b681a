"""A small platform with its own home that has run once, for the tests of the orchestration.

The home is restored to that state after every test that uses it, in place, so that paths in it (registry, provenance)
stay valid.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.small_platform import SMALL_SETTINGS, YEARS, SmallPlatform

from bridge_assets.cli import main
from bridge_assets.file_lock import file_lock
from bridge_assets.orchestration.runs.run_job import run_job
from bridge_assets.settings import DataSettings


@pytest.fixture(scope="session")
def _initial_platform(tmp_path_factory: pytest.TempPathFactory) -> SmallPlatform:
    home = tmp_path_factory.mktemp("platform") / "home"
    # The folder of this worker of pytest-xdist, in the one that all workers share.
    worker = tmp_path_factory.getbasetemp()
    if not worker.name.startswith("popen-"):
        return _run_once(home)
    first = worker.parent / "first_platform.pickle"
    with file_lock(worker.parent / "first_platform.lock"):
        if first.exists():
            built: SmallPlatform = pickle.loads(content := first.read_bytes())
        else:
            built = _run_once(home)
            first.write_bytes(pickle.dumps(built))
            return built
    if len(bytes(built.home)) != len(bytes(home)):
        return _run_once(home)
    _copy_moved(built.home, home)
    moved: SmallPlatform = pickle.loads(content.replace(bytes(built.home), bytes(home)))
    return SmallPlatform(home, moved.first_run)  # a path is pickled in parts, which name the other folder


def _run_once(home: Path) -> SmallPlatform:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("DAGSTER_HOME", raising=False)
        for variable, value in {**SMALL_SETTINGS, "BRIDGE_ASSETS_DATA__HOME": str(home)}.items():
            environment.setenv(variable, value)
        sample_result = CliRunner().invoke(main, ["sample"])
        assert sample_result.exit_code == 0, sample_result.output
        platform = SmallPlatform(home, run_job("full_pipeline", YEARS))
        os.environ.pop("DAGSTER_HOME", None)
    shutil.copytree(home, home.with_name("as_it_was"), symlinks=True)
    return platform


def _copy_moved(built: Path, home: Path) -> None:
    """Copy the platform that another worker built: a run takes more than a minute.

    Its files name their own folder. The names of the two folders are of the same length, so that they can be exchanged
    in a database, too.
    """
    for target in (home.with_name("as_it_was"), home):
        shutil.copytree(built.with_name("as_it_was"), target, symlinks=True)
        for path in target.rglob("*"):
            if path.is_file() and not path.is_symlink() and bytes(built) in (content := path.read_bytes()):
                path.write_bytes(content.replace(bytes(built), bytes(home)))


@pytest.fixture
def platform(_initial_platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallPlatform]:
    """The small platform after its first run; changes by a test are undone."""
    for variable, value in {**SMALL_SETTINGS, "BRIDGE_ASSETS_DATA__HOME": str(_initial_platform.home)}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DAGSTER_HOME", str(_initial_platform.home / "dagster"))
    assert DataSettings.load().home_folder == _initial_platform.home
    yield _initial_platform
    _restore_home(_initial_platform.home)


@pytest.fixture
def restored(platform: SmallPlatform) -> Callable[[], AbstractContextManager[None]]:
    """A block whose changes to the platform are undone at its end, for tests with several of them."""

    @contextmanager
    def block() -> Iterator[None]:
        try:
            yield
        finally:
            _restore_home(platform.home)

    return block


def _restore_home(home: Path) -> None:
    # The registry is not restored: MLflow keeps its database open for the life of the process, and extra versions in it
    # do no harm.
    for path in home.iterdir():
        if path.name.startswith("ml"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.copytree(
        home.with_name("as_it_was"),
        home,
        symlinks=True,
        dirs_exist_ok=True,
        ignore=lambda folder, names: [
            name for name in names if str(folder).endswith("as_it_was") and name.startswith("ml")
        ],
    )
