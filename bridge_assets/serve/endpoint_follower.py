"""Serve the local endpoint and switch to a newly deployed version as soon as it is loaded.

Not shipped in a bundle (`deployment.core.code_archive`): a container only ever serves one version.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bridge_assets.errors import DeploymentError
from bridge_assets.runtime.endpoint_folder import EndpointFolder
from bridge_assets.runtime.package import Package
from bridge_assets.runtime.structure_tables import skipped_reason
from bridge_assets.serve.border.access import AccessRules
from bridge_assets.serve.bridges.answers import BridgeAnswers
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.server import run_server
from bridge_assets.serve.state import AppState


class EndpointFollower:
    """Follows the `current` link of a local endpoint. A new version is served once it is loaded completely.

    Attributes
    ----------
    current : LoadedModel
        A request reads it once and uses it until it is answered.

    Raises
    ------
    DeploymentError
        If nothing is deployed, or the deployed version cannot be loaded.
    """

    def __init__(self, root: Path) -> None:
        self._folder = EndpointFolder(root)
        name = self._folder.current()
        if name is None:
            raise nothing_deployed(root)
        self.current = self._load(name)

    def refresh(self) -> bool:
        """Load the package that `current` points to if it has changed; return whether it has.

        If loading fails, the previous version stays active and the error is raised.
        """
        name = self._folder.current()
        if name is None or name == self.current.slot:
            return False
        self.current = self._load(name)
        return True

    def _load(self, name: str) -> LoadedModel:
        package = Package(self._folder.package(name))
        loaded = LoadedModel.load(package, name)
        bridges = BridgeAnswers.load(package, loaded.model, loaded.predict)
        if bridges is None:
            return replace(loaded, no_bridges=skipped_reason(package))
        return replace(loaded, bridges=bridges)


def nothing_deployed(root: Path) -> DeploymentError:
    """The error of an endpoint without a version."""
    return DeploymentError(
        "no model version is deployed",
        where=root,
        why="There is no current version",
        do="deploy a version to the local endpoint",
        stage="local_endpoint",
    )


def serve_endpoint(root: Path, host: str, port: int, environ: Mapping[str, str] = os.environ) -> None:
    """Serve the current version of the local endpoint, and every later one, until SIGTERM.

    Parameters
    ----------
    root : Path
        Folder of the endpoint.
    host : str
    port : int
        0 = any free port.
    environ : mapping
        Who may call it (`access`).

    Raises
    ------
    DeploymentError
        If nothing is deployed, the version cannot be loaded, the port is in use, or anybody could call it (`access`).
    """
    AccessRules.for_host(host, environ)  # before loading takes seconds
    follower = EndpointFollower(root)
    run_server(AppState(lambda: follower.current), host, port, follower.refresh, environ)
