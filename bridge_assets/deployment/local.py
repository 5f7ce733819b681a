"""The endpoint on this machine: a folder (`runtime.endpoint_folder`) whose `current` package is served.

Readers take no lock: they follow `current` once and find a complete package, the old or the new one. The installed code
serves it; packages contain no code.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.core.packing import ServedFiles, pack, read_served_files
from bridge_assets.deployment.core.structure_tables import PackedTables
from bridge_assets.deployment.core.target import Deployment
from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.endpoint_folder import CURRENT, EndpointFolder, version_of
from bridge_assets.runtime.package import Package, content_digest
from bridge_assets.runtime.probe import CanaryReport

if TYPE_CHECKING:
    from bridge_assets.runtime.scoring_model import ScoringModel


@dataclass(frozen=True)
class LocalEndpoint:
    """The endpoint that serves a model version on this machine.

    Attributes
    ----------
    root : Path
        Folder of the endpoint; created by the first deployment.
    packages_kept : int
        Number of packages kept on disk, including the current and the previous one: at least 2.
    lock_timeout : float
        Seconds to wait for another deployment to end.
    """

    root: Path
    packages_kept: int = 3
    lock_timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.packages_kept < 2:
            raise ValueError(
                f"packages_kept must be at least 2, the current and the previous version, not {self.packages_kept}"
            )

    def deploy(
        self,
        model_version: ModelVersion,
        judged: Mapping[str, str] | None = None,
        on_switched: Callable[[], object] = lambda: None,
        tables: Callable[[str], PackedTables] | None = None,
    ) -> Deployment:
        """Deploy a model version: copy it, send the copy a canary, switch to it. The caller has checked the gate.

        Deploying the current version again changes nothing, but sends the canary and repairs a damaged copy.

        Parameters
        ----------
        model_version : ModelVersion
        judged : mapping of str to str, optional
            File -> SHA-256 that the gate decided about; see `read_served_files`.
        on_switched : callable
            Called while this version is current, such as to move an alias. If it raises, the previous version is
            current again.
        tables : callable, optional
            Digest of the version's feature definitions -> the tables of structures to pack with it
            (`core.structure_tables`). With other tables, the current version becomes a new package.

        Raises
        ------
        DeploymentError
            If a file differs from the manifest or from what was judged, the disk is full, or another deployment does
            not finish.
        CanaryMismatch
            If the copy does not return the exported model's predictions for the probe. After any error `current` is
            unchanged.
        """
        files = read_served_files(model_version, judged)  # before anything is created
        if tables is not None:
            files = files.with_tables(tables(files.manifest["made_from"]["features_digest"]))
        name = f"{model_version.version}-{content_digest(files.digests)}"
        with self._folder.exclusive_lock(f"deploying model version {model_version.version}", self.lock_timeout):
            removed = self._folder.remove_leftovers()
            report = self._install_package(files, name)
            self._switch(name, on_switched, self._folder.promote)
            return self._result(name, report, removed + self._folder.prune(self.packages_kept))

    def rollback(
        self,
        version: str | None = None,
        prepare: Callable[[Mapping[str, Any]], Callable[[], object]] = lambda manifest: lambda: None,
    ) -> Deployment:
        """Roll back to the previous version, or to a named one that was served before, after sending it the canary.

        Parameters
        ----------
        version : str, optional
            It must have been current here, and still be on disk. Default: the version before the current one.
        prepare : callable
            Called with the manifest of that version before the switch, so that it can still be refused; returns what is
            called while it is current, such as moving an alias. If either raises, `current` is as before.

        Raises
        ------
        DeploymentError
            If there is no such version, or its files are damaged.
        CanaryMismatch
            If it does not return the exported model's predictions for the probe. After any error `current` is
            unchanged.
        """
        with self._folder.exclusive_lock(f"rolling back to {version or 'the previous version'}", self.lock_timeout):
            removed = self._folder.remove_leftovers()
            name = self._rollback_package(version)
            package = self._package(name)
            report = _canary(package)
            self._switch(name, prepare(package.manifest), self._folder.rollback)
            return self._result(name, report, removed)

    def current(self) -> str | None:
        """The version that is being served; None before the first deployment."""
        name = self._folder.current()
        return name and version_of(name)

    def previous(self) -> str | None:
        """The version that `rollback` would return to."""
        name = self._folder.previous()
        return name and version_of(name)

    def load_model(self) -> ScoringModel:
        """Load the current version for scoring, after comparing every file with its digest.

        Raises
        ------
        DeploymentError
            If nothing is deployed or a file changed on disk.
        """
        from bridge_assets.runtime.scoring_model import load_scoring_model

        return load_scoring_model(self._current_package())

    def canary(self) -> CanaryReport:
        """Send the probe to the current version.

        Raises
        ------
        CanaryMismatch
            If it does not return the predictions of the exported model.
        DeploymentError
            If nothing is deployed or a file changed on disk.
        """
        return _canary(self._current_package())

    @property
    def _folder(self) -> EndpointFolder:
        return EndpointFolder(self.root)

    def _package(self, name: str) -> Package:
        return Package(self._folder.package(name))

    def _current_package(self) -> Package:
        name = self._folder.current()
        if name is None:
            raise DeploymentError(
                "no model version is deployed",
                where=self.root,
                why="There is no current version",
                do="deploy a version to the local endpoint",
                stage="local_endpoint",
            )
        return self._package(name)

    def _install_package(self, files: ServedFiles, name: str) -> CanaryReport:
        package = self._package(name)
        manifest = {**files.manifest, "served": files.digests}
        if package.matches_content(content_digest(files.digests)) and package.manifest == manifest:
            return _canary(package)
        temporary = self._folder.temporary_path(name)
        try:
            report = _canary(pack(files, temporary))
            self._folder.install(temporary, name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return report

    def _switch(self, name: str, on_switched: Callable[[], object], move: Callable[[str], None]) -> None:
        """Make a package current, then call `on_switched`; a failure or an interruption switches back."""
        previous, history = self._folder.current(), self._folder.history()
        try:
            move(name)
            on_switched()
        except BaseException as error:
            try:
                self._folder.undo(previous, history)
            except OSError as failure:
                error.add_note(
                    f"Switching back failed as well ({error_summary(failure)}): version {self.current()} is served now."
                )
            raise

    def _rollback_package(self, version: str | None) -> str:
        names = self._folder.served_newest_first()
        if version is None:
            name = self._folder.previous()
        else:
            name = next((each for each in names if version_of(each) == version), None)
        if name is None:
            served_before = ", ".join(map(version_of, names))
            raise DeploymentError(
                "there is no previous version to roll back to"
                if version is None
                else f"cannot roll back to version {version!r}",
                where=self.root,
                why=f"The current version is {self.current()}; served here before, and on disk: {served_before}"
                if names
                else "No version has been deployed yet",
                do="name one of these, or deploy the version, which checks the gate"
                if len(names) > 1
                else "deploy another version first",
            )
        return name

    def _result(self, name: str, report: CanaryReport, removed: list[str]) -> Deployment:
        return Deployment(
            target="local",
            version=version_of(name),
            address=str(self.root / CURRENT),
            previous=self.previous(),
            canary=report,
            removed=tuple(removed),
        )


def _canary(package: Package) -> CanaryReport:
    """Check a package as scoring loads it, including the forest."""
    from bridge_assets.runtime.scoring_model import canary

    return canary(package)
