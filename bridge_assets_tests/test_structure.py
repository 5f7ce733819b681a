"""The shape of the code: no circle of imports, folders one can take in at a glance, tests where one looks for them.

The layers themselves are held by import-linter (`make lint`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PRODUCT, TESTS = PROJECT / "bridge_assets", PROJECT / "bridge_assets_tests"

#: More modules than this in one folder, and a newcomer has to search.
MAX_MODULES = 12
MAX_LINES = 400

#: Folders of the tests that mirror nothing: helpers, servers that stand in for providers, runs on real records, and
#: what measures the project.
WITHOUT_A_TWIN = {"benchmarks", "providers", "real", "support"}


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the product."""
    return {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PRODUCT.rglob("*.py")
    }


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of ours that a module imports, at its top, in a function or for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known.keys()
    return found


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Circles of a graph, each once: depth first, with the path that led there."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> Iterator[list[str]]:
        if name in path:
            yield [*path[path.index(name) :], name]
        elif name not in done:
            for below in sorted(graph[name]):
                yield from visit(below, [*path, name])
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def test_no_circle_of_imports() -> None:
    known = modules()
    graph = {name: imports_of(path, known) - {name} for name, path in known.items()}
    assert [" -> ".join(circle) for circle in circles(graph)] == []


def test_a_circle_is_found() -> None:
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == [["b", "c", "b"]]


@pytest.mark.parametrize("root", [PRODUCT, TESTS], ids=["product", "tests"])
def test_no_folder_holds_more_than_twelve_modules(root: Path) -> None:
    counts = {
        str(folder.relative_to(PROJECT)): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]
    }
    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_no_module_is_longer_than_a_few_screens() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_every_package_says_what_belongs_there() -> None:
    undocumented = [
        str(path.relative_to(PROJECT))
        for path in PRODUCT.rglob("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert undocumented == []


def test_tests_mirror_the_product() -> None:
    packages = {path.parent.relative_to(PRODUCT) for path in PRODUCT.rglob("__init__.py")}
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    assert {str(folder) for folder in folders - packages if folder.parts[0] not in WITHOUT_A_TWIN} == set()
