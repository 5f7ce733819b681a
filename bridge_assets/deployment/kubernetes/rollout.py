"""Waits for a Deployment's rollout, and explains one that does not finish."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge_assets.deployment.kubernetes.client import Cluster
from bridge_assets.deployment.kubernetes.errors import is_quota
from bridge_assets.deployment.kubernetes.lease import LeaseLostError
from bridge_assets.deployment.kubernetes.release import SLOT_LABEL
from bridge_assets.errors import DeploymentError

#: Number of last lines of a pod's log in an error message.
_LOG_LINES = 3

_ENDED_PHASES = ("Succeeded", "Failed")

#: Polls in a row, normally one a second, at which the cluster must refuse to create pods until the rollout is given up.
#: Choices: a rule about pods does not change by itself, and a condition of the previous rollout is gone within a few
#: seconds; but pods that are being terminated count in a quota, 40 s by the shipped manifests, and the ReplicaSet then
#: tries again at intervals that double.
_FORBIDDEN_POLLS, _QUOTA_POLLS = 5, 90

#: A refusal by a rule, such as PodSecurity, a LimitRange or a policy. Others, such as a webhook that cannot be reached,
#: may pass.
_RULE = re.compile(r"is forbidden:|is invalid:|denied the request")


@dataclass(frozen=True)
class Rollout:
    """Waits for the rollout of a Deployment.

    Attributes
    ----------
    cluster : Cluster
    timeout_seconds, poll_seconds : float
        Longest wait, and pause between two polls.
    on_poll : callable
        Called at every poll, to renew the lease. Only a LeaseLostError of it ends the waiting.
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
            If it does not finish in time, the cluster gave up, or it refuses to create the pods; includes the problems
            of the pods. An API server that cannot be read is waited for: the pods run without it.
        LeaseLostError
            If another deployment took over.
        """
        deadline, refused_polls = time.monotonic() + self.timeout_seconds, 0
        pods = {**labels, SLOT_LABEL: slot}
        while True:
            self._keep_lease()
            try:
                live = self.cluster.get("Deployment", name) or {}
                missing = _not_ready_reason(live, min_pods) or self._old_pods(labels, slot)
            except DeploymentError as error:
                live, missing = {}, f"its state could not be read: {error.what} ({error.why})"
            if not missing:
                return
            refusal = _refusal(live)
            refused_polls = refused_polls + 1 if refusal else 0
            ended = self._ended(live, refusal, refused_polls, previous_stall, deadline)
            if ended:
                reasons = [f"After {ended}: {missing}", refusal and f"Pods cannot be created: {refusal}"]
                raise DeploymentError(
                    f"the rollout of {name} did not finish",
                    where=self.cluster.where,
                    why=". ".join([*filter(None, reasons), self._pod_problems(pods, refusal)]).removesuffix(". "),
                    do=_remedy(live, refusal),
                )
            time.sleep(self.poll_seconds)

    def _keep_lease(self) -> None:
        try:
            self.on_poll()
        except LeaseLostError:
            raise
        except DeploymentError:
            pass  # the next poll tries again; a change needs the lease, and fails without it

    def _ended(
        self, live: Mapping[str, Any], refusal: str, refused_polls: int, previous_stall: str, deadline: float
    ) -> str:
        """Why there is no more waiting; empty while there is."""
        if stalled_since(live) not in ("", previous_stall):
            return "the cluster gave up (progressDeadlineSeconds)"
        if refused_polls >= _polls_until_final(refusal):
            return "the cluster refused its pods"
        return f"{self.timeout_seconds:g} s" if time.monotonic() >= deadline else ""

    def _old_pods(self, labels: Mapping[str, str], slot: str) -> str:
        """Terminating pods of other slots. They still receive requests until the Service drops them."""
        pods = [
            pod for pod in self.cluster.list("Pod", labels) if pod.get("status", {}).get("phase") not in _ENDED_PHASES
        ]
        others = sum(pod["metadata"].get("labels", {}).get(SLOT_LABEL) != slot for pod in pods)
        return f"{others} pods of the previous version have not ended" if others else ""

    def _pod_problems(self, labels: Mapping[str, str], refusal: str) -> str:
        try:
            problems = {
                pod["metadata"]["name"]: ", ".join(self._problems_of_pod(pod))
                for pod in self.cluster.list("Pod", labels)
            }
        except DeploymentError:
            return "The pods could not be read"
        listed = "; ".join(f"{name}: {text}" for name, text in problems.items() if text)
        return listed or ("" if refusal else "The pods report no problem")

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


def _refusal(live: Mapping[str, Any]) -> str:
    """Why the cluster cannot create pods of a Deployment, in its own words; empty if it can."""
    if not _is_observed(live):
        return ""
    for condition in live["status"].get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"{condition.get('reason')} {condition.get('message', '')}".strip()
    return ""


def _polls_until_final(refusal: str) -> float:
    if is_quota(refusal):
        return _QUOTA_POLLS
    return _FORBIDDEN_POLLS if _RULE.search(refusal) else math.inf


def _remedy(live: Mapping[str, Any], refusal: str) -> str:
    if not live:
        return "check that the cluster answers and has the Deployment, then deploy again"
    if is_quota(refusal):
        return "raise this quota of the namespace, or lower what the manifests request, then deploy again"
    if refusal:
        return "change what it names in the manifests, or the rule of the namespace, then deploy again"
    return "fix the problems of the pods, then deploy again"


def _is_observed(live: Mapping[str, Any]) -> bool:
    """Whether the status is about the current spec."""
    return bool(live) and live.get("status", {}).get("observedGeneration", 0) >= live["metadata"]["generation"]


def _not_ready_reason(live: Mapping[str, Any], min_pods: int) -> str:
    """Why a Deployment is not ready yet; empty if it is."""
    if not live:
        return "the Deployment was deleted"
    if not _is_observed(live):
        return "the cluster has not processed the change yet"
    status = live["status"]
    wanted, updated = live["spec"].get("replicas", 1), status.get("updatedReplicas", 0)
    ready, old = status.get("availableReplicas", 0), status.get("replicas", 0) - updated
    if wanted < min_pods:
        return f"{wanted} pods are requested, fewer than {min_pods}"
    if updated < wanted or ready < wanted or old > 0:
        return f"{updated} of {wanted} pods are created, {ready} are ready, {max(old, 0)} are of the previous version"
    return ""
