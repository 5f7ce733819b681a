"""The endpoint in a Kubernetes cluster: the manifests in `configs/k8s`, applied on the server's side.

    <name>                     Deployment, Service and whatever else the manifests hold; every object has an owner label
                               and the label of the slot it was last applied for
    <name>-canary-<8 digits>   one pod, its Service and rules, while a version is asked before it gets the traffic
    <name>-<slot>              ConfigMap: the manifests as they were applied for a slot of the trail. Going back to the
                               slot applies exactly these.
    <name>-deploy              Lease: one deployment at a time

The manifests are the terms of a slot: editing them and deploying again is a deployment, with a canary and a way back.
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
from bridge_assets.deployment.core.required_settings import check_configured, variable
from bridge_assets.deployment.core.target import Deployment, Standing, deploy
from bridge_assets.deployment.kubernetes.artifacts import Artifacts
from bridge_assets.deployment.kubernetes.checks import check_release
from bridge_assets.deployment.kubernetes.client import Cluster
from bridge_assets.deployment.kubernetes.lease import Lease
from bridge_assets.deployment.kubernetes.manifests import read_manifests
from bridge_assets.deployment.kubernetes.objects import Objects, role_of, slot_of, trail_of_deployment
from bridge_assets.deployment.kubernetes.release import (
    CANARY,
    INSTANCE,
    LIVE,
    PACKAGE,
    PACKAGE_SHA256,
    PACKAGE_SLOT,
    RECORD,
    ROLE,
    SLOT,
    Release,
    canary_of,
)
from bridge_assets.deployment.kubernetes.rollout import Rollout, stalled_since
from bridge_assets.errors import DeploymentError, NotConfigured
from bridge_assets.registry.model_version import latest, named
from bridge_assets.runtime.file_lock import held
from bridge_assets.settings import DataSettings, project_folder
from bridge_assets.settings.environment import EnvironmentSettings
from bridge_assets.storage import digest_of

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.probe import Probe


def deploy_model_kubernetes(yaml_path: str | Path) -> Deployment:
    """Deploy a model version to the cluster that the section `kubernetes` of environment.yaml describes.

    Parameters
    ----------
    yaml_path : str or Path
        File or folder of manifests, such as `configs/k8s`. Where the Deployment has the annotation
        `bridge-assets/version`, that version is deployed; else the one trained last. The caller has asked the gate.

    Returns
    -------
    Deployment
        What stands afterwards.

    Raises
    ------
    DeploymentError
        If it did not happen. What answered before goes on answering.
    NotConfigured
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
    return deploy(target, bundle_of(named(models, version) if version else latest(models)))


