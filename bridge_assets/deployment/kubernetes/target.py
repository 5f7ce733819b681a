"""The endpoint in a Kubernetes cluster: the manifests in `configs/k8s`, by server-side apply.

    <name>                     Deployment, Service and the other objects in the manifests; each has an owner label and
                               the label of the slot it was last applied for
    <name>-canary-<8 digits>   one pod, its Service and network policies, to test a version before it gets the traffic
    <name>-<slot>              ConfigMap: the manifests as they were applied for a slot in the deployment history; a
                               rollback to the slot applies exactly these
    <name>-deploy              Lease: one deployment at a time

The manifests are part of a slot: deploying edited manifests is a new deployment, with a canary and a rollback.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.required_settings import check_configured, environment_variable
from bridge_assets.deployment.core.target import Deployment, TargetState, deploy
from bridge_assets.deployment.kubernetes.artifacts import Artifacts
from bridge_assets.deployment.kubernetes.checks import check_release
from bridge_assets.deployment.kubernetes.client import Cluster
from bridge_assets.deployment.kubernetes.lease import Lease
from bridge_assets.deployment.kubernetes.manifests import read_manifests
from bridge_assets.deployment.kubernetes.objects import ReleaseObjects, history_of_deployment, role_of, slot_of
from bridge_assets.deployment.kubernetes.release import (
    CANARY,
    INSTANCE_LABEL,
    LIVE,
    PACKAGE_SHA256_VARIABLE,
    PACKAGE_SLOT_VARIABLE,
    PACKAGE_VARIABLE,
    ROLE_LABEL,
    SAVED_MANIFESTS,
    SLOT_LABEL,
    Release,
    canary_manifests,
)
from bridge_assets.deployment.kubernetes.rollout import Rollout, stalled_since
from bridge_assets.errors import DeploymentError, NotConfiguredError
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.registry.model_version import get_version, latest_version
from bridge_assets.settings import DataSettings, project_file
from bridge_assets.settings.environment import EnvironmentSettings
from bridge_assets.storage import json_digest

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.probe import Probe


def deploy_model_kubernetes(yaml_path: str | Path) -> Deployment:
    """Deploy a model version to the cluster that the section `kubernetes` of environment.yaml describes.

    Parameters
    ----------
    yaml_path : str or Path
        File or folder of manifests, such as `configs/k8s`. The Deployment's annotation `bridge-assets/version` names
        the model version; default: the latest. The caller is responsible for checking the gate.

    Returns
    -------
    Deployment

    Raises
    ------
    DeploymentError
        If the deployment failed. The previous version keeps serving.
    NotConfiguredError
        If a setting, the extra or the credentials are missing. Nothing was sent.
    ModelVersionError
        If there is no such model version.
    """
    environment, data = EnvironmentSettings.load(), DataSettings.load()
    section = environment.kubernetes.model_copy(update={"manifests": str(Path(yaml_path).absolute())})
    target = KubernetesEndpoint.from_settings(
        environment.model_copy(update={"kubernetes": section}), data.home_folder / "endpoints"
    )
    version, models = target.release.version, data.models_folder
    return deploy(target, bundle_of(get_version(models, version) if version else latest_version(models)))


@dataclass
class KubernetesEndpoint:
    """A release in a namespace. See `core.target.Target`.

    Attributes
    ----------
    cluster : Cluster
    release : Release
    artifacts : Artifacts
    lock_folder : Path
        Folder of the lock file.
    rollout_timeout : float
        Longest duration of one rollout, in seconds.
    poll_seconds : float
        Pause between two polls.
    lock_timeout : float
        Seconds to wait for another deployment to end.
    """

    cluster: Cluster
    release: Release
    artifacts: Artifacts
    lock_folder: Path
    rollout_timeout: float
    poll_seconds: float = 1.0
    lock_timeout: float = 30.0
    _lease: Lease | None = field(default=None, init=False)

    kind = "kubernetes"
    console_url = ""

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, lock_folder: Path) -> Self:
        """The endpoint that settings and manifests describe. Nothing is sent.

        Raises
        ------
        NotConfiguredError
            If a setting or the extra is missing.
        DeploymentError
            If a manifest is not valid, or the manifests do not fit together.
        """
        settings = environment.kubernetes
        needed = {"image": settings.image, "artifacts": settings.artifacts}
        check_configured("kubernetes", needed, "k8s", "kubernetes")
        documents = read_manifests(project_file(settings.manifests), settings.namespace)
        check_release(documents)
        release = Release(tuple(documents), settings.name, environment.owner, settings.namespace, settings.image)
        artifacts = Artifacts(f"{settings.artifacts.rstrip('/')}/{settings.name}")
        mounted = release.has_mount(artifacts.folder)
        if artifacts.is_path and not mounted:
            raise NotConfiguredError(
                "the pods cannot read the bundle",
                where=project_file(settings.manifests),
                why=f"No volume is mounted at {settings.artifacts} ({environment_variable('kubernetes', 'artifacts')})",
                do="mount the volume at exactly this path, or use a bucket. Nothing was sent",
            )
        cluster = Cluster(settings.context, settings.namespace)
        return cls(cluster, release, artifacts, lock_folder, rollout_timeout=60 * settings.wait_minutes)

    @property
    def address(self) -> str:
        return f"http://{self.release.service}.{self.release.namespace}.svc:{self.release.port[1]}"

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        return {"manifests": self.release.objects, "artifacts": self.artifacts.folder}

    @property
    def cost(self) -> str:
        min_pods, max_pods = self.release.pod_range
        pods = f"{min_pods} to {max_pods} pods" if max_pods > min_pods else f"{max_pods} pods"
        return f"{pods} of {self.release.pod_resources}, on nodes that you pay for; two more during a deployment"

    @contextmanager
    def exclusive_lock(self, action: str) -> Iterator[None]:
        lock = self.lock_folder / f"{self.kind}-{self.release.name}.lock"
        with exclusive_lock(lock, action, self.cluster.where, self.lock_timeout):
            lease = Lease(self.cluster, f"{self.release.name}-deploy", self.release, lock)
            lease.acquire(action, self.lock_timeout, self.poll_seconds)
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None
                lease.release_lease()

    def state(self) -> TargetState:
        for body in self.release.objects:
            self._objects.get(body["kind"], body["metadata"]["name"])
        history = self._history()
        resources = {
            slot_of(found)
            for found in self._objects.list_all()
            if not (role_of(found) == SAVED_MANIFESTS and slot_of(found) in history)
        }
        return TargetState(history, frozenset(resources - {""}))

    def provision(self, bundle: Bundle) -> None:
        slot, manifests = bundle.slot, self._manifests_for(bundle)
        canary = canary_manifests(manifests, self._canary_name(slot))
        for body in (*manifests, *canary):  # the server validates everything before anything is created
            self._objects.apply(body, dry_run=True)
        # Saved first and, at retirement, removed last, so that no object of a slot is left without its record.
        self._objects.save_manifests(slot, manifests)
        self.artifacts.upload(slot, bundle)
        for body in manifests:
            if body["kind"] == "ServiceAccount" and not self._objects.get("ServiceAccount", body["metadata"]["name"]):
                self._objects.apply(body)  # no pod starts without its account
        stalled = stalled_since(self._objects.get("Deployment", self._canary_name(slot)))
        for body in canary:
            self._objects.apply(body, force=True)
        self._wait_for_rollout(self._canary_name(slot), {ROLE_LABEL: CANARY, SLOT_LABEL: slot}, slot, 1, stalled)

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        import numpy as np

        service = self.release.service if slot is None else self._canary_name(slot)
        answer = self.cluster.post_to_service(
            service, self.release.port[0], "/predict", {"instances": probe.request_rows()}
        )
        try:
            return np.array(answer["predictions"], dtype=np.float64)
        except (TypeError, KeyError, ValueError) as error:
            raise DeploymentError(
                "the response contains no predictions",
                where=f"{self.cluster.where}, Service {service}",
                why=f"The response is {json.dumps(answer):.200}",
                do="check that the image is built from the Dockerfile",
            ) from error

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        slot, live = history[-1], self._objects.get("Deployment", self.release.name)
        manifests, sha256 = self._objects.load_manifests(slot)
        self.artifacts.check(slot, sha256)
        deployment = next(body for body in manifests if body["kind"] == "Deployment")
        for body in manifests:  # the history changes only when all pods belong to this slot
            if body is deployment:
                self._objects.apply_deployment(body, history_of_deployment(live))
            else:
                self._objects.apply(body)
        autoscalers = [body["spec"] for body in manifests if body["kind"] == "HorizontalPodAutoscaler"]
        min_pods = autoscalers[0].get("minReplicas", 1) if autoscalers else 1
        self._wait_for_rollout(self.release.name, {ROLE_LABEL: LIVE}, slot, min_pods, stalled_since(live))
        self._objects.remove(
            each for each in self._objects.list_all() if (role_of(each), slot_of(each)) == (CANARY, slot)
        )
        self._objects.apply_deployment(deployment, history)

    def repair(self, bundle: Bundle) -> None:
        try:
            _, sha256 = self._objects.load_manifests(bundle.slot)
        except DeploymentError:
            sha256 = ""
        if sha256 != bundle.digest:  # the record itself was deleted or changed
            self._objects.save_manifests(bundle.slot, self._manifests_for(bundle))
        self.artifacts.upload(bundle.slot, bundle)
        self.switch_traffic(self._history())

    def retire(self, slot: str) -> Iterable[str]:
        removed: list[str] = []
        live = [found for found in self._objects.list_all() if role_of(found) == LIVE]
        if any(slot_of(found) == slot for found in live):
            # The current manifests no longer have these objects, or a rollout to this slot was interrupted, or the
            # first deployment failed.
            history = self._history()
            if remaining_history := history[:-1] if history[-1:] == (slot,) else history:
                self.switch_traffic(remaining_history)
            else:
                removed += self._objects.remove(live)
        slot_objects = [found for found in self._objects.list_all() if slot_of(found) == slot]
        removed += self._objects.remove(found for found in slot_objects if role_of(found) != SAVED_MANIFESTS)
        if slot not in self._history():
            removed += [f"archive {self.artifacts.archive_url(slot)}"] * self.artifacts.remove(slot)
            removed += self._objects.remove(found for found in slot_objects if role_of(found) == SAVED_MANIFESTS)
        return removed

    def _manifests_for(self, bundle: Bundle) -> list[dict[str, Any]]:
        package_variables = {
            PACKAGE_VARIABLE: self.artifacts.archive_url(bundle.slot),
            PACKAGE_SHA256_VARIABLE: bundle.digest,
            PACKAGE_SLOT_VARIABLE: bundle.slot,
        }
        return self.release.manifests_for_slot(bundle.slot, package_variables)

    def _history(self) -> tuple[str, ...]:
        return history_of_deployment(self._objects.get("Deployment", self.release.name))

    def _wait_for_rollout(
        self, name: str, labels: dict[str, str], slot: str, min_pods: int, previous_stall: str
    ) -> None:
        rollout = Rollout(self.cluster, self.rollout_timeout, self.poll_seconds, self._renew_lease)
        rollout.wait(
            name, {INSTANCE_LABEL: self.release.name, **labels}, slot, min_pods=min_pods, previous_stall=previous_stall
        )

    def _renew_lease(self) -> None:
        if self._lease:
            self._lease.renew()

    @cached_property
    def _objects(self) -> ReleaseObjects:
        return ReleaseObjects(self.cluster, self.release, self._renew_lease)

    def _canary_name(self, slot: str) -> str:
        return f"{self.release.name}-canary-{json_digest(slot)[:8]}"
