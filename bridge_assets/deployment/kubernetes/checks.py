"""Checks that the manifests of a release fit together.

Finds what a schema cannot express and a cluster reports late or never: a selector that matches no pod, a port that no
container opens, a missing volume, an invalid name, a request above its limit, an update that removes capacity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bridge_assets.deployment.kubernetes.manifests import Manifest
from bridge_assets.errors import DeploymentError

#: Names by RFC 1123 and RFC 1035, and Kubernetes' rule for names of ports.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")

_PROBE_FIELDS = ("startupProbe", "readinessProbe", "livenessProbe")


def check_release(documents: list[Manifest]) -> None:
    """Check manifests against each other.

    Raises
    ------
    DeploymentError
        Names the file, the document and every problem in it.
    """
    for document in documents:
        try:
            problems = list(_document_problems(document, documents))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problems = [f"it does not have the structure of a {document.kind} ({type(error).__name__}: {error})"]
        if problems:
            raise DeploymentError(
                f"{document.kind} {document.name} is not valid",
                where=document.where,
                why="; ".join(problems),
                do="correct the manifest. Nothing was sent",
            )
    for kind in ("Deployment", "Service"):
        if (found := sum(document.kind == kind for document in documents)) != 1:
            raise DeploymentError(
                f"a release needs exactly one {kind}",
                where=documents[0].file.parent,
                why=f"These manifests have {found}",
                do="correct the manifests. Nothing was sent",
            )


def _document_problems(document: Manifest, documents: list[Manifest]) -> Iterator[str]:
    pattern = _SERVICE_NAME if document.kind == "Service" else _NAME
    if not pattern.fullmatch(document.name):
        yield f"{document.name!r} is not a valid name (at most 63 lower-case letters, digits and dashes)"
    if any(other is not document and _same_object(other, document) for other in documents[: documents.index(document)]):
        yield "an earlier document has the same kind and name"
    spec = document.body.get("spec", {})
    pods = [other.body["spec"] for other in documents if other.kind == "Deployment"]
    if document.kind == "Deployment":
        yield from _deployment_problems(spec, documents)
    elif document.kind == "Service":
        for pod in pods:
            yield from _selector_problems(spec["selector"], pod, "selector")
            yield from _service_port_problems(spec["ports"], pod)
    elif document.kind == "PodDisruptionBudget":
        for pod in pods:
            yield from _selector_problems(spec["selector"]["matchLabels"], pod, "selector")
    elif document.kind == "NetworkPolicy":
        for pod in pods:
            yield from _selector_problems(spec["podSelector"].get("matchLabels", {}), pod, "podSelector")
    elif document.kind == "HorizontalPodAutoscaler":
        target, deployments = spec["scaleTargetRef"], [other.name for other in documents if other.kind == "Deployment"]
        if target["kind"] != "Deployment" or target["name"] not in deployments:
            yield f"scaleTargetRef names {target['kind']} {target['name']}, which is not in these manifests"
        if not 1 <= spec.get("minReplicas", 1) <= spec["maxReplicas"]:
            yield f"minReplicas {spec.get('minReplicas', 1)} to maxReplicas {spec['maxReplicas']} is not a range"


def _deployment_problems(spec: dict[str, Any], documents: list[Manifest]) -> Iterator[str]:
    pod = spec["template"]["spec"]
    yield from _selector_problems(spec["selector"]["matchLabels"], spec, "selector")
    update = spec["strategy"].get("rollingUpdate", {}) if "strategy" in spec else {}
    if update.get("maxUnavailable") != 0 or update.get("maxSurge") in (0, "0%"):
        yield "strategy must be a rollingUpdate with maxUnavailable 0 and maxSurge above 0, to keep full capacity"
    if "replicas" in spec and any(other.kind == "HorizontalPodAutoscaler" for other in documents):
        yield "replicas must be left out, because the HorizontalPodAutoscaler sets it"
    containers, volumes = pod["containers"], [volume["name"] for volume in pod.get("volumes", [])]
    for name in _duplicates([container["name"] for container in containers]):
        yield f"two containers are called {name}"
    for name in _duplicates(volumes):
        yield f"two volumes are called {name}"
    for container in containers:
        for problem in _container_problems(container, volumes):
            yield f"container {container['name']!r}: {problem}"


def _container_problems(container: dict[str, Any], volumes: list[str]) -> Iterator[str]:
    if not _NAME.fullmatch(container["name"]):
        yield "this is not a valid name (at most 63 lower-case letters, digits and dashes)"
    ports = container.get("ports", [])
    for port in ports:
        yield from _port_problems(port["containerPort"], "containerPort")
        if "name" in port and not _PORT_NAME.fullmatch(port["name"]):
            yield f"{port['name']!r} is not a valid port name (at most 15 lower-case letters, digits and dashes)"
    for name in _duplicates([port["name"] for port in ports if "name" in port]):
        yield f"two ports are called {name}"
    for probe in _PROBE_FIELDS:
        if http_get := container.get(probe, {}).get("httpGet"):
            yield from _closed_port_problems(http_get["port"], ports, probe)
    for variable in container.get("env", []):
        if not (isinstance(variable["name"], str) and isinstance(variable.get("value", ""), str)):
            yield f"env {variable['name']}: name and value must be strings (put them in quotes)"
    mounts = container.get("volumeMounts", [])
    for name in sorted({mount["name"] for mount in mounts} - set(volumes)):
        yield f"volumeMounts: there is no volume {name}"
    for path in _duplicates([mount["mountPath"].rstrip("/") for mount in mounts]):
        yield f"volumeMounts: two volumes are mounted at {path}"
    yield from _resource_problems(container.get("resources", {}))


def _resource_problems(resources: dict[str, Any]) -> Iterator[str]:
    from kubernetes.utils.quantity import parse_quantity

    for section in ("requests", "limits"):
        if missing := {"cpu", "memory"} - resources.get(section, {}).keys():
            yield f"resources.{section} does not set {' and '.join(sorted(missing))}"
    requests, limits = (
        {key: str(value) for key, value in resources.get(of, {}).items()} for of in ("requests", "limits")
    )
    for name in requests.keys() & limits.keys():
        if parse_quantity(requests[name]) > parse_quantity(limits[name]):
            yield f"resources: the request of {name} ({requests[name]}) is above its limit ({limits[name]})"


def _service_port_problems(ports: list[dict[str, Any]], deployment: dict[str, Any]) -> Iterator[str]:
    if not ports:
        yield "it has no ports"
    container_ports = [port for each in deployment["template"]["spec"]["containers"] for port in each.get("ports", [])]
    for port in ports:
        yield from _port_problems(port["port"], "port")
        yield from _closed_port_problems(port.get("targetPort", port["port"]), container_ports, "targetPort")
    for name in _duplicates([port.get("name", "") for port in ports]):
        yield f"two ports are called {name!r}"


def _port_problems(number: Any, field_name: str) -> Iterator[str]:
    if not (isinstance(number, int) and 0 < number < 1 << 16):
        yield f"{field_name} {number} is not a port (1 to 65535)"


def _closed_port_problems(port: Any, ports: list[dict[str, Any]], field_name: str) -> Iterator[str]:
    if port not in [of.get("name") for of in ports] + [of["containerPort"] for of in ports]:
        yield f"{field_name} {port} is not opened by the container"


def _selector_problems(selector: dict[str, str], deployment: dict[str, Any], field_name: str) -> Iterator[str]:
    labels = deployment["template"]["metadata"]["labels"]
    if mismatched := [f"{key}={value}" for key, value in selector.items() if labels.get(key) != value]:
        yield f"{field_name} matches no pod: the pods do not have the label {', '.join(mismatched)}"


def _duplicates(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _same_object(one: Manifest, other: Manifest) -> bool:
    return (one.kind, one.name) == (other.kind, other.name)
