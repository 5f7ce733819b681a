"""A Lease in the cluster that allows one deployment at a time, also from different machines."""

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

#: Seconds after which a lease that is not renewed expires. A choice: longer than any request with its retries, and
#: short enough to wait for after another machine crashed. Tolerates clocks that differ by much of it.
LEASE_SECONDS = 120


class LeaseLostError(DeploymentError):
    """Another deployment took the lease. Nothing may be changed any more."""


@dataclass
class Lease:
    """A Lease, held from `acquire` to `release_lease`.

    Attributes
    ----------
    cluster : Cluster
    name : str
    release : Release
        The release that owns it.
    lock : Path
        The lock file that the caller holds. A lease holder with the same file on this machine must therefore be dead.
    """

    cluster: Cluster
    name: str
    release: Release
    lock: Path
    _lease_object: dict[str, Any] = field(default_factory=dict, init=False)
    _renewed_at: float = field(default=0.0, init=False)

    @property
    def _holder_prefix(self) -> str:
        boot = ""  # unique per host, unlike host names and paths
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return f"{socket.gethostname()}/{sha256(f'{boot}{self.lock.absolute()}'.encode()).hexdigest()[:8]}/"

    def acquire(self, action: str, timeout: float, poll: float) -> None:
        """Take the lease.

        Raises
        ------
        DeploymentError
            If another holder still has it after `timeout` seconds.
        OwnershipError
            If a Lease of this name does not belong to us.
        """
        deadline = time.monotonic() + timeout
        while not self._try_acquire():
            if time.monotonic() >= deadline:
                spec = self._lease_object["spec"]
                raise DeploymentError(
                    f"{action} was refused",
                    where=f"{self.cluster.where}, lease {self.name}",
                    why=f"Another deployment is in progress ({spec.get('holderIdentity')}, since "
                    f"{spec.get('acquireTime')})",
                    do=f"wait until it has ended; if it crashed, its lease expires after {LEASE_SECONDS} s",
                )
            time.sleep(poll)

    def renew(self) -> None:
        """Renew the lease, at most once per third of its duration.

        Raises
        ------
        LeaseLostError
            If another deployment took the lease in the meantime, or it was deleted.
        DeploymentError
            If the cluster cannot be reached. The lease is still ours until it expires.
        """
        if time.monotonic() - self._renewed_at < LEASE_SECONDS / 3:
            return
        try:
            self._write_renewal()
        except ConflictError:
            # Either another deployment wrote it, or we did, and the response was lost with the connection.
            try:
                self._read_own()
                self._write_renewal()
            except ConflictError as error:
                raise LeaseLostError(
                    "another deployment took over",
                    where=f"{self.cluster.where}, lease {self.name}",
                    why=f"The lease was not renewed for {LEASE_SECONDS} s, or was changed by hand",
                    do="wait until the other deployment has ended, then deploy again",
                ) from error

    def release_lease(self) -> None:
        """Delete the lease if it is still ours. If that fails, it expires."""
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
        except ConflictError:  # another holder was faster, or our own request succeeded and its response was lost
            self._lease_object = self.cluster.get("Lease", self.name) or {"spec": {}}
            return self._lease_object["spec"].get("holderIdentity") == spec["holderIdentity"]

    def _is_free(self, spec: Mapping[str, Any]) -> bool:
        holder = str(spec.get("holderIdentity") or "")
        if not holder or holder.startswith(self._holder_prefix):
            return True
        renewed = datetime.fromisoformat(spec.get("renewTime") or "1970-01-01T00:00:00Z")
        return (datetime.now(UTC) - renewed).total_seconds() > spec.get("leaseDurationSeconds", LEASE_SECONDS)

    def _write_renewal(self) -> None:
        self._write({**self._lease_object, "spec": {**self._lease_object["spec"], "renewTime": _now()}})

    def _read_own(self) -> None:
        """Read the lease again. Raises ConflictError if it is no longer ours."""
        live, own = self.cluster.get("Lease", self.name) or {}, self._lease_object["spec"]
        spec = live.get("spec", {})
        if any(spec.get(key) != own[key] for key in ("holderIdentity", "acquireTime")):
            raise ConflictError("the lease has another holder", where=self.cluster.where, do="run again")
        self._lease_object = live

    def _write(self, document: dict[str, Any], *, new: bool = False) -> None:
        self._lease_object = self.cluster.create(document) if new else self.cluster.replace(document)
        self._renewed_at = time.monotonic()


_API_VERSION = "coordination.k8s.io/v1"


def _now() -> str:
    """The current time in Kubernetes' MicroTime format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
