"""A managed online endpoint of Azure Machine Learning.

    online endpoint <name>              receives the requests; its tags hold the owner and the deployment history
    deployment <slot>                   a slot, addressed by name (header azureml-model-deployment) or by the traffic
    model <name>, version <slot>        the bundle's archive, in the workspace's own blob store
    environment (anonymous)             the image and its routes; Azure ML names it by its content

Traffic and history are written in one request.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.deployment.azureml.endpoint import Endpoint
from bridge_assets.deployment.azureml.models import RegisteredModels
from bridge_assets.deployment.azureml.workspace import WaitPolicy, Workspace, translate_errors
from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.in_progress import fail_if_in_progress
from bridge_assets.deployment.core.required_settings import check_configured
from bridge_assets.deployment.core.tags import check_owner
from bridge_assets.deployment.core.target import Deployment, TargetState, deploy, resolve_history, version_of
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import Probe
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import AzureMLSettings, EnvironmentSettings

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class AzureMLEndpoint:
    """A managed online endpoint. See `core.target.Target`.

    Attributes
    ----------
    settings : AzureMLSettings
    owner : str
    lock_folder : Path
        Folder of the lock file.
    workspace : Workspace
    """

    settings: AzureMLSettings
    owner: str
    lock_folder: Path
    workspace: Workspace
    kind: str = field(default="azureml", init=False)

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, lock_folder: Path) -> Self:
        """The endpoint that `environment.yaml` describes. Nothing is sent.

        Raises
        ------
        NotConfiguredError
            Names the variables of the settings that are missing, and the extra.
        """
        settings = environment.azureml
        subscription = settings.subscription_id or os.environ.get("AZURE_SUBSCRIPTION_ID", "")
        needed = {
            "subscription_id": subscription,
            "resource_group": settings.resource_group,
            "workspace": settings.workspace,
            "image": settings.image,
        }
        alternatives = {"subscription_id": "AZURE_SUBSCRIPTION_ID"}
        check_configured("azureml", needed, "azure", "azure.ai.ml", "azure.identity", alternatives=alternatives)
        workspace = Workspace(
            subscription,
            settings.resource_group,
            settings.workspace,
            WaitPolicy(operation_seconds=settings.wait_minutes * 60),
        )
        return cls(settings, environment.owner, lock_folder, workspace)

    @property
    def address(self) -> str:
        return self._endpoint.address

    @property
    def console_url(self) -> str:
        return f"https://ml.azure.com/endpoints/realtime/{self.settings.name}/detail?wsid={self.workspace.id}"

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        return self.settings.model_dump(include={"image", "compute_type", "instances"})

    @property
    def cost(self) -> str:
        machines = f"{self.settings.instances} x {self.settings.compute_type}"
        return f"{machines}, billed while deployed, also when idle; twice that during a deployment"

    @contextmanager
    def exclusive_lock(self, action: str) -> Iterator[None]:
        with exclusive_lock(
            self.lock_folder / f"{self.kind}-{self.settings.name}.lock", action, self.address, timeout=0
        ):
            with translate_errors("listing operations in progress", self.address):
                operations = self._endpoint.operations_in_progress()
            fail_if_in_progress(operations, action, self.address)
            yield

    def state(self) -> TargetState:
        with translate_errors("reading the endpoint", self.address):
            found = self._endpoint.state()
            history = resolve_history(found.current_deployment, found.history)
            owned = {name for name, each in found.deployments.items() if self._endpoint.owns(each)}
            return TargetState(history, frozenset(owned | (self._models.slots() - {*history})))

    def provision(self, bundle: Bundle) -> None:
        with translate_errors(f"creating slot {bundle.slot}", self.address):
            found = self._endpoint.state()
            # Ownership and the bundle's files are checked before anything is created.
            existing, model = found.deployments.get(bundle.slot), self._models.find(bundle.slot)
            archive = bundle.archive
            if existing:
                if self._endpoint.is_up_to_date(existing):
                    return
                self._endpoint.delete_deployment(existing)
            self._endpoint.ensure_exists(found)
            model = model or self._models.register(bundle.slot, archive)
            self._endpoint.create_deployment(bundle, str(model.id))

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        with translate_errors("requesting predictions", self.address):
            current = self._endpoint.state().current_deployment
            return self._endpoint.predict(probe.request_rows(), slot, version_of(slot or current or "")).probabilities

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        with translate_errors(f"switching the traffic to slot {history[-1]}", self.address):
            self._endpoint.set_traffic(self._endpoint.state(), history)

    def repair(self, bundle: Bundle) -> None:
        """Nothing to do: an endpoint whose deployment was deleted has no current slot, so it is deployed as a whole."""

    def retire(self, slot: str) -> Iterable[str]:
        removed = []
        with translate_errors(f"removing slot {slot}", self.address):
            found = self._endpoint.state()
            history = () if found.current_deployment == slot else found.history
            if existing := found.deployments.get(slot):
                if found.current_deployment == slot:  # a first deployment is undone: there is no previous slot
                    self._endpoint.set_traffic(found, history)
                self._endpoint.delete_deployment(existing)
                removed.append(f"deployment {slot}")
            if slot not in history:
                removed += self._models.remove(slot)
        return removed

    def delete(self) -> tuple[str, ...]:
        """Remove the endpoint with all its deployments and registered archives; returns their names.

        Raises
        ------
        OwnershipError
            If the endpoint, or a deployment in it, belongs to somebody else.
        DeploymentError
            If something could not be removed.
        """
        removed = []
        with self.exclusive_lock("deleting the endpoint"), translate_errors("deleting the endpoint", self.address):
            found = self._endpoint.state()
            for name, each in found.deployments.items():
                check_owner(each.tags or {}, self.owner, f"deployment {name}", self.address)
            if found.endpoint:
                self._endpoint.delete()
                removed += [*(f"deployment {name}" for name in sorted(found.deployments))]
                removed += [f"endpoint {self.settings.name}"]
            for slot in sorted(self._models.slots()):
                removed += self._models.remove(slot)
        return tuple(removed)

    @cached_property
    def _endpoint(self) -> Endpoint:
        compute = self.settings.model_dump(include={"image", "compute_type", "instances"})
        return Endpoint(self.workspace, self.settings.name, self.owner, compute)

    @cached_property
    def _models(self) -> RegisteredModels:
        return RegisteredModels(self.workspace, self.settings.name, self.owner)


def deploy_model_azureml(model: ModelVersion | Bundle | Path | str, name: str, compute_type: str) -> Deployment:
    """Deploy a model version to a managed online endpoint. The caller is responsible for checking the gate.

    Parameters
    ----------
    model : ModelVersion, Bundle, or Path or str
        A model version, its bundle, or its folder.
    name : str
        Name of the endpoint: 3 to 32 lower-case letters, digits and dashes.
    compute_type : str
        Virtual machine, such as `Standard_DS3_v2`. Everything else comes from `configs/environment.yaml`.

    Raises
    ------
    NotConfiguredError
        If a setting or the extra is missing. Nothing was sent.
    DeploymentError
        If the deployment failed. The previous version keeps serving.
    """
    environment = EnvironmentSettings.load()
    settings = {**environment.azureml.model_dump(), "name": name, "compute_type": compute_type}
    environment = environment.model_copy(update={"azureml": AzureMLSettings.model_validate(settings)})
    target = AzureMLEndpoint.from_settings(environment, DataSettings.load().home_folder / "endpoints")
    return deploy(target, model if isinstance(model, Bundle) else bundle_of(model))
