"""The parts of Azure that the SDK of Azure Machine Learning talks to: a resource manager and the scoring addresses of
endpoints (the services that these use are in `azure_services`).

Enforces the rules of the real service that a deployment can violate: names unique in a region, one operation at a time
on a resource, traffic only to existing deployments, no deletion of a deployment with traffic, an immutable model path.
Faults come on demand (`AzureServer.inject_fault` and the methods after it).
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.azure_services import BLOBS, CREDENTIALS, SIGN_IN, TENANT, TOKEN, BlobStore, Containers, sign_in
from providers.tls_proxy import ConnectionDropped, Request, Response, intercept_hosts

SUBSCRIPTION, GROUP, WORKSPACE, REGION = "00000000-0000-0000-0000-000000000000", "rg", "bridges", "eastus"
_WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
_ARM, _SCORING, _KEY = "management.azure.com", f"{REGION}.inference.ml.azure.com", "a-key"

_RECENT, _OLD = "2126-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


@dataclass
class _Operation:
    """An operation on a resource: it ends at the second poll, or never."""

    path: str
    result: dict[str, Any] | None  # the resource when the operation has ended; None = deleted
    is_stuck: bool
    polls: int = 0
    error: str = ""
    status: str = "InProgress"


@dataclass
class _Fault:
    method: str
    path: re.Pattern[str]
    answer: Response | None  # None = the connection is dropped
    times: int
    applied: bool  # whether the request is processed anyway


@dataclass
class AzureServer:
    """The state of a subscription with one workspace. Paths of resources are relative to the workspace."""

    containers: Containers
    store: BlobStore = field(default_factory=BlobStore)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    reserved_names: set[str] = field(default_factory=set)
    sign_in_error: str = ""
    container_overrides: dict[str, str] = field(default_factory=dict)  # slot -> slot whose container responds for it
    routing_queue: list[str] = field(default_factory=list)  # slots for the next requests that name no deployment
    instant_operations: bool = False  # operations that are not stuck have ended when they are requested
    request_count: int = 0
    _faults: list[_Fault] = field(default_factory=list)
    _operations: dict[str, _Operation] = field(default_factory=dict)
    _stuck: list[re.Pattern[str]] = field(default_factory=list)
    _drop_after: int | None = None
    _lock: Any = field(default_factory=threading.RLock)
    _numbers: Any = field(default_factory=itertools.count)

    # Controls for tests ---------------------------------------------------------------------------------------------

    def inject_fault(
        self,
        method: str,
        path: str,
        status: int = 0,
        code: str = "Fault",
        times: int = 1,
        done: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer the next requests with an error; status 0 drops the connection. `done`: process them first."""
        content = {"error": {"code": code, "message": f"{code}: on demand"}}
        answer = Response(status, content, headers or {}) if status else None
        self._faults.append(_Fault(method, re.compile(path), answer, times, done))

    def make_stuck(self, path: str) -> None:
        """Let creating or changing such a resource never end."""
        self._stuck.append(re.compile(path))

    def drop_after(self, changes: int) -> None:
        """Process this many more changes, then drop everything, as if the client had been killed."""
        self._drop_after = len(self.changes) + changes

    def recover(self) -> None:
        """Respond again. Time has passed: operations have ended."""
        self._drop_after = None
        for operation in self._operations.values():
            if not operation.is_stuck:
                self._finish_operation(operation)

    def backdate(self, path: str) -> None:
        """Make a resource look as if it was last modified long ago."""
        self.resources[path]["systemData"] = dict.fromkeys(("createdAt", "lastModifiedAt"), _OLD)

    def add_resource(self, path: str, **resource: Any) -> None:
        """Add a resource that somebody else created."""
        self.resources[path] = self._with_defaults(path, deepcopy(resource)) | {"systemData": _system_data()}
        self.resources[path]["properties"]["provisioningState"] = "Succeeded"

    def all_faults_used(self) -> bool:
        """Whether every fault has occurred."""
        return not any(fault.times for fault in self._faults)

    def states(self) -> dict[str, Any]:
        """All resources except the records of images, which nobody owns."""
        named = {path: it for path, it in self.resources.items() if "/environments/" not in path}
        return deepcopy({path: (it.get("tags"), it["properties"]) for path, it in named.items()})

    def save(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The current state, for `restore`."""
        return deepcopy((self.resources, self.store.blobs))

    def restore(self, saved: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """Restore exactly the saved state."""
        self.reset()
        self.resources, self.store.blobs = deepcopy(saved)

    def reset(self) -> None:
        """Reset to an empty subscription; containers keep running."""
        self.__dict__.update(AzureServer(self.containers).__dict__)
        self.add_resource("", location=REGION, properties={"storageAccount": "/x/bridgestore", "keyVault": "/x/k"})
        self.add_resource(
            "/datastores/workspaceblobstore",
            properties={
                "datastoreType": "AzureBlob",
                "accountName": "bridgestore",
                "containerName": "azureml",
                "endpoint": "core.windows.net",
                "protocol": "https",
                "isDefault": True,
                "credentials": self.store.credentials,
            },
        )
        self.changes.clear()

    # Dispatch by service --------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        self.request_count += 1
        if request.host == SIGN_IN:
            return sign_in(request, self.sign_in_error)
        if request.host.endswith(_SCORING):
            return self._fault_response(request, request.path) or self._score(request)
        with self._lock:
            if request.host == BLOBS:
                return self._fault_response(request, request.path) or self.store.handle(request)
            path = request.path.replace(_WORKSPACE, "", 1).rstrip("/")
            if self._drop_after is not None and len(self.changes) >= self._drop_after:
                raise ConnectionDropped
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return _error(401, "ExpiredAuthenticationToken", "The access token is missing or expired.")
            return self._fault_response(request, path) or self._resource_manager(request, path)

    def _fault_response(self, request: Request, path: str) -> Response | None:
        for fault in self._faults:
            if fault.times and fault.method == request.method and fault.path.search(path):
                fault.times -= 1
                if fault.applied:
                    self._resource_manager(request, path)
                if fault.answer is None:
                    raise ConnectionDropped
                return fault.answer
        return None

    # The resource manager -------------------------------------------------------------------------------------------

    def _resource_manager(self, request: Request, path: str) -> Response:
        if path.startswith("/operations/"):
            return self._operation_status(path.rpartition("/")[2])
        match request.method, path.rpartition("/")[2]:
            case "POST", "listKeys":
                return Response(200, {"primaryKey": _KEY, "secondaryKey": _KEY})
            case "POST", "listSecrets":
                return Response(200, self.store.secrets)
            case "POST", "getLogs":
                lines = self.containers.logs.get(path.split("/")[-2], "").splitlines()
                return Response(200, {"content": "\n".join(lines[-int(request.json().get("tail") or 50) :])})
            case "GET", "models" | "onlineEndpoints" | "deployments" | "versions" | "datastores":
                return Response(
                    200, {"value": [it for at, it in self.resources.items() if at.rpartition("/")[0] == path]}
                )
            case "GET", _:
                self._advance_time(path)
                if path.startswith("/datastores/"):
                    self.resources[path]["properties"]["credentials"] = self.store.credentials
                return Response(200, self.resources[path]) if path in self.resources else _missing(path)
            case "PUT", _:
                return self._record_change(f"PUT {path}", self._put(path, request.json()))
            case "DELETE", _:
                return self._record_change(f"DELETE {path}", self._delete(path))
        return _error(405, "MethodNotAllowed", f"{request.method} {path} is not supported by this server")

    def _record_change(self, what: str, answer: Response) -> Response:
        if answer.status < 400:
            self.changes.append(what)
        return answer

    def _put(self, path: str, body: dict[str, Any]) -> Response:
        existing, resource = self.resources.get(path), self._with_defaults(path, body)
        endpoint = _parts(path)[0]
        if problem := self._validation_error(path, existing, resource):
            return _error(*problem)
        state = "Updating" if existing else "Creating"
        resource["systemData"] = _system_data()
        if not endpoint:
            resource["properties"]["provisioningState"] = "Succeeded"
            self.resources[path] = resource
            return Response(200 if existing else 201, resource)
        visible = deepcopy(existing or resource)
        visible["properties"]["provisioningState"], visible["systemData"] = state, _system_data()
        self.resources[path] = visible
        headers = self._start_operation(path, resource)
        return Response(200 if existing else 201, self.resources[path], headers)

    def _validation_error(self, path: str, existing: dict | None, resource: dict) -> tuple[int, str, str] | None:
        endpoint, slot = _parts(path)
        properties = resource["properties"]
        if (
            existing
            and endpoint
            and existing["properties"]["provisioningState"] in ("Creating", "Updating", "Deleting")
        ):
            return 409, "ResourceOperationInProgress", f"An operation on {path} is in progress."
        if existing and "/models/" in path and existing["properties"]["modelUri"] != properties["modelUri"]:
            return 400, "UserError", "The asset's path cannot be changed."
        if endpoint and not slot:
            if endpoint in self.reserved_names:
                message = (
                    "There is already an endpoint with this name, Endpoint name needs to be unique within a region."
                )
                return 400, "BadArgument", f"{message} Try some other name."
            if unknown := [
                name for name in properties["traffic"] if f"{path}/deployments/{name}" not in self.resources
            ]:
                return 400, "BadArgument", f"Traffic to deployments that do not exist: {unknown}"
            if sum(properties["traffic"].values()) not in (0, 100):
                return 400, "BadArgument", "The sum of traffic must be 0 or 100."
        if slot:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{2,31}", slot):
                return 400, "BadArgument", f"{slot} is not a valid name of a deployment"
            for what in (properties["model"], properties["environmentId"]):
                if what.replace(_WORKSPACE, "", 1) not in self.resources:
                    return 400, "BadArgument", f"{what} does not exist"
        return None

    def _delete(self, path: str) -> Response:
        existing = self.resources.get(path)
        if existing is None:
            return Response(204)
        endpoint, slot = _parts(path)
        if not endpoint:
            del self.resources[path]
            return Response(200)
        traffic = self.resources[f"/onlineEndpoints/{endpoint}"]["properties"]["traffic"]
        if slot and traffic.get(slot):
            return _error(409, "Conflict", f"Deployment {slot} has traffic; set it to 0 first.")
        for operation in self._operations.values():  # the deletion cancels a creation in progress
            operation.status = "Canceled" if operation.path == path else operation.status
        existing["properties"]["provisioningState"] = "Deleting"
        headers = self._start_operation(path, None)
        return Response(202 if headers else 204, b"", headers)

    def _start_operation(self, path: str, ends: dict[str, Any] | None) -> dict[str, str]:
        number = str(next(self._numbers))
        stuck = ends is not None and any(pattern.search(path) for pattern in self._stuck)
        self._operations[number] = _Operation(path, ends, stuck)
        if self.instant_operations and not stuck:
            self._finish_operation(self._operations[number])
            return {}
        where = f"https://{_ARM}{_WORKSPACE}/operations/{number}?api-version=2024-01-01"
        return {"Azure-AsyncOperation": where, "Location": where, "x-ms-retry-after-ms": "1"}

    def _advance_time(self, path: str) -> None:
        """Every poll of a resource advances its time; an operation on it ends at the second poll."""
        for operation in self._operations.values():
            if operation.path == path:
                operation.polls += 1
                if operation.polls > 1 and not operation.is_stuck:
                    self._finish_operation(operation)

    def _operation_status(self, number: str) -> Response:
        if (operation := self._operations.get(number)) is None:
            return _missing(number)
        self._advance_time(operation.path)
        body: dict[str, Any] = {"status": operation.status}
        if operation.status == "Failed":
            body["error"] = {"code": "DeploymentFailed", "message": operation.error}
        return Response(200, body, {"x-ms-retry-after-ms": "1"})

    def _finish_operation(self, operation: _Operation) -> None:
        if operation.status != "InProgress":
            return
        path, slot = operation.path, _parts(operation.path)[1]
        if operation.result is None:
            for removed_path in [at for at in self.resources if at == path or at.startswith(f"{path}/")]:
                del self.resources[removed_path]
        else:
            if slot:
                operation.error = self._start_container(slot, operation.result)
            self.resources[path] = operation.result
            operation.result["properties"]["provisioningState"] = "Failed" if operation.error else "Succeeded"
        operation.status = "Failed" if operation.error else "Succeeded"

    def _with_defaults(self, path: str, resource: dict[str, Any]) -> dict[str, Any]:
        """The resource with the properties that the service adds."""
        properties = resource.setdefault("properties", {})
        resource |= {"id": _WORKSPACE + path, "name": path.rpartition("/")[2] or WORKSPACE, "type": "x"}
        endpoint, slot = _parts(path)
        if slot:
            properties.setdefault("endpointComputeType", "Managed")
            properties.setdefault("scaleSettings", {"scaleType": "Default"})
            resource.setdefault("sku", {"name": "Default", "capacity": 1})
        elif endpoint:
            resource["identity"] = {"type": "SystemAssigned", "principalId": "p", "tenantId": TENANT}
            properties["scoringUri"] = f"https://{endpoint}.{_SCORING}/score"
            properties.setdefault("authMode", "Key")
            for key in ("traffic", "mirrorTraffic", "properties"):
                properties[key] = properties.get(key) or {}
        elif "/models/" in path:
            properties["flavors"] = properties.get("flavors") or {}
            resource["tags"] = properties.get("tags")
        return resource

    # Containers -----------------------------------------------------------------------------------------------------

    def _start_container(self, slot: str, deployment: dict[str, Any]) -> str:
        """Start the container of a deployment; returns the error if it does not start."""
        properties = deployment["properties"]
        model = self.resources[properties["model"].replace(_WORKSPACE, "", 1)]
        blob = model["properties"]["modelUri"].partition("/paths/")[2]
        if (blob_content := self.store.blobs.get(f"/azureml/{blob}")) is None:
            return f"The model's file {blob} does not exist"
        environ = properties.get("environmentVariables") or {}
        deployment["container"] = self.containers.start(slot, blob.rpartition("/")[2], blob_content[0], environ)
        return "" if deployment["container"] else "User container has crashed or terminated."

    def _score(self, request: Request) -> Response:
        endpoint = self.resources.get(f"/onlineEndpoints/{request.host.partition('.')[0]}")
        if endpoint is None:
            return _error(404, "NotFound", "There is no such endpoint.")
        if request.headers.get("authorization") != f"Bearer {_KEY}":
            return _error(401, "Unauthorized", "The key is missing or wrong.")
        traffic = endpoint["properties"]["traffic"]
        slot = request.headers.get("azureml-model-deployment")
        if slot is None:
            slot = (
                self.routing_queue.pop(0) if self.routing_queue else max(traffic, key=traffic.__getitem__, default="")
            )
        deployment = self.resources.get(
            f"/onlineEndpoints/{endpoint['name']}/deployments/{self.container_overrides.get(slot, slot)}"
        )
        if not deployment or not deployment.get("container"):
            return _error(404, "NotFound", f"There is no deployment {slot!r} that responds.")
        environment = self.resources[deployment["properties"]["environmentId"].replace(_WORKSPACE, "", 1)]
        route = environment["properties"]["inferenceConfig"]["scoringRoute"]
        assert route["port"] == 8080  # where the served app listens in its container
        return self.containers.forward(deployment["container"] + route["path"], request)


def _parts(path: str) -> tuple[str, str]:
    """Endpoint and deployment in a path; empty if there is none."""
    found = re.fullmatch(r"/onlineEndpoints/([^/]+)(?:/deployments/([^/]+))?", path)
    return (found[1], found[2] or "") if found else ("", "")


def _system_data() -> dict[str, str]:
    return dict.fromkeys(("createdAt", "lastModifiedAt"), _RECENT)


def _error(status: int, code: str, message: str) -> Response:
    return Response(status, {"error": {"code": code, "message": message}})


def _missing(path: str) -> Response:
    return _error(404, "ResourceNotFound", f"The Resource {path!r} was not found.")


@contextmanager
def azure_server(folder: Path) -> Iterator[tuple[AzureServer, dict[str, str]]]:
    """A subscription with a workspace, and the environment variables that direct a client to it."""
    azure = AzureServer(Containers(folder))
    azure.reset()
    with intercept_hosts([SIGN_IN, _ARM, BLOBS, f"*.{_SCORING}"], azure.handle, folder) as variables:
        try:
            yield azure, {**variables, **CREDENTIALS}
        finally:
            azure.containers.stop()
