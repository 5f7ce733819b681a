"""`python -m benchmarks.mutants` (`make mutants`): do the tests of the core modules notice when a line is wrong?

Runs each module's tests on a fixed sample of its mutants (`benchmarks.mutations`); the table shows how many were
killed, followed by every survivor. Run it by hand: it takes minutes per module. It never writes to the checkout: the
tests run in copies of it, which are deleted when the run ends.

Why not an existing tool: mutmut 3 skips module-level code and everything decorated (our dataclasses, assets and checks)
and works in a folder of the checkout; cosmic-ray edits the file in place, where a killed run leaves the mutant, and
starts a new Python for every mutant. Neither samples, scores by module or supports SQL. Here one process per module
imports the libraries that its tests need, and none of our modules; each mutant is a fork of it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.mutations import MUTATIONS, Mutant

PROJECT, TESTS = Path(__file__).parent.parent, "bridge_assets_tests"

#: Module -> its test files, fast ones first. A dbt model is tested with dbt's own tests, on the records of that file.
MODULES: dict[str, tuple[str, ...]] = {
    "bridge_assets/deployment/gate/decision.py": (f"{TESTS}/deployment/gate/test_decision.py",),
    "bridge_assets/deployment/gate/content.py": (f"{TESTS}/deployment/gate/test_content.py",),
    "bridge_assets/deployment/gate/limits.py": (f"{TESTS}/deployment/gate/test_limits.py",),
    "bridge_assets/deployment/gate/signature.py": (f"{TESTS}/deployment/gate/test_signature.py",),
    "bridge_assets/deployment/core/packing.py": (f"{TESTS}/deployment/core/test_bundle.py",),
    "bridge_assets/deployment/core/target.py": (f"{TESTS}/deployment/core/test_target.py",),
    "bridge_assets/deployment/gate/champion.py": (
        f"{TESTS}/deployment/gate/test_champion.py",
        f"{TESTS}/deployment/gate/test_champion_not_comparable.py",
    ),
    "bridge_assets/deployment/gate/challenge.py": (f"{TESTS}/deployment/gate/test_challenge.py",),
    "bridge_assets/orchestration/gate/check_history.py": (f"{TESTS}/orchestration/gate/test_check_history.py",),
    "bridge_assets/orchestration/gate/judged.py": (f"{TESTS}/orchestration/gate/test_judged.py",),
    "bridge_assets/storage.py": (f"{TESTS}/test_storage.py",),
    "bridge_assets/nbi/delimited/records.py": (f"{TESTS}/nbi/delimited/test_records.py",),
    "bridge_assets/nbi/delimited/fields.py": (
        f"{TESTS}/nbi/delimited/test_fields.py",
        f"{TESTS}/nbi/delimited/test_records.py",
    ),
    "bridge_assets/nbi/derived.py": (f"{TESTS}/nbi/test_derived.py",),
    "bridge_assets/models/dataset/split.py": (f"{TESTS}/models/dataset/test_split.py",),
    "bridge_assets/models/forest/quantize.py": (f"{TESTS}/models/forest/test_quantize.py",),
    "bridge_assets/models/forest/float16_forest.py": (
        f"{TESTS}/models/forest/test_float16_forest.py",
        f"{TESTS}/models/forest/test_quantize.py",
    ),
    "bridge_assets/data/records/validation.py": (f"{TESTS}/data/records/test_validation.py",),
    "bridge_assets/serve/contracts.py": (f"{TESTS}/serve/test_contracts.py", f"{TESTS}/serve/test_request_rows.py"),
    "dbt_project/models/marts/inventory/fct_condition_transitions.sql": (f"{TESTS}/test_dbt_project.py",),
}
LEAST_SCORE = 95.0
#: A mutant has five times the time of the unchanged module, plus this; one that takes longer counts as killed.
SECONDS_MORE = 10
#: Mutants that nobody could notice, one per line: `module | line | mutation | reason`.
EQUIVALENT = "benchmarks/equivalent_mutants.txt"
#: Not copied, because not needed: outputs, installed packages, git's own files.
NOT_COPIED = (".git", ".venv", "var", "logs", ".*_cache", ".hypothesis", "*.egg-info", "node_modules")


class Score(NamedTuple):
    """The result of a module's mutants, without the equivalent ones."""

    module: str
    mutants: int
    survivors: list[Mutant]

    @property
    def percent(self) -> float:
        return 100 * (1 - len(self.survivors) / self.mutants) if self.mutants else 100.0


