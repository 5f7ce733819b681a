"""SageMaker as it behaves, in front of moto: S3, records and tags are moto's; endpoints live here.

What moto leaves out: endpoints that take their time (Creating, Updating, Deleting), UpdateEndpoint, names in use that
are refused, requests checked against the service's own model, and invocations that reach a real process of the served
app, started from the archive in S3 as a container would be. Faults come on demand.
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

from providers.aws_faults import Front, Refused, Respond, check, respond_with, running
from support.server_process import serving

REGION, ACCOUNT, BUCKET = "eu-central-1", "123456789012", "bridges-bucket"


@dataclass
class Life:
    """What an endpoint is doing: its configuration, the one it is moving to, and looks left until that is done."""

    config: str
    status: str = "Creating"
    pending: str | None = None
    looks: int = 1
    reason: str | None = None
    update: dict[str, Any] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status in ("Creating", "Updating", "Deleting")


@dataclass
class SageMaker(Front):
    """One account in one region.

    Attributes
    ----------
    scratch : Path
        Where archives are unpacked for their containers.
    broken_rules : list of str
        What SageMaker lets happen and its documentation forbids.
    looks : int
        DescribeEndpoint calls that find an endpoint busy before it is what it was asked to be.
    stuck : set of str
        Endpoints that SageMaker goes on being busy with.
    alarmed : bool
        The alarms that watch an update go off.
    refuses_to_start : set of str
        Configurations whose container ends at once.
    instead : mapping of (endpoint, configuration) to str
        The configuration whose container answers in place of the right one.
    answers_to_come : mapping of str to bytes
        Of asynchronous endpoints: URL in S3 -> content.
    """

    scratch: Path = Path()
    moto: Callable[..., Iterable[bytes]] | None = None
    model: Any = None
    lives: dict[str, Life] = field(default_factory=dict)
    broken_rules: list[str] = field(default_factory=list)
    looks: int = 1
    stuck: set[str] = field(default_factory=set)
    alarmed: bool = False
    refuses_to_start: set[str] = field(default_factory=set)
    instead: dict[tuple[str, str], str] = field(default_factory=dict)
    answers_to_come: dict[str, bytes] = field(default_factory=dict)

    def reset(self) -> None:
        """An empty account with an empty bucket."""
        self.forget()
        fresh = SageMaker()
        for name in ("lives", "broken_rules", "looks", "stuck", "alarmed", "refuses_to_start", "instead"):
            setattr(self, name, getattr(fresh, name))
        self.answers_to_come = {}
        self._backend.reset()
        if BUCKET in _s3().buckets:
            _s3().buckets[BUCKET].keys.clear()
        else:
            _s3().create_bucket(BUCKET, REGION)

    def state(self) -> dict[str, Any]:
        """Everything that stands, to be compared: names, what they were made of, and tags."""
        backend = self._backend
        return {
            "endpoints": {
                name: (life.status, life.config, _tags(backend.endpoints[name])) for name, life in self.lives.items()
            },
            "configs": {
                name: (each.production_variants, each.data_capture_config, each.async_inference_config, _tags(each))
                for name, each in backend.endpoint_configs.items()
            },
            "models": {name: (each.primary_container, _tags(each)) for name, each in backend._models.items()},
            "objects": {key: (sha256(each.value).hexdigest(), dict(each.metadata)) for key, each in _keys().items()},
        }

    def answering(self, endpoint: str) -> str | None:
        """The configuration that an endpoint answers with."""
        life = self.lives.get(endpoint)
        return life.config if life and life.status in ("InService", "Updating") else None

    def replace(self, key: str, content: bytes) -> None:
        """Change the bytes of an object behind everybody's back."""
        metadata = getattr(_s3().get_object(BUCKET, key), "metadata", {})
        _s3().put_object(BUCKET, key, content).set_metadata(metadata)

    def start_anew(self, endpoint: str) -> None:
        """Let SageMaker start an endpoint's containers once more, as it does when a machine fails."""
        self.lives[endpoint].status = "Creating"

    def taken(self, kind: str, name: str, key: str, like: str) -> None:
        """Let somebody else have a resource of a name, made as another one was, without our tags."""
        backend = self._backend
        config = backend.endpoint_configs[like]
        if kind == "object":
            self.replace(key, b"theirs")
        elif kind == "model":
            backend.create_model(name, "theirs", {"Image": "theirs"}, None, None, [])
        elif kind == "endpoint configuration":
            backend.create_endpoint_config(name, config.production_variants, {}, {}, [], "")
        else:
            backend.create_endpoint(name, like, [])
            self._live(name, Life("theirs", status="InService"))

    @contextmanager
    def container(self, config: str) -> Iterator[str]:
        """Address of the container of a configuration, for the time of a block."""
        variant = self._backend.endpoint_configs[config].production_variants[0]
        container = self._backend._models[variant["ModelName"]].primary_container
        content = _object(container["ModelDataUrl"])
        folder = self.scratch / sha256(content).hexdigest()
        if not folder.is_dir():
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(folder, filter="data")
        with serving(folder, **container["Environment"]) as url:
            yield url

    def answered(self, operation: str, environ: dict[str, Any], body: bytes, respond: Respond) -> Iterable[bytes]:
        if operation.startswith("Invoke"):
            return self._invoked(operation, environ, body, respond)
        assert self.moto is not None
        if operation.startswith("s3:"):
            self._bring_answer(operation, environ["PATH_INFO"])
            return list(self.moto(environ, respond))
        asked = json.loads(body)
        check(self.model.operation_model(operation).input_shape, asked, operation)
        self._check_rules(operation, asked)
        own = getattr(self, f"_{operation}", None)
        return list(self.moto(environ, respond)) if own is None else respond_with(respond, 200, own(asked))

    # What SageMaker refuses

    def _check_rules(self, operation: str, asked: dict[str, Any]) -> None:
        backend = self._backend
        stores = {"Model": backend._models, "EndpointConfig": backend.endpoint_configs, "Endpoint": self.lives}
        words = {"Model": "model", "EndpointConfig": "endpoint configuration", "Endpoint": "endpoint"}
        made = re.fullmatch(r"(Create|Update|Describe|Delete)(Model|EndpointConfig|Endpoint)", operation)
        if not made:
            return
        verb, kind = made.groups()
        name = asked[f"{kind}Name"]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{words[kind].replace(' configuration', '-config')}/{name}"
        if verb == "Create" and name in stores[kind]:
            raise Refused(f'Cannot create already existing {words[kind]} "{arn}".')
        if verb != "Create" and name not in stores[kind]:
            raise Refused(f'Could not find {words[kind]} "{arn}".')
        if operation in ("UpdateEndpoint", "DeleteEndpoint") and self.lives[name].busy:
            raise Refused(f'Cannot update in-progress endpoint "{arn}".')
        for needed, store in ("EndpointConfig", backend.endpoint_configs), ("Model", backend._models):
            names = [asked.get(f"{needed}Name"), *(v.get("ModelName") for v in asked.get("ProductionVariants", ()))]
            if needed != kind and verb in ("Create", "Update"):
                for each in filter(None, names if needed == "Model" else names[:1]):
                    if each not in store:
                        raise Refused(f'Could not find {words[needed]} "{each}".')
        if operation == "CreateModel" and _object(asked["PrimaryContainer"]["ModelDataUrl"]) is None:
            raise Refused(f"Could not find model data at {asked['PrimaryContainer']['ModelDataUrl']}.")
        serverless = "ServerlessConfig" in asked.get("ProductionVariants", ({},))[0]
        if operation == "CreateEndpointConfig" and serverless and "DataCaptureConfig" in asked:
            raise Refused("DataCaptureConfig is not supported for serverless endpoints.")
        if verb == "Delete" and kind != "Endpoint":
            for endpoint, life in self.lives.items():
                for config in filter(None, (life.config, life.pending)):
                    found = backend.endpoint_configs.get(config)
                    model = found and found.production_variants[0]["ModelName"]
                    if name == (config if kind == "EndpointConfig" else model) and life.status != "Failed":
                        self.broken_rules.append(f"{operation} {name}: {endpoint} is {life.status} with it")

    # Endpoints

    def _CreateEndpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, config = asked["EndpointName"], asked["EndpointConfigName"]
        made = self._backend.create_endpoint(name, config, asked.get("Tags", []))
        self._live(name, Life(config, looks=self.looks))
        return {"EndpointArn": made.arn}

    def _UpdateEndpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, life = asked["EndpointName"], self.lives[asked["EndpointName"]]
        if life.status == "Failed":
            raise Refused("Cannot update a failed endpoint.")
        old, new = (
            self._backend.endpoint_configs[config].production_variants[0]
            for config in (life.config, asked["EndpointConfigName"])
        )
        how = asked.get("DeploymentConfig", {})
        if how and "ServerlessConfig" in new:
            raise Refused("DeploymentConfig is not supported for serverless endpoints.")
        if old["VariantName"] != new["VariantName"]:
            raise Refused("The variant names of the two configurations must be the same.")
        routing = how.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        canary = routing.get("CanarySize", {}).get("Value", 0)
        if (routing.get("Type") == "CANARY") != bool(canary) or 2 * canary > new.get("InitialInstanceCount", 0):
            raise Refused("The canary must be at most half of the fleet.")
        life.status, life.pending, life.looks, life.update = "Updating", asked["EndpointConfigName"], self.looks, asked
        life.reason = None
        self._live(name, life)
        return {"EndpointArn": self._backend.endpoints[name].arn}

    def _DescribeEndpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        name, life = asked["EndpointName"], self.lives[asked["EndpointName"]]
        if life.busy and name not in self.stuck:
            life.looks -= 1
            if life.looks < 0:
                self._settle(name, life)
        if name not in self.lives:
            raise Refused(f'Could not find endpoint "{name}".')
        said = {
            "EndpointName": name,
            "EndpointArn": self._backend.endpoints[name].arn,
            "EndpointConfigName": life.config,
            "EndpointStatus": life.status,
            "CreationTime": 0,
            "LastModifiedTime": 0,
        }
        if life.reason:
            said["FailureReason"] = life.reason
        if life.pending or life.status == "Creating":
            said["PendingDeploymentSummary"] = {"EndpointConfigName": life.pending or life.config}
        return said

    def _DeleteEndpoint(self, asked: dict[str, Any]) -> dict[str, Any]:
        life = self.lives[asked["EndpointName"]]
        life.status, life.looks = "Deleting", self.looks
        self._live(asked["EndpointName"], life)
        return {}

    def settle(self, name: str) -> None:
        """Let SageMaker come to an end with an endpoint that it was stuck with."""
        self.stuck.discard(name)
        self._settle(name, self.lives[name])

    def give_up(self, name: str) -> None:
        """Let SageMaker fail an endpoint that it was stuck with."""
        self.stuck.discard(name)
        self.lives[name].status, self.lives[name].reason = "Failed", "Request to service failed."

    def _settle(self, name: str, life: Life) -> None:
        if life.status == "Deleting":
            del self.lives[name], self._backend.endpoints[name]
            return
        wanted = life.pending or life.config
        try:
            if wanted in self.refuses_to_start:
                raise RuntimeError("the server ended with 2")
            with self.container(wanted) as url, urllib.request.urlopen(f"{url}/ping", timeout=10):
                life.reason = None
        except (RuntimeError, OSError) as error:
            life.reason = f"The primary container for production variant AllTraffic did not pass the ping: {error}"
        if life.pending is None:
            life.status = "Failed" if life.reason else "InService"
        else:
            if self.alarmed and "AutoRollbackConfiguration" in life.update.get("DeploymentConfig", {}):
                life.reason = "One or more alarms went off."
            life.config = life.config if life.reason else life.pending
            life.status, life.pending = "InService", None
        self._live(name, life)

    def _live(self, name: str, life: Life) -> None:
        self.lives[name] = life
        self._backend.endpoints[name].endpoint_status = life.status

    def _AddTags(self, asked: dict[str, Any]) -> dict[str, Any]:
        tagged = self._backend._get_resource_from_arn(asked["ResourceArn"])
        added = {tag["Key"] for tag in asked["Tags"]}
        tagged.tags = [tag for tag in tagged.tags if tag["Key"] not in added] + asked["Tags"]
        return {"Tags": tagged.tags}

    # Invocations

    def _invoked(self, operation: str, environ: dict, body: bytes, respond: Respond) -> Iterable[bytes]:
        endpoint = environ["PATH_INFO"].split("/")[2]
        config = self.answering(endpoint)
        if config is None:
            raise Refused(f"Endpoint {endpoint} of account {ACCOUNT} not found.", "ValidationError")
        later = self._backend.endpoint_configs[config].async_inference_config
        if bool(later) != (operation == "InvokeEndpointAsync"):
            kind = "an asynchronous" if later else "a real-time"
            raise Refused(f"Endpoint {endpoint} is {kind} endpoint.", "ValidationError")
        if later:
            body = _object(environ["HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION"])
        status, content = self._contained(endpoint, config, body)
        if not later:
            if status != 200:
                message = f"Received error ({status}) from primary with message {content.decode()!r}"
                raise Refused(message, "ModelError", 424, OriginalStatusCode=status, OriginalMessage=content.decode())
            return respond_with(respond, 200, content)
        number = len(self.asked)
        answer, failure = (f"{later['OutputConfig'][path]}/{number}.out" for path in ("S3OutputPath", "S3FailurePath"))
        self.answers_to_come[answer if status == 200 else failure] = content
        where = {"X-Amzn-SageMaker-OutputLocation": answer, "X-Amzn-SageMaker-FailureLocation": failure}
        return respond_with(respond, 202, {"InferenceId": str(number)}, where)

    def _contained(self, endpoint: str, config: str, body: bytes) -> tuple[int, bytes]:
        with self.container(self.instead.get((endpoint, config), config)) as url:
            asked = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
            try:
                return 200, urllib.request.urlopen(asked, timeout=60).read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

    def _bring_answer(self, operation: str, path: str) -> None:
        """An asynchronous answer is there at the second look."""
        url = f"s3:/{path}"
        content = self.answers_to_come.get(url)
        if operation == "s3:GET" and content is not None:
            if content.startswith(b"!"):
                bucket, _, key = path[1:].partition("/")
                _s3().put_object(bucket, key, content[1:])
                del self.answers_to_come[url]
            else:
                self.answers_to_come[url] = b"!" + content

    @property
    def _backend(self) -> Any:
        from moto.sagemaker.models import sagemaker_backends

        return sagemaker_backends[ACCOUNT][REGION]


@contextmanager
def sagemaker(scratch: Path) -> Iterator[SageMaker]:
    """Run the server for the time of a block."""
    import botocore.session
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    model = botocore.session.Session().get_service_model("sagemaker")
    server = SageMaker(scratch=scratch, moto=DomainDispatcherApplication(create_backend_app), model=model)
    with running(server):
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
