"""Endpoints by kind, for assets, jobs and the command line: deploy, roll back, send the canary.

Belongs here: opening an endpoint, and finding a version's files and kept bundles for it. Does not belong here: the list
of targets (`targets`), the steps of a deployment (`core.target`), and the differences between targets (their own
modules).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.kept_bundles import open_kept_bundle
from bridge_assets.deployment.core.target import Deployment, Target, deploy, rollback, version_of
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.errors import DeploymentError, ModelVersionError
from bridge_assets.registry.model_version import ModelVersion, get_version
from bridge_assets.runtime.probe import CanaryReport, compare_answers

if TYPE_CHECKING:
    from bridge_assets.settings import DataSettings
    from bridge_assets.settings.environment import EnvironmentSettings


_CLASS_NAMES = {target.key: target.class_name for target in REMOTE_TARGETS}


@dataclass(frozen=True)
class RemoteEndpoint:
    """A target and the folder of the model versions that are deployed to it.

    Attributes
    ----------
    target : Target
    models_folder : Path
        Contains the versions and their kept bundles.
    """

    target: Target
    models_folder: Path

    def deploy(self, model_version: ModelVersion, judged: Mapping[str, str] | None = None) -> Deployment:
        """`core.target.deploy`, after comparing the files with the manifest and with what the gate decided about."""
        return deploy(self.target, bundle_of(model_version, judged))

    def rollback(self, version: str | None = None) -> Deployment:
        """`core.target.rollback`, with the kept bundle of the slot."""
        return rollback(self.target, self._kept_bundle, version)

    def current(self) -> str | None:
        """The version that is being served; None before the first deployment."""
        slot = self.target.state().current_slot
        return slot and version_of(slot)

    def canary(self) -> CanaryReport:
        """Send the probe of the current version to the public address.

        Raises
        ------
        CanaryMismatch
            If it does not return the predictions of the exported model.
        DeploymentError
            If nothing is deployed, or the version's files are not on this machine.
        """
        version = self.current()
        if version is None:
            raise DeploymentError(
                "no model version is deployed",
                where=self.target.address,
                why="No slot receives its traffic",
                do="deploy a version",
                stage=f"{self.target.kind}_endpoint",
            )
        probe = bundle_of(self._model_version(version)).probe
        return compare_answers(self.target.predict(probe, None), probe, self.target.address)

    def _kept_bundle(self, slot: str) -> Bundle:
        return open_kept_bundle(self._model_version(version_of(slot)), slot)

    def _model_version(self, version: str) -> ModelVersion:
        try:
            return get_version(self.models_folder, version)
        except ModelVersionError as error:
            raise DeploymentError(
                f"model version {version} is not on this machine",
                where=self.models_folder,
                why=str(error).partition(" What to do")[0],
                do=f"fetch it from the registry: bridge-assets registry pull {version} --from ADDRESS",
            ) from error


def open_target(kind: str, environment: EnvironmentSettings, lock_folder: Path) -> Target:
    """The target that `environment.yaml` describes. Sends no request.

    Raises
    ------
    NotConfiguredError
        If a setting or an extra is missing; lists them.
    """
    return getattr(import_module(f"bridge_assets.deployment.{kind}.target"), _CLASS_NAMES[kind]).from_settings(
        environment, lock_folder
    )


def open_remote_endpoint(kind: str, environment: EnvironmentSettings, data: DataSettings) -> RemoteEndpoint:
    """The endpoint of one of `REMOTE_TARGETS`, with the platform's own model versions. Raises as `open_target`."""
    return RemoteEndpoint(open_target(kind, environment, data.home_folder / "endpoints"), data.models_folder)


def open_endpoint(kind: str, environment: EnvironmentSettings, data: DataSettings) -> LocalEndpoint | RemoteEndpoint:
    """The endpoint of any kind: `local`, or one of `REMOTE_TARGETS`. Raises as `open_target`."""
    return LocalEndpoint(data.endpoint_folder) if kind == "local" else open_remote_endpoint(kind, environment, data)
