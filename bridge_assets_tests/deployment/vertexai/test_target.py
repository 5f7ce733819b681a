"""Vertex AI: after any response of the service one version is served, and a new deployment completes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.deployment.kept_bundles import opener
from support.deployment.server_process import serving

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.target import deploy, rollback, version_of
from bridge_assets.deployment.vertexai.client import GoogleCloud, WaitPolicy
from bridge_assets.deployment.vertexai.model_registry import Archives
from bridge_assets.deployment.vertexai.target import VertexAIEndpoint, deploy_model_vertexai
from bridge_assets.errors import CanaryMismatch, DeploymentError, NotConfiguredError, OwnershipError
from bridge_assets.extras import install_command
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.settings.environment import EnvironmentSettings, VertexAISettings

pytest.importorskip("google.cloud.aiplatform_v1", reason="the extra gcp is not installed")

import grpc
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import RefreshError
from google.cloud import aiplatform_v1 as v
from providers.google_faults import CONNECTION_LOST, Fault
from providers.vertex_server import SERVICES, VertexServer, grpc_error

NAME, PROJECT, LOCATION, BUCKET = "bridge-fall", "bridges", "us-central1", "gs://bridge-bucket/endpoints"
OURS = {"bridge-assets-owner": "bridge-assets", "bridge-assets-name": NAME}
QUICK = WaitPolicy(
    operation_seconds=20,
    request_seconds=10,
    retry_seconds=5,
    backoff_seconds=(0.001, 0.005),
    poll_seconds=0.001,
    cancel_seconds=2,
    traffic_seconds=0.2,
)
METHODS = [name for methods in SERVICES.values() for name in methods]
STORAGE = ["storage.get", "storage.list", "storage.upload", "storage.delete"]


@dataclass
class Containers:
    """Runs the containers of deployed models, one process for equal bytes. `instead`: endpoint id -> another bundle."""

    folder: Path
    instead: dict[str, Bundle] = field(default_factory=dict)
    damaged: bool = False

    def __call__(self, endpoint_id: str, environment: dict[str, str], archive: bytes) -> str:
        if other := self.instead.get(endpoint_id):
            archive = other.archive
            environment = environment | {
                "BRIDGE_ASSETS_PACKAGE_SHA256": other.digest,
                "BRIDGE_ASSETS_SLOT": other.slot,
            }
        if self.damaged:
            archive = archive[:-1]
        folder = self.folder / hashlib.sha256(archive).hexdigest()
        if not folder.exists():
            folder.mkdir()
            (folder / "bundle.tar.gz").write_bytes(archive)
        with serving(folder, **environment) as url:
            return url


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[VertexServer]:
    folder = tmp_path_factory.mktemp("vertex")
    server = VertexServer(Containers(folder))
    server.start(folder)
    yield server
    server.stop()


@pytest.fixture
def vertex(server) -> Iterator[VertexServer]:
    """An empty project."""
    server.run_container = Containers(server.run_container.folder)
    yield server
    server.restore()


@pytest.fixture
def bundles(shared_versions, endpoint) -> list[Bundle]:
    return [bundle_of(candidate).with_runtime_config(endpoint.runtime_config) for candidate in shared_versions]


@pytest.fixture(scope="module")
def cloud(server) -> GoogleCloud:
    return GoogleCloud(
        PROJECT,
        LOCATION,
        QUICK,
        api_endpoint=server.address,
        storage_endpoint=server.bucket.url,
        credentials=AnonymousCredentials(),
        root_certificates=server.roots,
    )


@pytest.fixture
def endpoint(vertex, cloud, tmp_path) -> VertexAIEndpoint:
    settings = VertexAISettings(project=PROJECT, image="us-docker.pkg.dev/bridges/serve:1", bucket=BUCKET)
    return VertexAIEndpoint(settings, "bridge-assets", tmp_path, cloud, lock_timeout=0.05)


def within(endpoint: VertexAIEndpoint, **seconds: Any) -> VertexAIEndpoint:
    """The same endpoint with shorter waits."""
    return replace(endpoint, cloud=replace(endpoint.cloud, wait_policy=replace(QUICK, **seconds)))


def archives(endpoint: VertexAIEndpoint) -> Archives:
    return Archives(endpoint.cloud, "bridge-assets", f"{BUCKET}/{NAME}")


def state_of(vertex: VertexServer) -> dict[str, Any]:
    """All resources, without the ids that the service assigned."""
    return {
        "endpoints": {id_: (dict(each.labels), vertex.traffic_by_slot(id_)) for id_, each in vertex.endpoints.items()},
        "versions": {
            (version.artifact_uri, *sorted(version.version_aliases))
            for versions in vertex.models.values()
            for version in versions
            if version.version_aliases
        },
        "objects": {name: held.metadata["sha256"] for name, held in vertex.bucket.objects.items()},
    }


def is_serving_only(vertex: VertexServer, bundle: Bundle) -> bool:
    """Whether all the traffic goes to it, and nothing else costs money."""
    return list(vertex.endpoints) == [NAME] and vertex.traffic_by_slot(NAME) == {bundle.slot: 100}


# Deploying


def test_a_version_is_registered_tested_on_a_staging_endpoint_and_given_the_traffic(endpoint, vertex, bundles):
    first, second = (deploy(endpoint, bundle) for bundle in bundles[:2])
    assert (first.target, first.version, first.previous, first.removed) == ("vertexai", bundles[0].version, None, ())
    assert (
        first.address == f"https://{vertex.address}/v1/projects/bridges/locations/us-central1/endpoints/{NAME}:predict"
    )
    assert (second.previous, second.canary.rows) == (bundles[0].version, 32)
    assert second.removed == (f"deployed model {bundles[0].slot} of endpoint {NAME}",)
    assert is_serving_only(vertex, bundles[1])
    slots = [bundle.slot for bundle in bundles[:2]]
    assert dict(vertex.endpoints[NAME].labels) == {
        **OURS,
        "bridge-assets-slot-0": slots[1],
        "bridge-assets-slot-1": slots[0],
    }
    # The records of the previous slot are kept for a rollback; `default` is the current one.
    assert [set(version.version_aliases) for version in vertex.models[NAME]] == [{slots[0]}, {slots[1], "default"}]
    assert list(vertex.bucket.objects) == [
        ("bridge-bucket", f"endpoints/{NAME}/{slot}/bundle.tar.gz") for slot in slots
    ]
    assert endpoint.state().history == tuple(slots)
    assert endpoint.state().resources == {slots[1]}


def test_the_container_gets_the_digest_and_slot_to_expect(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    version, (deployed,) = vertex.models[NAME][0], vertex.endpoints[NAME].deployed_models
    spec = version.container_spec
    assert version.artifact_uri == f"{BUCKET}/{NAME}/{bundles[0].slot}"
    assert {each.name: each.value for each in spec.env} == {
        "BRIDGE_ASSETS_PACKAGE_SHA256": bundles[0].digest,
        "BRIDGE_ASSETS_SLOT": bundles[0].slot,
    }
    assert (spec.image_uri, spec.ports[0].container_port) == (endpoint.settings.image, 8080)
    resources = deployed.dedicated_resources
    assert (resources.machine_spec.machine_type, resources.min_replica_count, resources.max_replica_count) == (
        "n1-standard-2",
        1,
        2,
    )


def test_deploying_the_current_slot_changes_nothing(endpoint, vertex, bundles):
    first, before = deploy(endpoint, bundles[0]), vertex.state()
    vertex.faults.reset()
    assert deploy(endpoint, bundles[0]) == first
    assert vertex.faults.changes == []
    assert vertex.state() == before


def test_a_rollback_deploys_a_version_that_is_still_registered(endpoint, vertex, bundles):
    for bundle in bundles[:2]:
        deploy(endpoint, bundle)
    vertex.faults.reset()
    back = rollback(endpoint, opener(bundles))
    assert back.version == bundles[0].version
    assert is_serving_only(vertex, bundles[0])
    assert not {"UploadModel", "storage.upload"} & {*vertex.faults.changes}
    assert f"model version {NAME}@2" in back.removed  # it left the history, so its records are removed too
    assert [set(version.version_aliases) for version in vertex.models[NAME]] == [{bundles[0].slot, "default"}]


def test_records_of_a_slot_that_left_the_history_are_removed(endpoint, vertex, bundles):
    for bundle in bundles[:2]:
        deploy(endpoint, bundle)
    del vertex.endpoints[NAME].labels["bridge-assets-slot-1"]
    removed = deploy(endpoint, bundles[1]).removed
    assert removed == (f"model version {NAME}@1", f"{BUCKET}/{NAME}/{bundles[0].slot}/bundle.tar.gz")


def test_a_slot_registered_with_another_image_is_registered_and_deployed_again(endpoint, vertex, bundles):
    endpoint.provision(bundles[0])
    other = replace(endpoint, settings=endpoint.settings.model_copy(update={"image": "serve:2"}))
    deploy(other, bundles[0])
    assert is_serving_only(vertex, bundles[0].with_runtime_config(other.runtime_config))
    (deployed,) = vertex.endpoints[NAME].deployed_models
    version = next(each for each in vertex.models[NAME] if each.version_id == deployed.model_version_id)
    assert version.container_spec.image_uri == "serve:2"


def test_labels_and_models_of_others_on_the_endpoint_are_kept(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    vertex.endpoints[NAME].labels["team"] = "bridges"
    vertex.models[NAME].append(v.Model(name=vertex.models[NAME][0].name, version_id="9", artifact_uri="gs://else/x"))
    vertex.endpoints[NAME].deployed_models.append(v.DeployedModel(id="7", display_name="theirs"))
    deploy(endpoint, bundles[1])
    assert vertex.endpoints[NAME].labels["team"] == "bridges"
    with pytest.raises(DeploymentError, match="the deployed model has traffic"):
        endpoint.delete()  # no slot of ours is left to take over the traffic
    assert vertex.traffic_by_slot(NAME) == {"theirs": 0, bundles[1].slot: 100}
    vertex.endpoints[NAME].deployed_models = vertex.endpoints[NAME].deployed_models[1:]
    endpoint.delete()
    assert [version.version_id for version in vertex.models[NAME]] == ["9"]


def test_traffic_that_was_split_by_hand_ends_on_one_version(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    endpoint.provision(bundles[1])
    endpoint.retire("m000000000000-000000000000")
    ids = {each.display_name: each.id for each in vertex.endpoints[NAME].deployed_models}
    vertex.endpoints[NAME].traffic_split = {ids[bundles[0].slot]: 60, ids[bundles[1].slot]: 40}
    deploy(endpoint, bundles[0])
    assert is_serving_only(vertex, bundles[0])


def test_the_public_address_may_follow_the_split_with_a_delay(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    vertex.stale_predictions = 3
    deploy(endpoint, bundles[1])
    assert vertex.stale_predictions == 0
    assert is_serving_only(vertex, bundles[1])


def test_traffic_that_never_follows_the_split_is_rolled_back(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    vertex.stale_predictions = 10**9
    with pytest.raises(DeploymentError, match="traffic does not follow the split"):
        deploy(within(endpoint, traffic_seconds=0.02), bundles[1])
    assert is_serving_only(vertex, bundles[0])


def test_deleting_leaves_nothing_behind(endpoint, vertex, bundles):
    for bundle in bundles[:2]:
        deploy(endpoint, bundle)
    endpoint.provision(bundles[0])
    removed = endpoint.delete()
    assert vertex.state() == {"endpoints": {}, "models": {}, "objects": {}}
    assert len(removed) == 8  # two endpoints, two deployed models, two versions, two archives
    assert endpoint.delete() == []


# Transient errors


@pytest.mark.parametrize(
    "fault",
    [
        Fault(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable."),
        Fault(grpc.StatusCode.INTERNAL, "Internal error encountered."),
        Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded.", retry_after=0.0),
        Fault(grpc.StatusCode.UNAVAILABLE, CONNECTION_LOST, applied=True),
    ],
    ids=["503", "500", "429", "lost answers"],
)
def test_every_call_is_retried_after_a_transient_error(endpoint, vertex, bundles, fault):
    for bundle in bundles[:2]:
        deploy(endpoint, bundle)
    undisturbed = state_of(vertex)
    vertex.restore()
    vertex.faults.inject([*METHODS, *STORAGE], fault)
    deploy(endpoint, bundles[0])
    vertex.faults.inject([*METHODS, *STORAGE], fault)
    deploy(endpoint, bundles[1])
    assert state_of(vertex) == undisturbed
    endpoint.delete()
    assert not (vertex.endpoints or vertex.models or vertex.bucket.objects)


def test_the_requested_delay_is_obeyed(endpoint, vertex):
    """RetryInfo over gRPC, Retry-After over HTTP: an hour is longer than the time for retries."""
    for method in ("GetEndpoint", "storage.list"):
        vertex.faults.reset()
        vertex.faults.inject(method, Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded.", retry_after=3600))
        with pytest.raises(DeploymentError, match=r"Quota exceeded.*run again later, or request a higher quota"):
            endpoint.state()
        assert vertex.faults.calls[-1] == method


# Permanent errors


class Expired(Credentials):
    def refresh(self, request: object) -> None:
        raise RefreshError("invalid_grant: Token has been expired or revoked.")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("UNAUTHENTICATED", "renew the credentials: set GOOGLE_APPLICATION_CREDENTIALS"),
        ("PERMISSION_DENIED", "give the account of GOOGLE_APPLICATION_CREDENTIALS the roles"),
    ],
)
@pytest.mark.parametrize("method", ["GetEndpoint", "DeployModel", "storage.get", "UpdateEndpoint"])
def test_a_refusal_is_not_retried_and_has_a_remedy(endpoint, vertex, bundles, method, code, expected):
    deploy(endpoint, bundles[0])
    vertex.faults.reset()
    vertex.faults.inject(method, grpc_error(code, "Request had invalid authentication credentials."))
    with pytest.raises(DeploymentError, match=expected):
        deploy(endpoint, bundles[1])
    assert is_serving_only(vertex, bundles[0])
    assert deploy(endpoint, bundles[1]).previous == bundles[0].version


def test_credentials_that_cannot_be_renewed_are_reported_at_once(endpoint, vertex, bundles):
    expired = replace(endpoint, cloud=replace(endpoint.cloud, credentials=Expired()))
    with pytest.raises(DeploymentError, match=r"Token has been expired.*renew the credentials"):
        expired.state()
    with pytest.raises(RefreshError):  # over HTTP
        archives(expired).slots()
    assert vertex.faults.calls == []


def test_missing_credentials_are_reported_before_anything_is_sent(endpoint, vertex, bundles, monkeypatch, tmp_path):
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    nobody = replace(endpoint, cloud=replace(endpoint.cloud, credentials=None))
    with pytest.raises(NotConfiguredError, match=r"no Google credentials.*GOOGLE_APPLICATION_CREDENTIALS"):
        deploy(nobody, bundles[0])
    assert vertex.faults.calls == []


def test_missing_settings_are_listed_in_one_line(monkeypatch, tmp_path, shared_versions):
    for variable in ("GOOGLE_CLOUD_PROJECT", "BRIDGE_ASSETS_ENVIRONMENT__VERTEXAI__PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NotConfiguredError) as caught:
        deploy_model_vertexai(shared_versions[0].folder, NAME, "n1-standard-4")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("__VERTEXAI__PROJECT", "__VERTEXAI__IMAGE", "__VERTEXAI__BUCKET", install_command("gcp")):
        assert part in message
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-shell")
    elsewhere = EnvironmentSettings(vertexai=VertexAISettings(image="serve:1", bucket="s3://bucket"))
    with pytest.raises(NotConfiguredError, match=r"__VERTEXAI__BUCKET is 's3://bucket'.*gs://bucket/folder"):
        VertexAIEndpoint.from_settings(elsewhere, tmp_path)
    settings = VertexAISettings(image="serve:1", bucket="gs://bucket/", min_replicas=2)
    target = VertexAIEndpoint.from_settings(EnvironmentSettings(vertexai=settings), tmp_path)
    assert target.address.startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/of-the-shell/")
    assert target.console_url.endswith(f"/endpoints/{NAME}?project=of-the-shell")
    assert target.cost.startswith("2 x n1-standard-2, billed while deployed")


@pytest.mark.parametrize("method", ["CreateEndpoint", "UploadModel", "DeployModel"])
def test_a_step_that_does_not_end_is_given_up_and_the_new_slot_is_removed(endpoint, vertex, bundles, method):
    if method != "CreateEndpoint":
        deploy(endpoint, bundles[0])
    before = state_of(vertex)
    vertex.stuck_methods = {method}
    with pytest.raises(DeploymentError, match=r"did not end in .* minutes.*wait_minutes") as caught:
        deploy(within(endpoint, operation_seconds=0.05), bundles[1])
    assert not hasattr(caught.value, "__notes__")
    assert state_of(vertex) == before
    vertex.stuck_methods = set()
    deploy(endpoint, bundles[1])
    assert is_serving_only(vertex, bundles[1])


def test_a_failed_operation_is_reported_with_its_reason(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    before = state_of(vertex)
    vertex.failing_methods = {"DeployModel": grpc_error("FAILED_PRECONDITION", "out of capacity in us-central1")}
    with pytest.raises(DeploymentError, match="out of capacity in us-central1"):
        deploy(endpoint, bundles[1])
    assert state_of(vertex) == before


# A wrong model, a damaged archive


@pytest.mark.parametrize("where", ["staging", "public address"])
def test_a_wrong_model_behind_an_endpoint_gets_no_traffic_or_is_rolled_back(endpoint, vertex, bundles, where):
    deploy(endpoint, bundles[0])
    before = state_of(vertex)
    wrong = {"staging": f"{NAME}-{bundles[1].slot}", "public address": NAME}[where]
    vertex.run_container.instead[wrong] = bundles[2]
    with pytest.raises(CanaryMismatch, match="predictions differ from the exported model's"):
        deploy(endpoint, bundles[1])
    assert state_of(vertex) == before
    assert ("UpdateEndpoint" in vertex.faults.changes[9:]) == (where == "public address")


def test_a_damaged_artifact_is_refused_before_any_request(endpoint, vertex, model_versions):
    model_versions[0].file("model.onnx").write_bytes(b"other")
    with pytest.raises(DeploymentError, match=r"model\.onnx"):
        deploy(endpoint, bundle_of(model_versions[0]))
    assert vertex.faults.calls == []


def test_a_damaged_archive_is_uploaded_again_and_one_that_is_damaged_later_does_not_start(endpoint, vertex, bundles):
    archives(endpoint).upload(bundles[0].slot, b"half", "0" * 64)
    deploy(endpoint, bundles[0])
    (archive,) = vertex.bucket.objects.values()
    assert archive.content == bundles[0].archive
    vertex.run_container.damaged = True
    with pytest.raises(DeploymentError, match=r"Model server exited.*the archive is not what was deployed"):
        deploy(endpoint, bundles[1])
    assert is_serving_only(vertex, bundles[0])


def test_a_large_archive_is_uploaded_in_parts(endpoint, vertex):
    archive = os.urandom(9 << 20)  # above 8 MiB google-cloud-storage uses a resumable upload
    vertex.faults.inject("storage.upload", Fault(grpc.StatusCode.UNAVAILABLE, "cut", times=2))
    archives(endpoint).upload("m000000000000-000000000000", archive, "0" * 64)
    assert [held.content for held in vertex.bucket.objects.values()] == [archive]


# Resources of somebody else


def foreign_endpoint(vertex: VertexServer, bundle: Bundle, endpoint_id: str) -> None:
    name = f"projects/1/locations/us-central1/endpoints/{endpoint_id}"
    vertex.endpoints[endpoint_id] = v.Endpoint(name=name, labels={"bridge-assets-owner": "another-team"})


def foreign_model(vertex: VertexServer, bundle: Bundle) -> None:
    name = f"projects/1/locations/us-central1/models/{NAME}"
    vertex.models[NAME] = [v.Model(name=name, version_id="1", version_aliases=["default"], display_name="theirs")]


def foreign_archive(vertex: VertexServer, bundle: Bundle) -> None:
    about = {"name": f"endpoints/{NAME}/{bundle.slot}/bundle.tar.gz"}
    vertex.bucket.store("bridge-bucket", about, b"theirs")


def foreign_traffic(vertex: VertexServer, bundle: Bundle) -> None:
    deployed = v.DeployedModel(id="7", display_name="by hand")
    vertex.endpoints[NAME] = v.Endpoint(name=NAME, labels=OURS, deployed_models=[deployed], traffic_split={"7": 100})


@pytest.mark.parametrize(
    "taken",
    [
        lambda vertex, bundle: foreign_endpoint(vertex, bundle, NAME),
        lambda vertex, bundle: foreign_endpoint(vertex, bundle, f"{NAME}-{bundle.slot}"),
        foreign_model,
        foreign_archive,
        foreign_traffic,
    ],
    ids=["endpoint", "endpoint of the slot", "model", "archive", "what takes the traffic"],
)
def test_resources_of_somebody_else_are_never_touched(endpoint, vertex, bundles, taken):
    taken(vertex, bundles[0])
    before = vertex.state()
    with pytest.raises(OwnershipError, match=r"bridge-assets-owner|was not deployed by bridge_assets"):
        deploy(endpoint, bundles[0])
    assert vertex.state() == before
    assert vertex.faults.changes == []


# Concurrent deployments, and kills


def test_another_deployment_in_progress_is_reported(endpoint, vertex, bundles):
    deploy(endpoint, bundles[0])
    vertex.stuck_methods = {"DeployModel"}
    with suppress(DeploymentError):
        within(endpoint, operation_seconds=0.01).provision(bundles[1])
    with pytest.raises(DeploymentError, match=r"was refused.*Another deployment is under way: .*/operations/"):
        deploy(endpoint, bundles[1])
    with (
        exclusive_lock(endpoint.lock_folder / f"vertexai-{NAME}.lock", "", "", 1),
        pytest.raises(DeploymentError, match="refused"),
    ):
        deploy(endpoint, bundles[1])


def changes_of(vertex: VertexServer, endpoint: VertexAIEndpoint, before: list[Bundle], bundle: Bundle) -> int:
    for each in before:
        deploy(endpoint, each)
    vertex.faults.reset()
    deploy(endpoint, bundle)
    return len(vertex.faults.changes)


@pytest.mark.parametrize("after_it", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2], ids=["the first deployment", "the second deployment"])
def test_a_kill_at_any_change_leaves_one_version_serving_and_a_new_deployment_completes(
    endpoint, vertex, bundles, number, after_it
):
    """From some change on every request fails, including those of the undo; then the deployment is repeated."""
    *before, last = bundles[:number]
    changes = changes_of(vertex, endpoint, before, last)
    end, mortal = state_of(vertex), within(endpoint, retry_seconds=0.01)
    vertex.restore()
    for bundle in before:
        deploy(endpoint, bundle)
    begin = vertex.save()
    for change in range(changes):
        vertex.restore(begin)
        vertex.faults.drop_from_change, vertex.faults.drop_after_applying = change, after_it
        with pytest.raises(DeploymentError):
            deploy(mortal, last)
        vertex.faults.reset()
        vertex.finish_operations()
        assert endpoint.state().current_slot in {None if not before else before[-1].slot, last.slot}
        if before:
            (current,) = (slot for slot, share in vertex.traffic_by_slot(NAME).items() if share == 100)
            assert current == endpoint.state().current_slot
        deploy(endpoint, last)
        assert state_of(vertex) == end, f"after {change} changes"


def test_a_process_that_is_killed_before_the_traffic_moves(endpoint, vertex, bundles, shared_versions, tmp_path):
    """As a user runs it: settings and credentials from the environment, the public function, SIGKILL."""
    settings = {"PROJECT": PROJECT, "IMAGE": endpoint.settings.image, "BUCKET": BUCKET, "API_ENDPOINT": vertex.address}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_ASSETS_", "GOOGLE_"))},
        **{f"BRIDGE_ASSETS_ENVIRONMENT__VERTEXAI__{name}": value for name, value in settings.items()},
        "BRIDGE_ASSETS_DATA__HOME": str(tmp_path / "home"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(service_account(tmp_path / "key.json", vertex.bucket.url)),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(vertex.roots_file),
        "STORAGE_EMULATOR_HOST": vertex.bucket.url,
    }
    script = (
        "import sys; from bridge_assets.deployment.vertexai.target import deploy_model_vertexai as deploy\n"
        f"for folder in sys.argv[1:]: print(deploy(folder, {NAME!r}, 'n1-standard-4').version, flush=True)"
    )
    vertex.requests_per_operation = (
        -1
    )  # operations end at once, because the default settings poll them only every few seconds
    command = [sys.executable, "-c", script, *(str(candidate.folder) for candidate in shared_versions[:2])]
    pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment, text=True, bufsize=1, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        assert process.stdout.readline().split() == [bundles[0].version], process.communicate()[1]
        vertex.hold_updates = True
        process.stdin.write("\n")
        reached = vertex.update_held.wait(60)
        process.send_signal(signal.SIGKILL)
        assert reached, process.communicate()[1]
    vertex.hold_updates = False
    left = {version_of(slot): share for slot, share in vertex.traffic_by_slot(NAME).items()}
    assert left == {bundles[0].version: 100, bundles[1].version: 0}
    current = vertex.endpoints[NAME].deployed_models[0]
    assert current.dedicated_resources.machine_spec.machine_type == "n1-standard-4"
    again = deploy(endpoint, bundles[1])
    assert again.previous == bundles[0].version
    assert is_serving_only(vertex, bundles[1])


def service_account(path: Path, tokens: str) -> Path:
    """A key in Google's format that is valid only here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    about = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "deployer@bridges.iam.gserviceaccount.com",
        "token_uri": f"{tokens}/token",
    }
    path.write_text(json.dumps(about))
    return path
