"""Runs the pods of Deployments: a small autoscaler, Deployment controller, kubelet and Service proxy.

Rollouts respect maxSurge and maxUnavailable. A pod is ready when its readiness probe succeeds; it is stopped with
SIGTERM and killed after its grace period. A Service forwards connections to ready pods, and learns of changes with a
delay. The containers of pods are in `containers`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.kubernetes.containers import ContainerError, ProcessContainer, SharedContainer
from providers.kubernetes.errors import ApiError
from providers.kubernetes.objects import ObjectStore

#: Real seconds between two rounds of the controllers, and between two probes of a ready pod.
_TICK_SECONDS, _PROBE_SECONDS = 0.02, 0.2


@dataclass
class Pods:
    """Controllers and nodes of a cluster.

    Attributes
    ----------
    store : ObjectStore
    seconds_scale : float
        Real seconds per second in a manifest.
    processes : bool
        Whether each pod is a separate process.
    has_room : callable
        Labels of a pod -> whether a node has room for it.
    refusal : str
        What the API server says to a new pod, with `{name}` for its name: the refusal of PodSecurity, a LimitRange or a
        webhook; empty = it is created.
    archive_override : callable
        Labels of a pod -> an archive that it serves instead of its own: a wrong model behind the endpoint.
    min_ready : dict
        Deployment -> smallest number of ready pods since it first had as many as requested.
    """

    store: ObjectStore
    seconds_scale: float
    processes: bool
    has_room: Callable[[dict[str, str]], bool] = lambda labels: True
    refusal: str = ""
    archive_override: Callable[[dict[str, str]], Path | None] = lambda labels: None
    min_ready: dict[str, int] = field(default_factory=dict)
    containers: dict[str, SharedContainer | ProcessContainer] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            with self.store.lock:
                for scaler in self.store.all("horizontalpodautoscalers"):
                    self._reconcile_autoscaler(scaler)
                for deployment in self.store.all("deployments"):
                    self._reconcile_deployment(deployment)
                names = {each["metadata"]["name"] for each in self.store.all("deployments")}
                for pod in self.store.all("pods"):
                    if pod["metadata"]["ownerReferences"][0]["name"] not in names:
                        self._terminate_pod(pod)

    def stop(self) -> None:
        self._stop.set()
        with self.store.lock:
            for pod in self.store.all("pods"):
                self._terminate_pod(pod)
        for thread in self._threads:
            thread.join()

    def ready_addresses(self, selector: dict[str, str]) -> list[tuple[str, int]]:
        """Addresses of the pods that a Service sends requests to."""
        with self.store.lock:
            pods = [pod for pod in self.store.all("pods", selector) if _is_ready(pod)]
            return [self.containers[pod["metadata"]["name"]].address for pod in pods]

    # Controllers

    def _reconcile_autoscaler(self, scaler: dict[str, Any]) -> None:
        key = ("deployments", scaler["spec"]["scaleTargetRef"]["name"])
        if key in self.store.objects:
            wanted = self.store.objects[key]["spec"]["replicas"]
            if wanted < (min_replicas := scaler["spec"].get("minReplicas", 1)):
                self.store.scale(key, "kube-controller-manager", min_replicas)

    def _reconcile_deployment(self, deployment: dict[str, Any]) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        name, wanted = metadata["name"], spec["replicas"]
        template = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        pods = [pod for pod in self.store.all("pods", spec["selector"]["matchLabels"]) if _is_active(pod)]
        new = [pod for pod in pods if pod["metadata"]["labels"]["pod-template-hash"] == template]
        old = [pod for pod in pods if pod not in new]
        ready = [pod for pod in pods if _is_ready(pod)]
        update = spec.get("strategy", {}).get("rollingUpdate", {})
        refusal = ""
        if len(new) < wanted and len(pods) < wanted + update.get("maxSurge", 1):
            try:
                new.append(self._create_pod(deployment, template))
            except ApiError as error:  # ReplicaSets try again and again
                refusal = str(error)
        elif len(new) > wanted:
            self._terminate_pod(new[-1])
        spare = len(ready) - (wanted - update.get("maxUnavailable", 1))
        for pod in sorted(old, key=_is_ready):
            if not _is_ready(pod) or spare > 0:
                spare -= _is_ready(pod)
                self._terminate_pod(pod)
        count = len([pod for pod in pods if _is_ready(pod) and _is_active(pod)])
        if name in self.min_ready or count >= wanted > 1:
            self.min_ready[name] = min(self.min_ready.get(name, count), count)
        self._report_rollout(deployment, new, [pod for pod in old if _is_active(pod)], refusal)

    def _report_rollout(self, deployment: dict[str, Any], new: list[Any], old: list[Any], refusal: str) -> None:
        """Report a rollout as a controller does, with the failure of its ReplicaSet to create a pod. The rollout is
        given up as soon as a pod can never become ready, regardless of progressDeadlineSeconds, because starting a
        process takes real time.
        """
        metadata, available = deployment["metadata"], sum(map(_is_ready, [*new, *old]))
        done = len(new) == deployment["spec"]["replicas"] == available and not old
        conditions = deployment.get("status", {}).get("conditions", [])
        conditions = [each for each in conditions if each["type"] == "Progressing"]
        if done:
            conditions = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]
        elif any("waiting" in _container_of(pod).get("state", {}) for pod in new) and not _deadline_exceeded(
            conditions
        ):
            failed_condition = {"status": "False", "reason": "ProgressDeadlineExceeded"}
            conditions = [{"type": "Progressing", **failed_condition, "lastUpdateTime": f"{time.time():.6f}"}]
        if refusal:
            failure = {"status": "True", "reason": "FailedCreate", "message": refusal}
            conditions = [*conditions, {"type": "ReplicaFailure", **failure}]
        status = {
            "observedGeneration": metadata["generation"],
            "replicas": len(new) + len(old),
            "updatedReplicas": len(new),
            "availableReplicas": available,
            "conditions": conditions,
        }
        self.store.set_status(("deployments", metadata["name"]), status)

    # Nodes

    def _create_pod(self, deployment: dict[str, Any], template: str) -> dict[str, Any]:
        name = f"{deployment['metadata']['name']}-{template}-{next(self._numbers):05d}"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {**deployment["spec"]["template"]["metadata"]["labels"], "pod-template-hash": template},
                "ownerReferences": [{"kind": "Deployment", "name": deployment["metadata"]["name"]}],
            },
            "spec": deployment["spec"]["template"]["spec"],
            "status": {"phase": "Pending"},
        }
        if self.refusal:
            raise ApiError(403, "Forbidden", self.refusal.format(name=name))
        self.store.create(("pods", name), pod)
        self._start_thread(lambda: self._run_pod(name, pod))
        return self.store.objects["pods", name]

    def _run_pod(self, name: str, pod: dict[str, Any]) -> None:
        """Start a pod's container, then monitor it until the pod is terminated."""
        server = pod["spec"]["containers"][0]
        while not self.has_room(pod["metadata"]["labels"]) and not self._stop.is_set():
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/3 nodes have room",
            }
            self._set_status(name, {"phase": "Pending", "conditions": [condition]})
            time.sleep(_TICK_SECONDS)
        account = ("serviceaccounts", pod["spec"].get("serviceAccountName", ""))
        if "missing" in server["image"] or (account[1] and account not in self.store.objects):
            self._report_waiting(name, "ImagePullBackOff", f'Back-off pulling image "{server["image"]}"')
            return
        container = self._container(pod, server)
        with self.store.lock:
            if not self._exists(name):
                return
            self.containers[name] = container
        probe = server["readinessProbe"]["httpGet"]["path"]
        try:
            container.start()
            while container.is_running() and self._exists(name):
                self._report_running(name, ready=(ready := _healthy(container.address, probe)))
                time.sleep(_PROBE_SECONDS if ready else _TICK_SECONDS)
        except ContainerError as error:
            if self._exists(name):
                self.logs[name] = error.log
                self._report_waiting(
                    name, "CrashLoopBackOff", "back-off restarting failed container", ended=error.reason
                )

    def _container(self, pod: dict[str, Any], server: dict[str, Any]) -> SharedContainer | ProcessContainer:
        environ = {each["name"]: each["value"] for each in server["env"]}
        if swap := self.archive_override(pod["metadata"]["labels"]):
            environ["BRIDGE_ASSETS_PACKAGE"] = str(swap)
            environ["BRIDGE_ASSETS_PACKAGE_SHA256"] = hashlib.sha256(swap.read_bytes()).hexdigest()
            del environ["BRIDGE_ASSETS_SLOT"]
        if "BRIDGE_ASSETS_CLOSING_SECONDS" in environ:
            closing = self.seconds_scale * float(environ["BRIDGE_ASSETS_CLOSING_SECONDS"])
            environ["BRIDGE_ASSETS_CLOSING_SECONDS"] = str(closing)
        grace = self.seconds_scale * pod["spec"].get("terminationGracePeriodSeconds", 30)
        port = server["ports"][0]["containerPort"]
        return ProcessContainer(environ, grace, port) if self.processes else SharedContainer(environ)

    def _terminate_pod(self, pod: dict[str, Any]) -> None:
        if not _is_active(pod):
            return
        name = pod["metadata"]["name"]
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

        def end() -> None:
            if container := self.containers.get(name):
                container.stop()
            with self.store.lock:
                self.store.objects.pop(("pods", name), None)

        self._start_thread(end)

    def _start_thread(self, what: Callable[[], None]) -> None:
        self._threads.append(thread := threading.Thread(target=what, daemon=True))
        thread.start()

    def _exists(self, name: str) -> bool:
        return not self._stop.is_set() and _is_active(self.store.objects.get(("pods", name), {}))

    def _report_running(self, name: str, *, ready: bool) -> None:
        condition = {"type": "Ready", "status": str(ready)}
        self._set_status(
            name,
            {
                "phase": "Running",
                "conditions": [condition],
                "containerStatuses": [{"ready": ready, "state": {"running": {}}}],
            },
        )

    def _report_waiting(self, name: str, reason: str, message: str, ended: str = "") -> None:
        container: dict[str, Any] = {"ready": False, "state": {"waiting": {"reason": reason, "message": message}}}
        if ended:
            container["lastState"] = {"terminated": {"reason": ended, "exitCode": 2}}
        self._set_status(name, {"phase": "Pending", "containerStatuses": [container]})

    def _set_status(self, name: str, status: dict[str, Any]) -> None:
        with self.store.lock:
            if ("pods", name) in self.store.objects:
                self.store.objects["pods", name]["status"] = status


