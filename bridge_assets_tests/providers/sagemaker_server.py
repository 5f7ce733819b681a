"""A realistic SageMaker in front of moto: S3, records and tags are moto's; endpoints are implemented here.

Adds what moto lacks: endpoints whose operations take time (Creating, Updating, Deleting), UpdateEndpoint, refusal of
names in use, validation of requests against the service's own model, and invocations that reach a real process of the
served app, started from the archive in S3 as a container would be. Faults come on demand.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from providers.aws_faults import FaultyService, Respond, ServiceError, send_response, serve_wsgi, validate_shape
from support.deployment.server_process import serving

REGION, ACCOUNT, BUCKET = "eu-central-1", "123456789012", "bridges-bucket"


@dataclass
class EndpointState:
    """The state of an endpoint: its configuration, the pending one, and the number of polls until that is active."""

    config: str
    status: str = "Creating"
    pending: str | None = None
    polls_left: int = 1
    reason: str | None = None
    update: dict[str, Any] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status in ("Creating", "Updating", "Deleting")


@dataclass
class SageMaker(FaultyService):
    """One account in one region.

    Attributes
    ----------
    scratch : Path
        Archives are unpacked here for their containers.
    violations : list of str
        Requests that SageMaker accepts although its documentation forbids them.
    polls_until_done : int
        Number of DescribeEndpoint calls that find an endpoint busy before an operation ends.
    stuck_endpoints : set of str
        Endpoints whose operation never ends.
    alarms_firing : bool
        Whether the alarms that watch an update go off.
    failing_configs : set of str
        Configurations whose container ends at once.
    config_overrides : mapping of (endpoint, configuration) to str
        Configuration whose container responds instead of the right one.
    pending_async_outputs : mapping of str to bytes
        Outputs of asynchronous endpoints: URL in S3 -> content.
    """

    scratch: Path = Path()
    moto: Callable[..., Iterable[bytes]] | None = None
    model: Any = None
    endpoint_states: dict[str, EndpointState] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    polls_until_done: int = 1
    stuck_endpoints: set[str] = field(default_factory=set)
    alarms_firing: bool = False
    failing_configs: set[str] = field(default_factory=set)
    config_overrides: dict[tuple[str, str], str] = field(default_factory=dict)
    pending_async_outputs: dict[str, bytes] = field(default_factory=dict)

    def reset(self) -> None:
        """Reset to an empty account with an empty bucket."""
        self.reset_faults()
        fresh = SageMaker()
        for name in (
            "endpoint_states",
            "violations",
            "polls_until_done",
            "stuck_endpoints",
            "alarms_firing",
            "failing_configs",
            "config_overrides",
            "pending_async_outputs",
        ):
            setattr(self, name, getattr(fresh, name))
        self._backend.reset()
        if BUCKET in _s3().buckets:
            _s3().buckets[BUCKET].keys.clear()
        else:
            _s3().create_bucket(BUCKET, REGION)

    def state(self) -> dict[str, Any]:
        """All resources for a comparison: names, contents and tags."""
        backend = self._backend
        return {
            "endpoints": {
                name: (life.status, life.config, _tags(backend.endpoints[name]))
                for name, life in self.endpoint_states.items()
            },
            "configs": {
                name: (each.production_variants, each.data_capture_config, each.async_inference_config, _tags(each))
                for name, each in backend.endpoint_configs.items()
            },
            "models": {name: (each.primary_container, _tags(each)) for name, each in backend._models.items()},
            "objects": {key: (sha256(each.value).hexdigest(), dict(each.metadata)) for key, each in _keys().items()},
        }

    def serving_config(self, endpoint: str) -> str | None:
        """The configuration that an endpoint serves."""
        life = self.endpoint_states.get(endpoint)
        return life.config if life and life.status in ("InService", "Updating") else None

    def overwrite_object(self, key: str, content: bytes) -> None:
        """Change the bytes of an object without anybody noticing."""
        metadata = getattr(_s3().get_object(BUCKET, key), "metadata", {})
        _s3().put_object(BUCKET, key, content).set_metadata(metadata)

    def restart_endpoint(self, endpoint: str) -> None:
        """Let SageMaker restart an endpoint's containers, as it does when a machine fails."""
        self.endpoint_states[endpoint].status = "Creating"

    def create_foreign_resource(self, kind: str, name: str, key: str, like: str) -> None:
        """Create a resource as somebody else, like an existing one but without our tags."""
        backend = self._backend
        config = backend.endpoint_configs[like]
        if kind == "object":
            self.overwrite_object(key, b"theirs")
        elif kind == "model":
            backend.create_model(name, "theirs", {"Image": "theirs"}, None, None, [])
        elif kind == "endpoint configuration":
            backend.create_endpoint_config(name, config.production_variants, {}, {}, [], "")
        else:
            backend.create_endpoint(name, like, [])
            self._set_state(name, EndpointState("theirs", status="InService"))

    @contextmanager
    def container(self, config: str) -> Iterator[str]:
        """Address of the container of a configuration, for the duration of a block."""
        variant = self._backend.endpoint_configs[config].production_variants[0]
        container = self._backend._models[variant["ModelName"]].primary_container
        content = _object(container["ModelDataUrl"])
        folder = self.scratch / sha256(content).hexdigest()
        if not folder.is_dir():
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(folder, filter="data")
        with serving(folder, **container["Environment"]) as url:
            yield url

    def handle(self, operation: str, environ: dict[str, Any], body: bytes, respond: Respond) -> Iterable[bytes]:
        if operation.startswith("Invoke"):
            return self._invoke(operation, environ, body, respond)
        assert self.moto is not None
        if operation.startswith("s3:"):
            self._deliver_async_output(operation, environ["PATH_INFO"])
            return list(self.moto(environ, respond))
        request = json.loads(body)
        validate_shape(self.model.operation_model(operation).input_shape, request, operation)
        self._check_rules(operation, request)
        handler = getattr(self, f"_{operation}", None)
        return list(self.moto(environ, respond)) if handler is None else send_response(respond, 200, handler(request))

    # Rules that SageMaker enforces

    def _check_rules(self, operation: str, request: dict[str, Any]) -> None:
        backend = self._backend
        stores = {
            "Model": backend._models,
            "EndpointConfig": backend.endpoint_configs,
            "Endpoint": self.endpoint_states,
        }
        words = {"Model": "model", "EndpointConfig": "endpoint configuration", "Endpoint": "endpoint"}
        match = re.fullmatch(r"(Create|Update|Describe|Delete)(Model|EndpointConfig|Endpoint)", operation)
        if not match:
            return
        verb, kind = match.groups()
        name = request[f"{kind}Name"]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{words[kind].replace(' configuration', '-config')}/{name}"
        if verb == "Create" and name in stores[kind]:
            raise ServiceError(f'Cannot create already existing {words[kind]} "{arn}".')
        if verb != "Create" and name not in stores[kind]:
            raise ServiceError(f'Could not find {words[kind]} "{arn}".')
        if operation in ("UpdateEndpoint", "DeleteEndpoint") and self.endpoint_states[name].busy:
            raise ServiceError(f'Cannot update in-progress endpoint "{arn}".')
        for needed, store in ("EndpointConfig", backend.endpoint_configs), ("Model", backend._models):
            names = [request.get(f"{needed}Name"), *(v.get("ModelName") for v in request.get("ProductionVariants", ()))]
            if needed != kind and verb in ("Create", "Update"):
                for each in filter(None, names if needed == "Model" else names[:1]):
                    if each not in store:
                        raise ServiceError(f'Could not find {words[needed]} "{each}".')
        if operation == "CreateModel" and _object(request["PrimaryContainer"]["ModelDataUrl"]) is None:
            raise ServiceError(f"Could not find model data at {request['PrimaryContainer']['ModelDataUrl']}.")
        serverless = "ServerlessConfig" in request.get("ProductionVariants", ({},))[0]
        if operation == "CreateEndpointConfig" and serverless and "DataCaptureConfig" in request:
            raise ServiceError("DataCaptureConfig is not supported for serverless endpoints.")
        if verb == "Delete" and kind != "Endpoint":
            for endpoint, life in self.endpoint_states.items():
                for config in filter(None, (life.config, life.pending)):
                    found = backend.endpoint_configs.get(config)
                    model = found and found.production_variants[0]["ModelName"]
                    if name == (config if kind == "EndpointConfig" else model) and life.status != "Failed":
                        self.violations.append(f"{operation} {name}: {endpoint} is {life.status} with it")

    # Endpoints

    def _CreateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config = request["EndpointName"], request["EndpointConfigName"]
        endpoint = self._backend.create_endpoint(name, config, request.get("Tags", []))
        self._set_state(name, EndpointState(config, polls_left=self.polls_until_done))
        return {"EndpointArn": endpoint.arn}

    def _UpdateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, life = request["EndpointName"], self.endpoint_states[request["EndpointName"]]
        if life.status == "Failed":
            raise ServiceError("Cannot update a failed endpoint.")
        old, new = (
            self._backend.endpoint_configs[config].production_variants[0]
            for config in (life.config, request["EndpointConfigName"])
        )
        deployment_config = request.get("DeploymentConfig", {})
        if deployment_config and "ServerlessConfig" in new:
            raise ServiceError("DeploymentConfig is not supported for serverless endpoints.")
        if old["VariantName"] != new["VariantName"]:
            raise ServiceError("The variant names of the two configurations must be the same.")
        routing = deployment_config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        canary = routing.get("CanarySize", {}).get("Value", 0)
        if (routing.get("Type") == "CANARY") != bool(canary) or 2 * canary > new.get("InitialInstanceCount", 0):
            raise ServiceError("The canary must be at most half of the fleet.")
        life.status, life.pending, life.polls_left, life.update = (
            "Updating",
            request["EndpointConfigName"],
            self.polls_until_done,
            request,
        )
        life.reason = None
        self._set_state(name, life)
        return {"EndpointArn": self._backend.endpoints[name].arn}

    def _DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name, life = request["EndpointName"], self.endpoint_states[request["EndpointName"]]
        if life.busy and name not in self.stuck_endpoints:
            life.polls_left -= 1
            if life.polls_left < 0:
                self._finish_operation(name, life)
        if name not in self.endpoint_states:
            raise ServiceError(f'Could not find endpoint "{name}".')
        description = {
            "EndpointName": name,
            "EndpointArn": self._backend.endpoints[name].arn,
            "EndpointConfigName": life.config,
            "EndpointStatus": life.status,
            "CreationTime": 0,
            "LastModifiedTime": 0,
        }
        if life.reason:
            description["FailureReason"] = life.reason
        if life.pending or life.status == "Creating":
            description["PendingDeploymentSummary"] = {"EndpointConfigName": life.pending or life.config}
        return description

    def _DeleteEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        life = self.endpoint_states[request["EndpointName"]]
        life.status, life.polls_left = "Deleting", self.polls_until_done
        self._set_state(request["EndpointName"], life)
        return {}

    def finish_stuck(self, name: str) -> None:
        """Let the operation of a stuck endpoint end."""
        self.stuck_endpoints.discard(name)
        self._finish_operation(name, self.endpoint_states[name])

    def fail_stuck(self, name: str) -> None:
        """Let the operation of a stuck endpoint fail."""
        self.stuck_endpoints.discard(name)
        self.endpoint_states[name].status, self.endpoint_states[name].reason = "Failed", "Request to service failed."

    def _finish_operation(self, name: str, life: EndpointState) -> None:
        if life.status == "Deleting":
            del self.endpoint_states[name], self._backend.endpoints[name]
            return
        wanted = life.pending or life.config
        try:
            if wanted in self.failing_configs:
                raise RuntimeError("the server ended with 2")
            with self.container(wanted) as url, urllib.request.urlopen(f"{url}/ping", timeout=10):
                life.reason = None
        except (RuntimeError, OSError) as error:
            life.reason = f"The primary container for production variant AllTraffic did not pass the ping: {error}"
        if life.pending is None:
            life.status = "Failed" if life.reason else "InService"
        else:
            if self.alarms_firing and "AutoRollbackConfiguration" in life.update.get("DeploymentConfig", {}):
                life.reason = "One or more alarms went off."
            life.config = life.config if life.reason else life.pending
            life.status, life.pending = "InService", None
        self._set_state(name, life)

    def _set_state(self, name: str, life: EndpointState) -> None:
        self.endpoint_states[name] = life
        self._backend.endpoints[name].endpoint_status = life.status

    def _AddTags(self, request: dict[str, Any]) -> dict[str, Any]:
        tagged = self._backend._get_resource_from_arn(request["ResourceArn"])
        added = {tag["Key"] for tag in request["Tags"]}
        tagged.tags = [tag for tag in tagged.tags if tag["Key"] not in added] + request["Tags"]
        return {"Tags": tagged.tags}

    # Invocations

    def _invoke(self, operation: str, environ: dict, body: bytes, respond: Respond) -> Iterable[bytes]:
        endpoint = environ["PATH_INFO"].split("/")[2]
        config = self.serving_config(endpoint)
        if config is None:
            raise ServiceError(f"Endpoint {endpoint} of account {ACCOUNT} not found.", "ValidationError")
        async_config = self._backend.endpoint_configs[config].async_inference_config
        if bool(async_config) != (operation == "InvokeEndpointAsync"):
            kind = "an asynchronous" if async_config else "a real-time"
            raise ServiceError(f"Endpoint {endpoint} is {kind} endpoint.", "ValidationError")
        if async_config:
            body = _object(environ["HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION"])
        status, content = self._call_container(endpoint, config, body)
        if not async_config:
            if status != 200:
                message = f"Received error ({status}) from primary with message {content.decode()!r}"
                raise ServiceError(
                    message, "ModelError", 424, OriginalStatusCode=status, OriginalMessage=content.decode()
                )
            return send_response(respond, 200, content)
        number = len(self.operations)
        answer, failure = (
            f"{async_config['OutputConfig'][path]}/{number}.out" for path in ("S3OutputPath", "S3FailurePath")
        )
        self.pending_async_outputs[answer if status == 200 else failure] = content
        where = {"X-Amzn-SageMaker-OutputLocation": answer, "X-Amzn-SageMaker-FailureLocation": failure}
        return send_response(respond, 202, {"InferenceId": str(number)}, where)

    def _call_container(self, endpoint: str, config: str, body: bytes) -> tuple[int, bytes]:
        with self.container(self.config_overrides.get((endpoint, config), config)) as url:
            request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
            try:
                return 200, urllib.request.urlopen(request, timeout=60).read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

    def _deliver_async_output(self, operation: str, path: str) -> None:
        """An asynchronous response appears at the second poll."""
        url = f"s3:/{path}"
        content = self.pending_async_outputs.get(url)
        if operation == "s3:GET" and content is not None:
            if content.startswith(b"!"):
                bucket, _, key = path[1:].partition("/")
                _s3().put_object(bucket, key, content[1:])
                del self.pending_async_outputs[url]
            else:
                self.pending_async_outputs[url] = b"!" + content

    @property
    def _backend(self) -> Any:
        from moto.sagemaker.models import sagemaker_backends

        return sagemaker_backends[ACCOUNT][REGION]


@contextmanager
def sagemaker_server(scratch: Path) -> Iterator[SageMaker]:
    """Run the server for the duration of a block."""
    import botocore.session
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    model = botocore.session.Session().get_service_model("sagemaker")
    server = SageMaker(scratch=scratch, moto=DomainDispatcherApplication(create_backend_app), model=model)
    with serve_wsgi(server):
        yield server


def _s3() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT]["aws"]


def _keys() -> Mapping[str, Any]:
    return dict(_s3().buckets[BUCKET].keys.items())


def _object(url: str) -> Any:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    found = _s3().get_object(bucket, key)
    return found and found.value


def _tags(resource: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.tags}
