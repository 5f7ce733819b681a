"""The mutator, on a module of a few lines with a test that looks closely and one that does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import mutants
from benchmarks.mutations import of_python, of_sql

MODULE = '''"""Text of 3 < 4."""

LIMIT: int = 3


def allowed(weight: int, posted: bool = True) -> bool:
    if weight < 0:
        raise ValueError(f"{weight} < 0")
    return not posted or weight <= LIMIT
'''
STRONG = """
import pytest
from limits import allowed

def test_allowed():
    assert [allowed(weight) for weight in (0, 3, 4)] == [True, True, False]
    assert allowed(4, posted=False)
    assert allowed(3, posted=False)
    with pytest.raises(ValueError):
        allowed(-1)
"""
WEAK = """
from limits import allowed

def test_allowed():
    assert allowed(2)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "limits_project"
    (folder / "benchmarks").mkdir(parents=True)
    for name, text in (("limits.py", MODULE), ("test_strong.py", STRONG), ("test_weak.py", WEAK)):
        (folder / name).write_text(text)
    return folder


def run(project: Path, *options: str, **modules: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The mutator as a person runs it, on another project: it forks, which a process with threads had better not."""
    call = (
        f"import sys, pathlib; from benchmarks import mutants; mutants.SECONDS_MORE = 1; "
        f"sys.exit(mutants.main({list(options)!r}, pathlib.Path({str(project)!r}), {dict(modules)!r}))"
    )
    root = Path(mutants.__file__).parent.parent
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # a toy needs none, and each fork loads them
    return subprocess.run(
        [sys.executable, "-c", call], cwd=root, env=environment, capture_output=True, text=True, timeout=120
    )


def survivors(report: str) -> list[str]:
    return [line for line in report.splitlines() if line.startswith("limits.py:")]


def test_a_test_that_looks_closely_kills_every_mutant_and_the_checkout_stays_as_it_was(project: Path):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    finished = run(project, **{"limits.py": ("test_strong.py",)})

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[1].split() == ["limits.py", "11", "11", "0", "100", "%"]
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_survivors_are_named_and_equivalent_ones_are_not_counted(project: Path):
    (project / mutants.EQUIVALENT).write_text("limits.py | LIMIT: int = 3 | 3 -> 4 | nothing weighs 4\n")

    finished = run(project, "--jobs", "2", **{"limits.py": ("test_weak.py",)})

    assert finished.returncode == 1, finished.stderr
    assert finished.stdout.splitlines()[1].split() == ["limits.py", "10", "2", "8", "20", "%"]
    # `return None` and `or -> and` are what the weak test sees.
    assert survivors(finished.stdout) == [
        "limits.py:3: 3 -> 2",
        "limits.py:6: True -> False",
        "limits.py:7: branch removed",
        "limits.py:7: < -> <=",
        "limits.py:7: 0 -> -1",
        "limits.py:7: 0 -> 1",
        "limits.py:9: negation removed",
        "limits.py:9: <= -> <",
    ]
    assert "- return not posted or weight <= LIMIT\n+ return not posted or weight < LIMIT" in finished.stdout


def test_a_mutant_that_never_ends_is_killed(project: Path):
    (project / "limits.py").write_text(
        "def count(to):\n    at = 0\n    while at < to:\n        at += 2\n    return at\n"
    )
    (project / "test_weak.py").write_text(
        "import limits\n\ndef test_count():\n    assert [limits.count(3), limits.count(4)] == [4, 4]\n"
    )

    finished = run(project, **{"limits.py": ("test_weak.py",)})

    # Without `at += 2`, and with `-=`, it never ends.
    assert "statement removed" not in finished.stdout and "+ -> -" not in finished.stdout
    assert finished.stdout.splitlines()[1].split()[1:3] == ["8", "8"]


def test_an_entry_that_fits_no_mutant_stops_the_run(project: Path):
    (project / mutants.EQUIVALENT).write_text("limits.py | LIMIT: int = 5 | 5 -> 6 | was there once\n")

    finished = run(project, **{"limits.py": ("test_weak.py",)})

    assert finished.returncode == 1
    assert "limits.py | LIMIT: int = 5 | 5 -> 6" in finished.stderr


def test_tests_that_fail_without_a_mutant_score_nothing(project: Path):
    (project / "test_weak.py").write_text("def test_nothing():\n    import limits\n    assert False, 'as it is'\n")

    finished = run(project, **{"limits.py": ("test_weak.py",)})

    assert finished.returncode == 1
    assert "the tests of the unchanged module fail" in finished.stderr


def test_texts_annotations_and_messages_are_left_alone():
    text = (
        '"""1 < 2"""\nimport logging\n__all__ = ["f"]\nlogger = logging.getLogger()\n\n\n'
        '@wraps(1)\ndef f(a: Literal[1]) -> Literal[2]:\n    """3"""\n    logger.info("%d", 4)\n    g(f"{a + 5}")\n'
        "if TYPE_CHECKING:\n    import h\n"
    )
    assert [(mutant.line, mutant.name) for mutant in of_python(text)] == [(11, "statement removed")]


def test_a_condition_and_a_partition_are_dropped_from_sql():
    text = "select sum(a) over (partition by b order by c) from {{ ref('d') }} -- 1 = 1\nwhere x = 'y' and z < 2\n"
    assert [(mutant.name, mutant.after) for mutant in of_sql(text) if mutant.name.endswith("removed")] == [
        ("partition by removed", "select sum(a) over ( order by c) from {{ ref('d') }} -- 1 = 1"),
        ("condition removed", "where x = 'y'"),
    ]
    assert {mutant.line for mutant in of_sql(text) if not mutant.name.endswith("removed")} == {2}