def chosen(project: Path, module: str, most: int, seed: int) -> list[Mutant]:
    """A seeded sample of a module's mutants, in the order of the text, without those listed as equivalent."""
    mutants = MUTATIONS[Path(module).suffix]((project / module).read_text())
    listed = project / EQUIVALENT
    lines = listed.read_text().splitlines() if listed.is_file() else []
    entries = {line.rsplit(" | ", 1)[0] for line in lines if line.startswith(f"{module} | ")}
    names = {mutant: f"{module} | {mutant.before} | {mutant.name}" for mutant in mutants}
    if stale := sorted(entries - {*names.values()}):
        raise SystemExit(f"{EQUIVALENT} lists mutants that no longer exist; remove or correct:\n" + "\n".join(stale))
    left = [mutant for mutant, name in names.items() if name not in entries]
    return sorted(random.Random(seed).sample(left, min(most, len(left))), key=mutants.index)


class Copy:
    """A copy of the project, with a scratch folder, in which one mutant at a time is tested."""

    def __init__(self, project: Path, folder: Path, module: str, tests: Sequence[str]) -> None:
        self.root, self.scratch, self.module, self.tests = folder / "project", folder / "scratch", module, tests
        shutil.copytree(project, self.root, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self.scratch.mkdir()
        self.text = (self.root / module).read_text()

    def start(self, mutant: Mutant | None, seconds: float, imported: Path | None = None) -> int:
        """Fork a process that tests the mutant (None = the unchanged module) and exits with 0 if the tests pass.

        The system ends it after `seconds`. The names of the modules that it imported are written to `imported`.
        """
        (self.root / self.module).write_text(mutant.apply(self.text) if mutant else self.text)
        # Compiled files are matched by size and second: that of another mutant could be taken for this one's.
        for compiled in (self.root / self.module).parent.glob(f"__pycache__/{Path(self.module).stem}.*.pyc"):
            compiled.unlink()
        if process := os.fork():
            return process
        code = 70
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(max(1, round(seconds)))
            code = self._test(imported)
        finally:
            os._exit(code)

    def _test(self, imported: Path | None) -> int:
        output = os.open(self.scratch / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(self.root)
        sys.dont_write_bytecode = imported is None
        sys.path[:0] = [str(self.root), str(self.root / TESTS)]
        # For subprocesses of the tests; files that a killed test leaves behind are deleted with the copy.
        os.environ |= {"PYTHONPATH": str(self.root), "TMPDIR": str(self.scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        tempfile.tempdir = None
        with contextlib.suppress(ImportError):
            from hypothesis import Phase, settings

            # The same examples for every mutant, and no shrinking of one that fails.
            always = settings(derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate))
            settings.register_profile("mutants", always)
            settings.load_profile("mutants")
        code = self._dbt() if self.module.endswith(".sql") else self._pytest()
        if imported:
            files = {name: getattr(module, "__file__", None) or "" for name, module in [*sys.modules.items()]}
            if self.module.endswith(".py") and str(self.root / self.module) not in files.values():
                print(f"the tests never import {self.module}")
                return 70
            # The mutated module must not be imported before the fork; for SQL this applies only to the tests.
            ours = str(self.root if self.module.endswith(".py") else self.root / TESTS)
            imported.write_text("\n".join(name for name, file in files.items() if file and not file.startswith(ours)))
        return code

    def _pytest(self) -> int:
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", f"--basetemp={self.scratch / 'pytest'}"]
        return int(pytest.main([*options, *self.tests]))

    def _dbt(self) -> int:
        dbt_tests = runpy.run_path(str(self.root / self.tests[0]))
        warehouse, model = dbt_tests["Warehouse"](self.scratch / "warehouse"), Path(self.module).stem
        if not warehouse.folder.exists():
            dbt_tests["write_records"](dbt_tests["RECORDS"], warehouse.lake)
            warehouse.dbt("run", "--select", f"+{model}")
        statuses = warehouse.dbt("build", "--select", model)
        return 0 if set(statuses.values()) <= {"success", "pass", "warn"} else 1


def run_all(project: Path, module: str, tests: Sequence[str], mutants: list[Mutant], jobs: int, results: int) -> None:
    """Test each mutant; as each ends, write index + 1 (killed) or -(index + 1) (survived) to `results`."""
    os.environ.setdefault("BRIDGE_ASSETS_REAL_DATA", str(project.parent / "shared" / "data"))
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        first = Copy(project, folder / "0", module, tests)
        for imported in (
            folder / "imported.txt",
            None,
        ):  # cold, to learn what to import; then warm, to measure the time
            began = time.monotonic()
            _, status = os.waitpid(first.start(None, 1800, imported), 0)
            if status:
                output = first.scratch / "output.txt"
                sys.exit(f"{module}: the tests of the unchanged module fail:\n{output.read_text()[-3000:]}")
            seconds = time.monotonic() - began
            for name in imported.read_text().split() if imported else ():
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
        print(f"{module}: {len(mutants)} mutants, {seconds:.1f} s unchanged", file=sys.stderr, flush=True)
        copies = [first, *(Copy(first.root, folder / str(job), module, tests) for job in range(1, jobs))]
        waiting, running = [*enumerate(mutants)], {}
        try:
            while waiting or running:
                while waiting and copies:
                    (index, mutant), copy = waiting.pop(0), copies.pop()
                    running[copy.start(mutant, 5 * seconds + SECONDS_MORE)] = index, copy
                process, status = os.wait()
                index, copy = running.pop(process)
                _end_group(process)
                copies.append(copy)
                os.write(results, f"{index + 1 if status else -(index + 1)}\n".encode())
        finally:
            for process in running:
                _end_group(process)


def _end_group(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # nothing is still running
        os.killpg(process, signal.SIGKILL)


def score(project: Path, module: str, tests: Sequence[str], *, most: int, seed: int, jobs: int) -> Score:
    """Test a sample of a module's mutants in a separate process, so that no module is still imported for the next."""
    mutants = chosen(project, module, most, seed)
    reading, writing = os.pipe()
    if not (process := os.fork()):
        code = 1
        try:
            os.close(reading)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # which deletes the copies
            run_all(project, module, tests, mutants, jobs, writing)
            code = 0
        except SystemExit as problem:
            print(problem, file=sys.stderr, flush=True)
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as results:
        ended = [int(line) for line in results]
    if os.waitpid(process, 0)[1]:
        sys.exit(f"{module} was not scored, see above")
    return Score(module, len(mutants), [mutants[-each - 1] for each in sorted(ended, reverse=True) if each < 0])


def main(arguments: Sequence[str], project: Path = PROJECT, modules: Mapping[str, tuple[str, ...]] = MODULES) -> int:
    """Score the modules and print the table; returns 1 if one is below `LEAST_SCORE`."""
    parser = argparse.ArgumentParser("python -m benchmarks.mutants")
    parser.add_argument("--module", action="append", help="part of a path; may be given more than once")
    parser.add_argument("--most", type=int, default=40, help="mutants per module (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at once (default: one per CPU)")
    args = parser.parse_args(arguments)
    if not (selected := [each for each in modules if not args.module or any(part in each for part in args.module)]):
        parser.error(f"no module matches {args.module}. Available: {', '.join(modules)}")
    scores = [score(project, each, modules[each], most=args.most, seed=args.seed, jobs=args.jobs) for each in selected]
    width = max(len(each.module) for each in scores)
    print(f"{'module':{width}}  mutants  killed  survived  score")
    for each in scores:
        survived = len(each.survivors)
        killed = each.mutants - survived
        print(f"{each.module:{width}}  {each.mutants:7}  {killed:6}  {survived:8}  {each.percent:4.0f} %")
    for module, mutant in ((each.module, mutant) for each in scores for mutant in each.survivors):
        print(f"\n{module}:{mutant.line}: {mutant.name}\n- {mutant.before}\n+ {mutant.after}")
    return int(any(each.percent < LEAST_SCORE for each in scores))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
