"""The wheel also carries the project's own files; everything else about the package is in pyproject.toml.

`configs/` and `dbt_project/` are where their users look for them, at the top of the checkout. A wheel has no such
place, so they go into `bridge_assets/default_project/`, where `bridge_assets.settings.folders` finds them. An editable
install uses those of the checkout.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = Path(__file__).parent
PROJECT_FILES = ("workspace.yaml", "configs/**/*", "dbt_project/**/*")
#: Made by dbt, never part of the project.
DBT_OUTPUT = {"target", "logs", "dbt_packages"}


def project_files() -> list[Path]:
    """Paths of the project's files, relative to the checkout, sorted."""
    found = (path for pattern in PROJECT_FILES for path in PROJECT.glob(pattern) if path.is_file())
    return sorted(path.relative_to(PROJECT) for path in found if not DBT_OUTPUT.intersection(path.parts))


class BuildWithProject(build_py):
    """`build_py`, and the project's files."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for path in project_files():
                copy = Path(self.build_lib, "bridge_assets", "default_project", path)
                self.mkpath(str(copy.parent))
                self.copy_file(str(PROJECT / path), str(copy))


setup(cmdclass={"build_py": BuildWithProject})
