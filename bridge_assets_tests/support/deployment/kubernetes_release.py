"""The shipped manifests in a test cluster, and checks of what runs there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from providers.kubernetes.server import Kubernetes, kubernetes_server

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.kubernetes.target import KubernetesEndpoint
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import compare_answers
from bridge_assets.settings.environment import EnvironmentSettings

SHIPPED_MANIFESTS = Path(__file__).parents[3] / "configs" / "k8s"
RBAC = SHIPPED_MANIFESTS / "deployer" / "rbac.yaml"
NAME = "bridge-fall"


@dataclass
class ReleaseFixture:
    """A test cluster, and the folders of the user who deploys to it."""

    cluster: Kubernetes
    folder: Path

    @property
    def manifests(self) -> Path:
        return self.folder / "k8s"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def settings(self, **other: Any) -> EnvironmentSettings:
        values = {
            "namespace": self.cluster.namespace,
            "manifests": str(self.manifests),
            "image": "registry.example.org/bridge-assets/serve:1",
            "artifacts": str(self.artifacts),
            **other,
        }
        return EnvironmentSettings.model_validate({"kubernetes": values})

    def target(self, **other: Any) -> KubernetesEndpoint:
        """The endpoint for the current settings and manifests, with short waits."""
        endpoint = KubernetesEndpoint.from_settings(self.settings(**other), self.folder / "locks")
        quick = replace(endpoint.cluster, backoff=0.0)
        return replace(endpoint, cluster=quick, poll_seconds=0.01, lock_timeout=0.2, rollout_timeout=120.0)

    def edit(self, file: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit a manifest, as a user would."""
        path = self.manifests / file
        body = yaml.safe_load(path.read_text())
        change(body)
        path.write_text(yaml.safe_dump(body))

    def bundles(self, candidates: list[ModelVersion]) -> list[Bundle]:
        """Bundles of versions for the current manifests."""
        return [bundle_of(candidate).with_runtime_config(self.target().runtime_config) for candidate in candidates]

    def is_serving(self, bundle: Bundle) -> bool:
        """Whether the endpoint returns the predictions of a version, and every pod belongs to it."""
        target = self.target()
        compare_answers(target.predict(bundle.probe, None), bundle.probe, "the public address")
        slots = {pod["metadata"]["labels"]["bridge-assets-slot"] for pod in self.pods()}
        return slots == {bundle.with_runtime_config(target.runtime_config).slot}

    def swap_archive(self, archive: Path, role: str) -> None:
        """Make new pods of a role serve a different archive than their own; pods of existing slots keep theirs."""
        existing_slots = {pod["metadata"]["labels"]["bridge-assets-slot"] for pod in self.pods()}

        def swap(labels: dict[str, str]) -> Path | None:
            fits = labels["bridge-assets-role"] == role and labels["bridge-assets-slot"] not in existing_slots
            return archive if fits else None

        self.cluster.pods.archive_override = swap

    def pods(self, role: str = "live") -> list[dict[str, Any]]:
        with self.cluster.store.lock:
            return self.cluster.store.all("pods", {"bridge-assets-role": role})

    def archives(self) -> list[str]:
        return sorted(path.name.removesuffix(".tar.gz") for path in self.artifacts.rglob("*.tar.gz"))


@contextmanager
def release_fixture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, seconds_scale: float = 0.02, processes: bool = False
) -> Iterator[ReleaseFixture]:
    """An empty cluster, credentials with exactly the permissions of the shipped Role, and the shipped manifests with a
    volume for artifacts.
    """
    role = next(each for each in yaml.safe_load_all(RBAC.read_text()) if each["kind"] == "Role")
    with kubernetes_server(role["rules"], seconds_scale=seconds_scale, processes=processes) as cluster:
        fixture = ReleaseFixture(cluster, folder)
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(folder / "kubeconfig")))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)  # set if the tests themselves run in a cluster
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        shutil.copytree(SHIPPED_MANIFESTS, fixture.manifests)
        fixture.artifacts.mkdir()

        def mount(body: dict[str, Any]) -> None:
            pod, path = body["spec"]["template"]["spec"], str(fixture.artifacts)
            pod["volumes"].append({"name": "bundles", "hostPath": {"path": path}})
            pod["containers"][0]["volumeMounts"].append({"name": "bundles", "mountPath": path, "readOnly": True})

        fixture.edit("deployment.yaml", mount)
        yield fixture
