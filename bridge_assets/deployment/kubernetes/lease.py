"""One deployment at a time, whatever machine it runs on: a Lease in the cluster, beside the lock file on this one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from bridge_assets.deployment.core.tags import check_owner
from bridge_assets.deployment.kubernetes.client import Cluster
from bridge_assets.deployment.kubernetes.errors import ConflictError
from bridge_assets.deployment.kubernetes.release import Release
from bridge_assets.errors import DeploymentError

#: Seconds after which a lease that nobody renews is free. A choice: longer than any one request with its retries, short
#: enough to wait for after a crash of another machine. Clocks may differ by a good part of it.
LEASE_SECONDS = 120


@dataclass
class Lease:
    """A Lease, held from `acquire` to `release_lease`.

    Attributes
    ----------
    cluster : Cluster
    name : str
    release : Release
        Whose it is.
    lock : Path
        The lock file that the caller holds: a holder with the same file on this machine is dead.
    """

    cluster: Cluster
    name: str
    release: Release
    lock: Path
    _lease_object: dict[str, Any] = field(default_factory=dict, init=False)
    _renewed_at: float = field(default=0.0, init=False)

    @property
    def _holder_prefix(self) -> str:
        boot = ""  # hosts may share a name, and a path; no two share this
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return f"{socket.gethostname()}/{sha256(f'{boot}{self.lock.absolute()}'.encode()).hexdigest()[:8]}/"

    def acquire(self, action: str, timeout: float, poll: float) -> None:
        """Take the lease.

        Raises
        ------
        DeploymentError
            If another holder neither gives it back nor stops renewing it in `timeout` seconds.
        OwnershipError
            If somebody else's Lease has this name.
        """
        deadline = time.monotonic() + timeout
        while not self._try_acquire():
            if time.monotonic() >= deadline:
                spec = self._lease_object["spec"]
                raise DeploymentError(
                    f"{action} was refused",
                    where=f"{self.cluster.where}, lease {self.name}",
                    why=f"Another deployment ({spec.get('holderIdentity')}, since {spec.get('acquireTime')}) holds it",
                    do=f"wait for it to end. If it has died, the lease is free after {LEASE_SECONDS} s",
                )
            time.sleep(poll)

    def renew(self) -> None:
        """Say that the holder lives; at most once in a third of the lease's time.

        Raises
        ------
        DeploymentError
            If somebody else took the lease meanwhile.
        """
        if time.monotonic() - self._renewed_at < LEASE_SECONDS / 3:
            return
        self._lease_object["spec"]["renewTime"] = _now()
        try:
            self._write(self._lease_object)
        except ConflictError as error:
            raise DeploymentError(
                "another deployment took over",
                where=f"{self.cluster.where}, lease {self.name}",
                why=f"The lease was not renewed for {LEASE_SECONDS} s, or somebody changed it",
                do="wait for the other one to end, then deploy again",
            ) from error

    def release_lease(self) -> None:
        """Give it back. What is no longer ours is left alone, and what cannot be given back runs out by itself."""
        with suppress(DeploymentError):
            self.cluster.delete("Lease", self.name, self._lease_object["metadata"]["resourceVersion"])

    def _try_acquire(self) -> bool:
        live = self.cluster.get("Lease", self.name)
        now = _now()
        spec = {
            "holderIdentity": f"{self._holder_prefix}{os.getpid()}",
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }
        metadata: dict[str, Any] = {"name": self.name, "labels": self.release.labels()}
        try:
            if live is None:
                self._write({"apiVersion": _API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}, new=True)
                return True
            check_owner(
                live["metadata"].get("labels", {}), self.release.owner, f"the Lease {self.name}", self.cluster.where
            )
            if not self._is_free(live.get("spec", {})):
                self._lease_object = live
                return False
            self._write({**live, "spec": spec})
            return True
        except ConflictError:  # somebody was faster; or our own request arrived, and its answer did not
            self._lease_object = self.cluster.get("Lease", self.name) or {"spec": {}}
            return self._lease_object["spec"].get("holderIdentity") == spec["holderIdentity"]

    def _is_free(self, spec: Mapping[str, Any]) -> bool:
        holder = str(spec.get("holderIdentity") or "")
        if not holder or holder.startswith(self._holder_prefix):
            return True
        renewed = datetime.fromisoformat(spec.get("renewTime") or "1970-01-01T00:00:00Z")
        return (datetime.now(UTC) - renewed).total_seconds() > spec.get("leaseDurationSeconds", LEASE_SECONDS)

    def _write(self, document: dict[str, Any], *, new: bool = False) -> None:
        self._lease_object = self.cluster.create(document) if new else self.cluster.replace(document)
        self._renewed_at = time.monotonic()


_API_VERSION = "coordination.k8s.io/v1"


def _now() -> str:
    """The time as Kubernetes writes a MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
