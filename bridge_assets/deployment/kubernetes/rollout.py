"""Waits for a Deployment's rollout, and explains one that does not finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge_assets.deployment.kubernetes.client import Cluster
from bridge_assets.deployment.kubernetes.release import SLOT_LABEL
from bridge_assets.errors import DeploymentError

#: Number of last lines of a pod's log in an error message.
_LOG_LINES = 3

_ENDED_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Rollout:
    """Waits for the rollout of a Deployment.

    Attributes
    ----------
    cluster : Cluster
    timeout_seconds, poll_seconds : float
        Longest wait, and pause between two polls.
    on_poll : callable
        Called at every poll.
    """

    cluster: Cluster
    timeout_seconds: float
    poll_seconds: float
    on_poll: Callable[[], None]

    def wait(self, name: str, labels: Mapping[str, str], slot: str, *, min_pods: int, previous_stall: str) -> None:
        """Wait until every pod of a Deployment belongs to a slot and is ready, and all other pods have ended.

        Parameters
        ----------
        name : str
            Name of the Deployment.
        labels : mapping
            Labels of its pods.
        slot : str
        min_pods : int
            Minimum number of ready pods, even if the Deployment currently requests fewer.
        previous_stall : str
            Result of `stalled_since` before the change, so that an earlier stall is not taken for a new one.

        Raises
        ------
        DeploymentError
            If it does not finish in time, or the cluster gave up; includes the problems of the pods.
        """
        deadline = time.monotonic() + self.timeout_seconds
        while True:
            live = self.cluster.get("Deployment", name) or {}
            missing = _not_ready_reason(live, min_pods) or self._old_pods(labels, slot)
            if not missing:
                return
            given_up = stalled_since(live) not in ("", previous_stall)
            if given_up or time.monotonic() >= deadline:
                waited = "the cluster gave up (progressDeadlineSeconds)" if given_up else f"{self.timeout_seconds:g} s"
                raise DeploymentError(
                    f"the rollout of {name} did not finish",
                    where=self.cluster.where,
                    why=f"After {waited}: {missing}. {self._pod_problems({**labels, SLOT_LABEL: slot})}",
                    do="fix the problems of the pods, then deploy again",
                )
            self.on_poll()
            time.sleep(self.poll_seconds)

    def _old_pods(self, labels: Mapping[str, str], slot: str) -> str:
        """Terminating pods of other slots. They still receive requests until the Service drops them."""
        pods = [
            pod for pod in self.cluster.list("Pod", labels) if pod.get("status", {}).get("phase") not in _ENDED_PHASES
        ]
        others = sum(pod["metadata"].get("labels", {}).get(SLOT_LABEL) != slot for pod in pods)
        return f"{others} pods of the previous version have not ended" if others else ""

    def _pod_problems(self, labels: Mapping[str, str]) -> str:
        problems = {
            pod["metadata"]["name"]: ", ".join(self._problems_of_pod(pod)) for pod in self.cluster.list("Pod", labels)
        }
        return "; ".join(f"{name}: {text}" for name, text in problems.items() if text) or "The pods report no problem"

    def _problems_of_pod(self, pod: dict[str, Any]) -> Iterator[str]:
        status = pod.get("status", {})
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                yield f"{condition.get('reason')} {condition.get('message', '')}".strip()
        if not status.get("containerStatuses"):
            yield f"it is {status.get('phase', 'Pending').lower()}"
        for container in status.get("containerStatuses", []):
            waiting, ended = container.get("state", {}).get("waiting"), container.get("lastState", {}).get("terminated")
            if waiting:
                yield f"{waiting.get('reason')} {waiting.get('message', '')}".strip()
            elif not container.get("ready"):
                yield "it is running, but not ready"
            if ended:
                yield f"it ended with {ended.get('reason')}, exit code {ended.get('exitCode')}"
            if ended or not (waiting or container.get("ready")):
                lines = self.cluster.log(pod["metadata"]["name"], _LOG_LINES, previous=bool(waiting)).split("\n")
                if text := " | ".join(line.strip() for line in lines if line.strip()):
                    yield f"its log ends with: {text}"


def stalled_since(live: Mapping[str, Any] | None) -> str:
    """When the cluster gave up on a Deployment's rollout; empty if it did not."""
    for condition in (live or {}).get("status", {}).get("conditions", []):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return condition.get("lastUpdateTime") or "unknown"
    return ""


def _not_ready_reason(live: Mapping[str, Any], min_pods: int) -> str:
    """Why a Deployment is not ready yet; empty if it is."""
    if not live:
        return "the Deployment was deleted"
    status = live.get("status", {})
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "the cluster has not processed the change yet"
    wanted, updated = live["spec"].get("replicas", 1), status.get("updatedReplicas", 0)
    ready, old = status.get("availableReplicas", 0), status.get("replicas", 0) - updated
    if wanted < min_pods:
        return f"{wanted} pods are requested, fewer than {min_pods}"
    if updated < wanted or ready < wanted or old > 0:
        return f"{updated} of {wanted} pods are created, {ready} are ready, {max(old, 0)} are of the previous version"
    return ""
