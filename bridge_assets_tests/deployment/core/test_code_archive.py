"""The code.zip of a bundle contains exactly the modules that serve requests."""

from __future__ import annotations

import ast
import io
import shutil
import zipfile
from pathlib import Path

import pytest

import bridge_assets
from bridge_assets.deployment.core.code_archive import SERVER_MODULE, SHIPPED_MODULES, build_code_archive, code_archive
from bridge_assets.errors import DeploymentError

CHECKOUT = Path(bridge_assets.__file__).parents[1]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Module -> source, for everything in the archive."""
    with zipfile.ZipFile(io.BytesIO(code_archive())) as archive:
        return {
            name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): archive.read(name).decode()
            for name in archive.namelist()
        }


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of this checkout's code that a test may change."""
    shutil.copytree(
        CHECKOUT / "bridge_assets", tmp_path / "bridge_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def imported_names(source: str) -> set[str]:
    """Names that a module imports, including imports inside functions but not those only for type checking."""
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        nodes += ast.iter_child_nodes(node)
    return {name for name in names if name.partition(".")[0] == "bridge_assets"}


def import_closure(module: str, sources: dict[str, str]) -> set[str]:
    """A module, the packages it is in, and everything of bridge_assets that these import."""
    found: set[str] = set()
    pending = [module]
    while pending:
        module = pending.pop()
        if module in found:
            continue
        found.add(module)
        parents = module.split(".")[:-1]
        pending += [".".join(parents[: length + 1]) for length in range(len(parents))]
        # `from a.b import c`: c is a module of the archive, or a name in the module a.b
        pending += [
            name if name in sources or name.rpartition(".")[0] not in sources else name.rpartition(".")[0]
            for name in imported_names(sources[module])
        ]
    return found


def test_the_archive_contains_exactly_what_the_server_imports(sources):
    assert tuple(sorted(sources)) == SHIPPED_MODULES
    assert import_closure(SERVER_MODULE, sources) == set(SHIPPED_MODULES)


def test_the_archive_is_small(sources):
    assert len(sources) <= 50
    assert sum(source.count("\n") for source in sources.values()) <= 5_000


def test_no_code_for_training_registration_deployment_or_reports_is_shipped():
    elsewhere = (
        *("alerting", "cli", "dashboard", "deployment", "drift", "forecast", "jobs", "nbi"),
        *("orchestration", "registry", "reporting", "scoring", "settings"),
        *("models.training", "models.evaluation", "models.metrics", "models.survival", "models.forest"),
        *("data.sources", "data.ingest", "data.quality"),
        *("metrics.pipeline_metrics", "metrics.pushgateway", "metrics.exporter"),
    )
    for name in elsewhere:
        assert not [module for module in SHIPPED_MODULES if f"{module}.".startswith(f"bridge_assets.{name}.")], name


@pytest.mark.parametrize(
    "path", ["deployment/sagemaker/target.py", "models/tasks/tasks.py", "runtime/endpoint_folder.py", "cli/endpoint.py"]
)
def test_a_comment_in_another_module_does_not_change_the_code(copy, path):
    file = copy / "bridge_assets" / path
    file.write_text(f"{file.read_text()}# A comment.\n")
    assert build_code_archive(copy) == code_archive()


@pytest.mark.parametrize("path", ["runtime/onnx_predictor.py", "serve/app.py", "data/features/normalization.py"])
def test_a_comment_in_a_shipped_module_changes_the_code(copy, path):
    file = copy / "bridge_assets" / path
    file.write_text(f"{file.read_text()}# A comment.\n")
    assert build_code_archive(copy) != code_archive()


def test_a_missing_module_is_an_error_that_names_it(copy):
    (copy / "bridge_assets" / "serve" / "app.py").unlink()
    with pytest.raises(DeploymentError, match=r"cannot be packed.*app\.py.*reinstall bridge-assets"):
        build_code_archive(copy)