@dataclass
class KubernetesEndpoint:
    """A release in a namespace. See `base.Target`.

    Attributes
    ----------
    cluster : Cluster
    release : Release
    artifacts : Artifacts
    locks : Path
        Folder of the lock file.
    wait : float
        Most seconds that one rollout may take.
    poll : float
        Seconds between two looks.
    patience : float
        Seconds to wait for another deployment to end.
    """

    cluster: Cluster
    release: Release
    artifacts: Artifacts
    locks: Path
    wait: float
    poll: float = 1.0
    patience: float = 30.0
    _lease: Lease | None = field(default=None, init=False)

    kind = "kubernetes"
    page = ""

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, lock_folder: Path) -> Self:
        """The endpoint as settings and manifests describe it. Nothing is sent.

        Raises
        ------
        NotConfigured
            If a setting or the extra is missing.
        DeploymentError
            If a manifest is not understood, or they do not fit together.
        """
        settings = environment.kubernetes
        needed = {"image": settings.image, "artifacts": settings.artifacts}
        check_configured("kubernetes", needed, "k8s", "kubernetes")
        documents = read_manifests(project_folder() / settings.manifests, settings.namespace)
        check_release(documents)
        release = Release(tuple(documents), settings.name, environment.owner, settings.namespace, settings.image)
        artifacts = Artifacts(f"{settings.artifacts.rstrip('/')}/{settings.name}")
        mounted = release.mounts(artifacts.folder)
        if artifacts.is_path and not mounted:
            raise NotConfigured(
                "the pods cannot read the bundle",
                where=project_folder() / settings.manifests,
                why=f"{variable('kubernetes', 'artifacts')} is {settings.artifacts}, where no volume is mounted",
                do="mount the volume at this very path, or name a bucket. Nothing was sent",
            )
        cluster = Cluster(settings.context, settings.namespace)
        return cls(cluster, release, artifacts, lock_folder, wait=60 * settings.wait_minutes)

    @property
    def address(self) -> str:
        return f"http://{self.release.service}.{self.release.namespace}.svc:{self.release.port[1]}"

    @property
    def terms(self) -> Mapping[str, Any]:
        return {"manifests": self.release.objects, "artifacts": self.artifacts.folder}

    @property
    def cost(self) -> str:
        fewest, most = self.release.pods
        pods = f"{fewest} to {most} pods" if most > fewest else f"{most} pods"
        return f"{pods} of {self.release.size}, on nodes that you pay for; two more during a deployment"

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        lock = self.locks / f"{self.kind}-{self.release.name}.lock"
        with held(lock, doing, self.cluster.where, self.patience):
            lease = Lease(self.cluster, f"{self.release.name}-deploy", self.release, lock)
            lease.take(doing, self.patience, self.poll)
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None
                lease.give_back()

    def standing(self) -> Standing:
        for body in self.release.objects:
            self._objects.get(body["kind"], body["metadata"]["name"])
        trail = self._trail()
        placed = {
            slot_of(found)
            for found in self._objects.all()
            if not (role_of(found) == RECORD and slot_of(found) in trail)
        }
        return Standing(trail, frozenset(placed - {""}))

    def place(self, bundle: Bundle) -> None:
        slot = bundle.slot
        package = {PACKAGE: self.artifacts.address(slot), PACKAGE_SHA256: bundle.digest, PACKAGE_SLOT: slot}
        bodies = self.release.filled(slot, package)
        canary = canary_of(bodies, self._canary(slot))
        for body in (*bodies, *canary):  # the server checks everything before anything is made
            self._objects.apply(body, dry_run=True)
        # The record first and, when it is retired, last: whatever there is of a slot, its record leads to it.
        self._objects.record(slot, bodies)
        self.artifacts.put(slot, bundle)
        for body in bodies:
            if body["kind"] == "ServiceAccount" and not self._objects.get("ServiceAccount", body["metadata"]["name"]):
                self._objects.apply(body)  # there is none yet, and no pod starts without
        stalled = stalled_since(self._objects.get("Deployment", self._canary(slot)))
        for body in canary:
            self._objects.apply(body, force=True)
        self._wait(self._canary(slot), {ROLE: CANARY, SLOT: slot}, slot, 1, stalled)

    def ask(self, probe: Probe, slot: str | None) -> np.ndarray:
        import numpy as np

        service = self.release.service if slot is None else self._canary(slot)
        answer = self.cluster.ask(service, self.release.port[0], "/predict", {"instances": probe.instances()})
        try:
            return np.array(answer["predictions"], dtype=np.float64)
        except (TypeError, KeyError, ValueError) as error:
            raise DeploymentError(
                "the answer holds no predictions",
                where=f"{self.cluster.where}, Service {service}",
                why=f"It is {json.dumps(answer):.200}",
                do="see whether the image serves this version's bundle",
            ) from error

    def shift(self, trail: tuple[str, ...]) -> None:
        slot, live = trail[-1], self._objects.get("Deployment", self.release.name)
        bodies, sha256 = self._objects.recorded(slot)
        self.artifacts.check(slot, sha256)
        deployment = next(body for body in bodies if body["kind"] == "Deployment")
        for body in bodies:  # the trail is kept as it was until the pods of this slot are all there is
            if body is deployment:
                self._objects.apply_deployment(body, trail_of_deployment(live))
            else:
                self._objects.apply(body)
        scalers = [body["spec"] for body in bodies if body["kind"] == "HorizontalPodAutoscaler"]
        least = scalers[0].get("minReplicas", 1) if scalers else 1
        self._wait(self.release.name, {ROLE: LIVE}, slot, least, stalled_since(live))
        self._objects.remove(each for each in self._objects.all() if (role_of(each), slot_of(each)) == (CANARY, slot))
        self._objects.apply_deployment(deployment, trail)

    def retire(self, slot: str) -> Iterable[str]:
        removed: list[str] = []
        live = [found for found in self._objects.all() if role_of(found) == LIVE]
        if any(slot_of(found) == slot for found in live):
            # Either the manifests of what answers do not hold these objects any more, or a rollout to this slot was cut
            # off, or a first one did not work.
            trail = self._trail()
            if back := trail[:-1] if trail[-1:] == (slot,) else trail:
                self.shift(back)
            else:
                removed += self._objects.remove(live)
        mine = [found for found in self._objects.all() if slot_of(found) == slot]
        removed += self._objects.remove(found for found in mine if role_of(found) != RECORD)
        if slot not in self._trail():
            removed += [f"archive {self.artifacts.address(slot)}"] * self.artifacts.remove(slot)
            removed += self._objects.remove(found for found in mine if role_of(found) == RECORD)
        return removed

    def _trail(self) -> tuple[str, ...]:
        return trail_of_deployment(self._objects.get("Deployment", self.release.name))

    def _wait(self, name: str, labels: dict[str, str], slot: str, least: int, stalled: str) -> None:
        rollout = Rollout(self.cluster, self.wait, self.poll, self._still_alone)
        rollout.wait(name, {INSTANCE: self.release.name, **labels}, slot, least=least, stalled=stalled)

    def _still_alone(self) -> None:
        if self._lease:
            self._lease.renew()

    @cached_property
    def _objects(self) -> Objects:
        return Objects(self.cluster, self.release, self._still_alone)

    def _canary(self, slot: str) -> str:
        return f"{self.release.name}-canary-{digest_of(slot)[:8]}"