class ServiceProxy:
    """A Service as other pods see it: each connection goes to a pod that was ready a moment ago."""

    def __init__(self, pods: Pods, service: str, delay: float) -> None:
        self._pods, self._service, self._late = pods, service, delay
        self._known: list[tuple[str, int]] = []
        self._turn = itertools.count()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open = True
        for work in (self._refresh_pods, self._accept):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        self._open = False
        self._listening.close()

    def _refresh_pods(self) -> None:
        while self._open:
            with self._pods.store.lock:
                service = self._pods.store.objects.get(("services", self._service))
            self._known = self._pods.ready_addresses(service["spec"]["selector"]) if service else []
            time.sleep(self._late)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        known = self._known
        with client, suppress(OSError):
            if not known:
                return
            with socket.create_connection(known[next(self._turn) % len(known)], timeout=5) as pod:
                pod.settimeout(None)
                back = threading.Thread(target=_copy, args=(pod, client), daemon=True)
                back.start()
                _copy(client, pod)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _healthy(address: tuple[str, int], path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _is_active(pod: dict[str, Any]) -> bool:
    return bool(pod) and "deletionTimestamp" not in pod["metadata"]


def _deadline_exceeded(conditions: list[dict[str, Any]]) -> bool:
    return any(condition["status"] == "False" for condition in conditions)


def _container_of(pod: dict[str, Any]) -> dict[str, Any]:
    return pod.get("status", {}).get("containerStatuses", [{}])[0]


def _is_ready(pod: dict[str, Any]) -> bool:
    return _is_active(pod) and bool(_container_of(pod).get("ready"))


def forward_request(pods: Pods, service: dict[str, Any], method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Forward a request to a pod of a Service and return status and response."""
    known = pods.ready_addresses(service["spec"]["selector"])
    if not known:
        name = service["metadata"]["name"]
        return 503, json.dumps({"message": f'no endpoints available for service "{name}"'}).encode()
    request = urllib.request.Request(f"http://{known[0][0]}:{known[0][1]}{path}", body, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
