"""Vertex AI on loopback: gRPC over TLS with the service's own messages, and a bucket.

Enforces the rules that a deployment can violate: long-running operations, one at a time on an endpoint; the formats of
ids, labels and aliases; no traffic to a model that is not deployed, no undeploying of a model with traffic; no deletion
of a model's default version, of a deployed one or of the last one; no update with an old etag. Like the real service,
it names a project by its number. A deployed model is a real process of the served app (`run_container`).
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent import futures
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as v
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, empty_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from providers.gcs_server import GcsServer
from providers.google_faults import Fault, Faults
from providers.tls_proxy import certificates

NUMBER = "424242424242"
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_FILTER = re.compile(r'labels\.([a-z0-9_-]+)="([a-z0-9_-]*)"')
_READS = {"GetEndpoint", "ListEndpoints", "GetModel", "ListModelVersions", "Predict", "GetOperation", "ListOperations"}

#: Starts a container: (id of the endpoint, environment, archive) -> address.
RunContainer = Callable[[str, dict[str, str], bytes], str]


def grpc_error(code: str, message: str) -> Fault:
    return Fault(getattr(grpc.StatusCode, code), message)


@dataclass
class RunningOperation:
    """An operation on a resource: its effect when it ends, after `requests_left` more requests."""

    proto: operations_pb2.Operation
    resource_name: str
    effect: Callable[[], Any]
    requests_left: float


@dataclass
class VertexServer:
    """One project in one location.

    Attributes
    ----------
    run_container : callable
    requests_per_operation : int
        Number of requests, of any kind, before an operation ends.
    stuck_methods : set of str
        Methods whose operations do not end until they are cancelled.
    failing_methods : dict of str to Fault
        Methods whose operations end with an error.
    stale_predictions : int
        Number of predictions that still follow the previous traffic split.
    hold_updates : bool
        UpdateEndpoint is neither processed nor answered until the caller has disconnected; `update_held` is set when
        the request has arrived.
    """

    run_container: RunContainer
    requests_per_operation: int = 1
    stuck_methods: set[str] = field(default_factory=set)
    failing_methods: dict[str, Fault] = field(default_factory=dict)
    stale_predictions: int = 0
    hold_updates: bool = False
    faults: Faults = field(default_factory=Faults)
    endpoints: dict[str, Any] = field(default_factory=dict)
    models: dict[str, list[Any]] = field(default_factory=dict)
    operations: dict[str, RunningOperation] = field(default_factory=dict)
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)
    previous_splits: dict[str, dict[str, int]] = field(default_factory=dict)
    update_held: threading.Event = field(default_factory=threading.Event)

    def start(self, folder: Path) -> None:
        """Listen. A client needs `address` and `roots`, and `bucket.url` for its archives."""
        self._lock, self._numbers = threading.RLock(), itertools.count(1000)
        self.bucket = GcsServer(self.faults)
        authority, chain = certificates(["localhost"], folder)
        self.roots_file, self.roots = authority, authority.read_bytes()
        self._grpc = grpc.server(futures.ThreadPoolExecutor(8))
        for service, methods in SERVICES.items():
            handlers = {name: self._handler(name, *how) for name, how in methods.items()}
            self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        tls = grpc.ssl_server_credentials([(chain.read_bytes(), chain.read_bytes())])
        self.address = f"localhost:{self._grpc.add_secure_port('localhost:0', tls)}"
        self._grpc.start()

    def stop(self) -> None:
        self._grpc.stop(grace=1).wait()
        self.bucket.stop()

    def save(self) -> Any:
        """The current state, for `restore`."""
        return deepcopy((self.endpoints, self.models, self.containers, self.previous_splits, self.bucket.objects))

    def restore(self, saved: Any = ({}, {}, {}, {}, {})) -> None:
        """Reset to the saved state, without operations in progress and without faults."""
        with self._lock:
            self.endpoints, self.models, self.containers, self.previous_splits, self.bucket.objects = deepcopy(saved)
            self.operations.clear()
            self.faults.reset()
            (
                self.requests_per_operation,
                self.stuck_methods,
                self.failing_methods,
                self.stale_predictions,
                self.hold_updates,
            ) = 1, set(), {}, 0, False
            self.update_held.clear()

    def finish_operations(self) -> None:
        """Let time pass until no operation is in progress."""
        while not all(each.proto.done for each in self.operations.values()):
            self.advance()

    def state(self) -> dict[str, Any]:
        """All resources for a comparison."""
        return {
            "endpoints": {name: type(each).to_json(each) for name, each in self.endpoints.items()},
            "models": {name: [type(each).to_json(each) for each in all_] for name, all_ in self.models.items()},
            "objects": dict(self.bucket.objects),
        }

    def traffic_by_slot(self, endpoint_id: str) -> dict[str, int]:
        """Display name of each model deployed on an endpoint -> its share of the traffic."""
        endpoint = self.endpoints[endpoint_id]
        return {each.display_name: endpoint.traffic_split.get(each.id, 0) for each in endpoint.deployed_models}

    # Requests

    def _handler(self, name: str, method: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler:
        def answer(message: Any, context: grpc.ServicerContext) -> Any:
            fault = self.faults.next_fault(name, changes=name not in _READS)
            try:
                if fault and not fault.applied:
                    raise fault
                if name == "UpdateEndpoint" and self.hold_updates:
                    caller_gone = threading.Event()
                    if context.add_callback(caller_gone.set):
                        self.update_held.set()
                        caller_gone.wait(60)
                with self._lock:
                    self.advance()
                    if not context.is_active():
                        raise grpc_error("CANCELLED", "the caller has disconnected")
                    answer = sent(method(self, message))
                if fault:
                    raise fault
                return answer
            except Fault as fault_raised:
                status = status_pb2.Status(code=fault_raised.code.value[0], message=fault_raised.message)
                if fault_raised.retry_after is not None:
                    delay = duration_pb2.Duration()
                    delay.FromMilliseconds(int(1000 * fault_raised.retry_after))
                    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
                context.abort_with_status(rpc_status.to_status(status))

        def sent(message: Any) -> bytes:
            if hasattr(message, "SerializeToString"):
                return message.SerializeToString()
            return type(message).serialize(message)

        read = request.deserialize if hasattr(request, "deserialize") else request.FromString
        return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=read, response_serializer=None)

    # Operations

    def _start_operation(self, method: str, on: str, effect: Callable[[], Any]) -> operations_pb2.Operation:
        proto = operations_pb2.Operation(name=f"{on}/operations/{next(self._numbers)}")

        def failing() -> Any:
            raise self.failing_methods[method]

        requests_left = float("inf") if method in self.stuck_methods else self.requests_per_operation
        self.operations[proto.name] = RunningOperation(
            proto, on, failing if method in self.failing_methods else effect, requests_left
        )
        return proto

    def advance(self) -> None:
        """Let time pass: one request came in."""
        for running in list(self.operations.values()):
            running.requests_left -= 1
            if not running.proto.done and running.requests_left < 0:
                running.proto.done = True
                try:
                    result = running.effect()
                    message = result if isinstance(result, empty_pb2.Empty) else type(result).pb(result)
                    running.proto.response.Pack(message)
                except Fault as fault_raised:
                    running.proto.error.CopyFrom(
                        status_pb2.Status(code=fault_raised.code.value[0], message=fault_raised.message)
                    )

    def _check_no_operation(self, on: str) -> None:
        if under_way := [
            each.proto.name for each in self.operations.values() if each.resource_name == on and not each.proto.done
        ]:
            raise grpc_error("FAILED_PRECONDITION", f"There are other operations running on {on}: {under_way}")

    def get_operation(self, request: Any) -> operations_pb2.Operation:
        return self.operations[_with_project_number(request.name)].proto

    def list_operations(self, request: Any) -> operations_pb2.ListOperationsResponse:
        """Pages of ten."""
        listed = [
            each.proto for each in self.operations.values() if each.resource_name == _with_project_number(request.name)
        ]
        begin = int(request.page_token or 0)
        following = str(begin + 10) if begin + 10 < len(listed) else ""
        return operations_pb2.ListOperationsResponse(operations=listed[begin : begin + 10], next_page_token=following)

    def cancel_operation(self, request: Any) -> empty_pb2.Empty:
        running = self.operations[_with_project_number(request.name)]
        if running.proto.done:
            raise grpc_error("FAILED_PRECONDITION", "the operation has ended")
        running.proto.done = True
        running.proto.error.CopyFrom(status_pb2.Status(code=1, message="cancelled"))
        return empty_pb2.Empty()

    # Endpoints

    def _endpoint(self, name: str) -> Any:
        if (endpoint := self.endpoints.get(_last_segment(name))) is None:
            raise grpc_error("NOT_FOUND", f"The Endpoint does not exist: {name}")
        return endpoint

    def get_endpoint(self, request: Any) -> Any:
        return self._endpoint(request.name)

    def list_endpoints(self, request: Any) -> Any:
        wanted = [_FILTER.fullmatch(term) for term in request.filter.split(" AND ")]
        if None in wanted:
            raise grpc_error("INVALID_ARGUMENT", f"filter: {request.filter}")
        found = [
            each
            for each in self.endpoints.values()
            if all(each.labels.get(term[1]) == term[2] for term in wanted if term is not None)
        ]
        return v.ListEndpointsResponse(endpoints=found)

    def create_endpoint(self, request: Any) -> operations_pb2.Operation:
        if not _ENDPOINT_ID.fullmatch(request.endpoint_id) or not request.endpoint.display_name:
            raise grpc_error("INVALID_ARGUMENT", f"endpoint_id: {request.endpoint_id}")
        _check_labels(request.endpoint.labels)
        name = _with_project_number(f"{request.parent}/endpoints/{request.endpoint_id}")
        self._check_no_operation(name)
        if request.endpoint_id in self.endpoints:
            raise grpc_error("ALREADY_EXISTS", f"{name} already exists")

        def effect() -> Any:
            endpoint = v.Endpoint(request.endpoint)
            endpoint.name, endpoint.etag = name, str(next(self._numbers))
            self.endpoints[request.endpoint_id] = endpoint
            return endpoint

        return self._start_operation("CreateEndpoint", name, effect)

    def update_endpoint(self, request: Any) -> Any:
        endpoint, paths = self._endpoint(request.endpoint.name), set(request.update_mask.paths)
        if not paths or paths - {"traffic_split", "labels", "display_name"}:
            raise grpc_error("INVALID_ARGUMENT", f"update_mask: {paths}")
        if request.endpoint.etag not in ("", endpoint.etag):
            raise grpc_error("ABORTED", "the etag is not the current one")
        split = dict(request.endpoint.traffic_split)
        if "traffic_split" in paths:
            self._check_split(endpoint, split)
            self.previous_splits[_last_segment(endpoint.name)] = dict(endpoint.traffic_split)
            endpoint.traffic_split = split
        if "labels" in paths:
            _check_labels(request.endpoint.labels)
            endpoint.labels = dict(request.endpoint.labels)
        endpoint.etag = str(next(self._numbers))
        return endpoint

    def delete_endpoint(self, request: Any) -> operations_pb2.Operation:
        endpoint = self._endpoint(request.name)
        self._check_no_operation(endpoint.name)
        if endpoint.deployed_models:
            raise grpc_error("FAILED_PRECONDITION", "The Endpoint has deployed or being-deployed DeployedModels")

        def effect() -> Any:
            del self.endpoints[_last_segment(endpoint.name)]
            return empty_pb2.Empty()

        return self._start_operation("DeleteEndpoint", endpoint.name, effect)

    def deploy_model(self, request: Any) -> operations_pb2.Operation:
        endpoint, model = self._endpoint(request.endpoint), self._version(request.deployed_model.model)
        self._check_no_operation(endpoint.name)
        resources = request.deployed_model.dedicated_resources
        min_replicas, max_replicas = resources.min_replica_count, resources.max_replica_count
        if (
            not re.fullmatch(r"[a-z0-9]+-[a-z]+-\d+", resources.machine_spec.machine_type)
            or not 1 <= min_replicas <= max_replicas
        ):
            raise grpc_error("INVALID_ARGUMENT", f"dedicated_resources: {resources}")
        deployed = v.DeployedModel(request.deployed_model)
        deployed.id, deployed.model = str(next(self._numbers)), model.name
        deployed.model_version_id = model.version_id

        def effect() -> Any:
            bucket, _, folder = model.artifact_uri.removeprefix("gs://").partition("/")
            spec = model.container_spec
            environment = {each.name: each.value for each in spec.env} | {
                "AIP_HTTP_PORT": str(spec.ports[0].container_port),
                "AIP_PREDICT_ROUTE": spec.predict_route,
                "AIP_HEALTH_ROUTE": spec.health_route,
            }
            if (archive := self.bucket.objects.get((bucket, f"{folder}/bundle.tar.gz"))) is None:
                raise grpc_error("NOT_FOUND", f"{model.artifact_uri} is empty")
            try:
                url = self.run_container(_last_segment(endpoint.name), environment, archive.content)
                with urllib.request.urlopen(url + spec.health_route):
                    pass
            except RuntimeError as error:  # it did not start
                raise grpc_error("FAILED_PRECONDITION", f"Model server exited unexpectedly: {error}") from None
            self.containers[deployed.id] = (url, spec.predict_route)
            endpoint.deployed_models.append(deployed)
            if request.traffic_split:
                split = {deployed.id if id_ == "0" else id_: share for id_, share in request.traffic_split.items()}
                self._check_split(endpoint, split)
                endpoint.traffic_split = split
            return v.DeployModelResponse(deployed_model=deployed)

        return self._start_operation("DeployModel", endpoint.name, effect)

    def undeploy_model(self, request: Any) -> operations_pb2.Operation:
        endpoint = self._endpoint(request.endpoint)
        self._check_no_operation(endpoint.name)
        remaining = [each for each in endpoint.deployed_models if each.id != request.deployed_model_id]
        if len(remaining) == len(endpoint.deployed_models):
            raise grpc_error("NOT_FOUND", f"there is no deployed model {request.deployed_model_id}")
        split = dict(request.traffic_split or endpoint.traffic_split)
        if remaining and split.get(request.deployed_model_id):
            raise grpc_error("FAILED_PRECONDITION", "the deployed model has traffic")

        def effect() -> Any:
            endpoint.deployed_models = remaining
            endpoint.traffic_split = split if remaining else {}
            return v.UndeployModelResponse()

        return self._start_operation("UndeployModel", endpoint.name, effect)

    def _check_split(self, endpoint: Any, split: dict[str, int]) -> None:
        if split and (sum(split.values()) != 100 or split.keys() - {each.id for each in endpoint.deployed_models}):
            raise grpc_error("INVALID_ARGUMENT", f"traffic_split: {split}")

    # Models

    def _version(self, name: str) -> Any:
        path, _, version = name.partition("@")
        for each in self.models.get(_last_segment(path), []):
            if (version or "default") in (each.version_id, *each.version_aliases):
                return each
        raise grpc_error("NOT_FOUND", f"The Model does not exist: {name}")

    def get_model(self, request: Any) -> Any:
        return self._version(request.name)

    def list_model_versions(self, request: Any) -> Any:
        if _last_segment(request.name) not in self.models:
            raise grpc_error("NOT_FOUND", f"The Model does not exist: {request.name}")
        return v.ListModelVersionsResponse(models=self.models[_last_segment(request.name)])

    def upload_model(self, request: Any) -> operations_pb2.Operation:
        if request.parent_model:
            self._version(request.parent_model)
        elif request.model_id in self.models:
            raise grpc_error("ALREADY_EXISTS", f"the model {request.model_id} already exists")
        id_ = _last_segment(request.parent_model) or request.model_id
        spec = request.model.container_spec
        if not (
            _MODEL_ID.fullmatch(id_) and all(map(_ALIAS.fullmatch, request.model.version_aliases)) and spec.image_uri
        ):
            raise grpc_error("INVALID_ARGUMENT", f"model: {request.model}")
        _check_labels(request.model.labels)
        name = _with_project_number(f"{request.parent}/models/{id_}")

        def effect() -> Any:
            versions, version = self.models.setdefault(id_, []), v.Model(request.model)
            version.name, version.version_id = (
                name,
                str(max((int(each.version_id) for each in versions), default=0) + 1),
            )
            if not versions:
                version.version_aliases.append("default")
            versions.append(version)
            self._move_aliases(id_, version, list(version.version_aliases))
            return v.UploadModelResponse(model=name, model_version_id=version.version_id)

        return self._start_operation("UploadModel", name, effect)

    def merge_version_aliases(self, request: Any) -> Any:
        version = self._version(request.name)
        self._move_aliases(_last_segment(request.name.partition("@")[0]), version, list(request.version_aliases))
        return version

    def _move_aliases(self, model_id: str, to: Any, aliases: list[str]) -> None:
        for each in self.models[model_id]:
            each.version_aliases = [alias for alias in each.version_aliases if alias not in aliases]
        to.version_aliases.extend(aliases)

    def delete_model_version(self, request: Any) -> operations_pb2.Operation:
        version, versions = self._version(request.name), self.models[_last_segment(request.name.partition("@")[0])]
        if "default" in version.version_aliases or len(versions) == 1 or self._is_deployed(version):
            raise grpc_error("FAILED_PRECONDITION", "the version is the default, the last one, or deployed")

        def effect() -> Any:
            versions.remove(version)
            return empty_pb2.Empty()

        return self._start_operation("DeleteModelVersion", version.name, effect)

    def delete_model(self, request: Any) -> operations_pb2.Operation:
        name = self._version(request.name).name
        if any(map(self._is_deployed, self.models[_last_segment(name)])):
            raise grpc_error("FAILED_PRECONDITION", "the model is deployed")

        def effect() -> Any:
            del self.models[_last_segment(name)]
            return empty_pb2.Empty()

        return self._start_operation("DeleteModel", name, effect)

    def _is_deployed(self, version: Any) -> bool:
        deployed = [each for endpoint in self.endpoints.values() for each in endpoint.deployed_models]
        return (version.name, version.version_id) in [(each.model, each.model_version_id) for each in deployed]

    # Predictions

    def predict(self, predict_request: Any) -> Any:
        endpoint = self._endpoint(predict_request.endpoint)
        split = dict(endpoint.traffic_split)
        if self.stale_predictions and (previous_split := self.previous_splits.get(_last_segment(endpoint.name))):
            self.stale_predictions, split = self.stale_predictions - 1, previous_split
        if not split:
            raise grpc_error("FAILED_PRECONDITION", "the endpoint has no traffic split")
        id_ = max(split, key=lambda each: split[each])
        url, route = self.containers[id_]
        body = json.dumps(
            {"instances": [json_format.MessageToDict(each) for each in v.PredictRequest.pb(predict_request).instances]}
        )
        request = urllib.request.Request(url + route, body.encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as response:
                payload = json.load(response)
        except urllib.error.HTTPError as error:
            raise grpc_error("INVALID_ARGUMENT", f"{error.code} from the container: {error.read().decode()}") from None
        answer = v.PredictResponse(deployed_model_id=id_)
        answer.predictions.extend(json_format.ParseDict(each, struct_pb2.Value()) for each in payload["predictions"])
        return answer


def _with_project_number(name: str) -> str:
    return re.sub(r"^projects/[^/]+", f"projects/{NUMBER}", name)


def _last_segment(name: str) -> str:
    return name.rpartition("/")[2]


def _check_labels(labels: Any) -> None:
    if len(labels) > 64 or not all(key and _LABEL.fullmatch(key) and _LABEL.fullmatch(labels[key]) for key in labels):
        raise grpc_error("INVALID_ARGUMENT", f"labels: {dict(labels)}")


SERVICES: dict[str, dict[str, tuple[Callable[..., Any], Any]]] = {
    "google.cloud.aiplatform.v1.EndpointService": {
        "CreateEndpoint": (VertexServer.create_endpoint, v.CreateEndpointRequest),
        "GetEndpoint": (VertexServer.get_endpoint, v.GetEndpointRequest),
        "ListEndpoints": (VertexServer.list_endpoints, v.ListEndpointsRequest),
        "UpdateEndpoint": (VertexServer.update_endpoint, v.UpdateEndpointRequest),
        "DeleteEndpoint": (VertexServer.delete_endpoint, v.DeleteEndpointRequest),
        "DeployModel": (VertexServer.deploy_model, v.DeployModelRequest),
        "UndeployModel": (VertexServer.undeploy_model, v.UndeployModelRequest),
    },
    "google.cloud.aiplatform.v1.ModelService": {
        "UploadModel": (VertexServer.upload_model, v.UploadModelRequest),
        "GetModel": (VertexServer.get_model, v.GetModelRequest),
        "ListModelVersions": (VertexServer.list_model_versions, v.ListModelVersionsRequest),
        "MergeVersionAliases": (VertexServer.merge_version_aliases, v.MergeVersionAliasesRequest),
        "DeleteModelVersion": (VertexServer.delete_model_version, v.DeleteModelVersionRequest),
        "DeleteModel": (VertexServer.delete_model, v.DeleteModelRequest),
    },
    "google.cloud.aiplatform.v1.PredictionService": {"Predict": (VertexServer.predict, v.PredictRequest)},
    "google.longrunning.Operations": {
        "GetOperation": (VertexServer.get_operation, operations_pb2.GetOperationRequest),
        "ListOperations": (VertexServer.list_operations, operations_pb2.ListOperationsRequest),
        "CancelOperation": (VertexServer.cancel_operation, operations_pb2.CancelOperationRequest),
    },
}
