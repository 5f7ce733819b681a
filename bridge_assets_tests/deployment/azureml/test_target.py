"""An endpoint of Azure ML: the SDK sends requests to Azure's own addresses; `providers.azureml_server` responds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec

import pytest
from providers.azureml_server import GROUP, SUBSCRIPTION, WORKSPACE, AzureServer, azure_server
from support.deployment.kept_bundles import opener
from support.deployment.local_endpoint import corrupt_byte

from bridge_assets.deployment.azureml.target import AzureMLEndpoint, deploy_model_azureml
from bridge_assets.deployment.azureml.workspace import WaitPolicy, Workspace
from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.kept_bundles import keep_bundle
from bridge_assets.deployment.core.tags import OWNER_TAG, deployment_tags
from bridge_assets.deployment.core.target import TargetState, deploy, rollback
from bridge_assets.errors import CanaryMismatch, DeploymentError, NotConfiguredError, OwnershipError
from bridge_assets.extras import install_command
from bridge_assets.settings.environment import AzureMLSettings, EnvironmentSettings

pytestmark = pytest.mark.skipif(not find_spec("azure"), reason="the extra [azure] is not installed")

ENDPOINT = "/onlineEndpoints/bridge-fall"
MODEL = "/models/bridge-fall/versions"
IMAGE = "bridges.azurecr.io/serve:1"


@pytest.fixture(scope="session")
def subscription(tmp_path_factory) -> Iterator[tuple[AzureServer, dict[str, str]]]:
    with azure_server(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture
def azure(subscription, monkeypatch) -> AzureServer:
    """An empty subscription, and no environment variables that lead to a real one."""
    azure, variables = subscription
    azure.reset()
    for name in [name for name in os.environ if name.upper().startswith(("AZURE", "MSI_", "IDENTITY_"))]:
        monkeypatch.delenv(name)
    for name in ("https_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return azure


@pytest.fixture
def target(azure, tmp_path) -> AzureMLEndpoint:
    settings = AzureMLSettings(
        subscription_id=SUBSCRIPTION, resource_group=GROUP, workspace=WORKSPACE, image=IMAGE, instances=2
    )
    return patient(AzureMLEndpoint.from_settings(EnvironmentSettings(azureml=settings), tmp_path / "locks"))


@cache
def workspace(operation: float, settle: float) -> Workspace:
    """One client for many tests."""
    return Workspace(
        SUBSCRIPTION, GROUP, WORKSPACE, WaitPolicy(operation, poll_seconds=0, backoff_factor=0, traffic_seconds=settle)
    )


def patient(target: AzureMLEndpoint, operation: float = 60, settle: float = 0) -> AzureMLEndpoint:
    """The same endpoint, polling without a pause for these numbers of seconds."""
    return replace(target, workspace=workspace(operation, settle))


@pytest.fixture
def bundles(model_versions, target) -> list[Bundle]:
    return [bundle_of(candidate).with_runtime_config(target.runtime_config) for candidate in model_versions]


@pytest.fixture(scope="session")
def saved() -> list:
    """The subscription after the deployment of the first version."""
    return []


@pytest.fixture
def serving_first(azure, target, bundles, saved) -> None:
    """The first version is being served."""
    if saved:
        azure.restore(saved[0])
        keep_bundle(bundles[0])  # with this test's own copy of the version, as the deployment did
    else:
        deploy(target, bundles[0])
        saved.append(azure.save())
        azure.changes.clear()


def assert_answers(azure: AzureServer, target: AzureMLEndpoint, bundles: list[Bundle], uploaded: int = 0) -> None:
    """The last of these has all the traffic and only it costs money; the history consists of these. `uploaded`: number
    of archives that were not registered.
    """
    slots = [bundle.slot for bundle in bundles]
    assert target.state() == TargetState(tuple(slots), frozenset(slots[-1:]))
    assert azure.resources[ENDPOINT]["properties"]["traffic"] == {slots[-1]: 100}
    assert {path for path in azure.resources if path.startswith(MODEL)} == {f"{MODEL}/{slot}" for slot in slots}
    assert len(azure.store.blobs) == len(slots) + uploaded
    assert target.predict(bundles[-1].probe, None).tolist() == pytest.approx(bundles[-1].probe.answers, abs=1e-6)


def test_a_deployment_is_created_without_traffic_tested_by_name_and_given_the_traffic(azure, target, bundles):
    assert target.state() == TargetState()
    first = deploy(target, bundles[0])
    assert first.address == target.address == "https://bridge-fall.eastus.inference.ml.azure.com/score"
    assert (first.version, first.previous, first.removed) == (bundles[0].version, None, ())
    azure.changes.clear()
    azure.resources[ENDPOINT]["tags"]["cost-center"] = "bridges"
    second = deploy(target, bundles[1])
    old, new = bundles[0].slot, bundles[1].slot
    assert (second.previous, second.removed) == (bundles[0].version, (f"deployment {old}",))
    assert [change for change in azure.changes if "environments" not in change] == [
        f"PUT {MODEL}/{new}",
        f"PUT {ENDPOINT}/deployments/{new}",
        f"PUT {ENDPOINT}",  # traffic and history in one request
        f"DELETE {ENDPOINT}/deployments/{old}",
    ]
    assert azure.resources[ENDPOINT]["tags"] == deployment_tags("bridge-assets", (old, new)) | {
        "cost-center": "bridges"
    }
    created = azure.resources[f"{ENDPOINT}/deployments/{new}"]
    assert (created["properties"]["instanceType"], created["sku"]["capacity"]) == ("Standard_DS3_v2", 2)
    assert_answers(azure, target, bundles[:2])


def test_deploying_the_same_again_changes_nothing(azure, target, bundles, serving_first):
    azure.changes.clear()
    assert deploy(target, bundles[0]).removed == ()
    assert azure.changes == []


@pytest.mark.parametrize("store", ["Sas", "AccountKey", "None"])
def test_a_rollback_restores_the_previous_version_and_removes_the_other(azure, target, bundles, serving_first, store):
    azure.store.auth_mode = store
    deploy(target, bundles[1])
    back = rollback(target, opener(bundles))
    gone = bundles[1].slot
    assert back.version == bundles[0].version
    assert back.removed == (f"deployment {gone}", f"model bridge-fall, version {gone}")
    assert_answers(azure, target, bundles[:1])


def test_an_archive_that_cannot_be_removed_is_no_failure_and_is_removed_next_time(
    azure, target, bundles, serving_first, caplog
):
    azure.container_overrides[bundles[1].slot] = bundles[0].slot
    azure.inject_fault("DELETE", "/LocalUpload/", 403)
    with pytest.raises(CanaryMismatch):
        deploy(target, bundles[1])
    assert f"version {bundles[1].slot}, was not removed" in caplog.text
    assert deploy(target, bundles[0]).removed == (f"model bridge-fall, version {bundles[1].slot}",)
    assert_answers(azure, target, bundles[:1])


def test_a_wrong_model_in_a_slot_gets_no_traffic(azure, target, bundles, serving_first):
    before = azure.states()
    azure.container_overrides[bundles[1].slot] = bundles[0].slot
    with pytest.raises(CanaryMismatch, match=f"slot {bundles[1].slot}"):
        deploy(target, bundles[1])
    assert azure.states() == before
    assert_answers(azure, target, bundles[:1])


def test_the_public_address_may_follow_a_change_late_but_not_too_late(azure, target, bundles, serving_first):
    azure.routing_queue = [bundles[0].slot] * 2
    deploy(patient(target, settle=60), bundles[1])
    assert azure.routing_queue == []
    azure.routing_queue = [bundles[1].slot]
    with pytest.raises(CanaryMismatch):
        deploy(target, bundles[2])
    assert_answers(azure, target, bundles[:2])


def test_a_first_version_that_the_public_address_does_not_reach_is_rolled_back(azure, target, bundles):
    azure.routing_queue = ["nobody"]
    with pytest.raises(DeploymentError, match="no deployment 'nobody'"):
        deploy(target, bundles[0])
    assert azure.resources[ENDPOINT]["properties"]["traffic"] == {}
    assert target.state() == TargetState()
    deploy(target, bundles[0])
    assert_answers(azure, target, bundles[:1])


def test_a_container_that_does_not_start_is_reported_with_the_end_of_its_log(azure, target, bundles, serving_first):
    azure.store.corrupts_uploads = True
    with pytest.raises(DeploymentError, match=r"crashed or terminated.*the archive is not what was deployed"):
        deploy(target, bundles[1])
    assert_answers(azure, target, bundles[:1])


@pytest.mark.parametrize("stuck", [f"{ENDPOINT}$", f"{ENDPOINT}/deployments/"])
def test_a_resource_that_is_stuck_until_the_time_out_is_removed(azure, target, bundles, stuck):
    azure.make_stuck(stuck)
    azure.instant_operations = True
    with pytest.raises(DeploymentError, match=r"did not end in 0\.025 minutes"):
        deploy(patient(target, operation=1.5), bundles[0])
    assert not [path for path in azure.resources if "/deployments/" in path or path.startswith(MODEL)]
    assert (ENDPOINT in azure.resources) == ("deployments" in stuck)  # an empty endpoint costs nothing


def test_a_deployment_that_cannot_be_removed_yet_is_removed_when_it_can(azure, target, bundles, serving_first):
    slot = f"{ENDPOINT}/deployments/{bundles[1].slot}"
    azure.container_overrides[bundles[1].slot] = bundles[0].slot
    azure.inject_fault("DELETE", f"{slot}$", 409, "ResourceOperationInProgress")
    with pytest.raises(CanaryMismatch):
        deploy(target, bundles[1])
    assert slot not in azure.resources


# Faults -------------------------------------------------------------------------------------------------------------

SCORE = ("POST", "^/score$")
STEPS = {
    "looking": ("GET", f"{ENDPOINT}$"),
    "registering": ("PUT", MODEL),
    "starting": ("PUT", "/deployments/"),
    "moving the traffic": ("PUT", f"{ENDPOINT}$"),
    "asking": SCORE,
    "removing": ("DELETE", "/deployments/"),
}


@pytest.mark.parametrize("step", STEPS)
def test_throttling_and_transient_errors_are_retried(azure, target, bundles, serving_first, step):
    azure.inject_fault(*STEPS[step], 429, "TooManyRequests", headers={"Retry-After": "0"})
    azure.inject_fault(*STEPS[step], 503, "ServiceUnavailable", times=2)
    deploy(target, bundles[1])
    assert azure.all_faults_used()
    assert_answers(azure, target, bundles[:2])


def test_permanent_errors_are_reported_and_the_current_version_keeps_serving(azure, target, bundles, serving_first):
    azure.inject_fault("PUT", "/deployments/", 503, "ServiceUnavailable", times=20)
    with pytest.raises(DeploymentError, match=r"creating slot .* failed.*ServiceUnavailable"):
        deploy(target, bundles[1])
    assert_answers(azure, target, bundles[:1])


@pytest.mark.parametrize("step", ["registering", "starting", "moving the traffic", "removing"])
def test_a_connection_that_drops_after_the_request_was_processed(azure, target, bundles, serving_first, step):
    azure.inject_fault(*STEPS[step], done=True)
    try:
        deploy(target, bundles[1])
    except DeploymentError:  # Azure refuses the second try while the first is in progress
        assert_answers(azure, target, bundles[:1])
        deploy(target, bundles[1])
    assert azure.all_faults_used()
    assert_answers(azure, target, bundles[:2])


def test_a_connection_that_drops_while_the_endpoint_is_created(azure, target, bundles):
    azure.inject_fault("PUT", f"{ENDPOINT}$", done=True)
    with pytest.raises(DeploymentError, match="in progress"):
        deploy(target, bundles[0])
    assert ENDPOINT not in azure.resources
    deploy(target, bundles[0])
    assert_answers(azure, target, bundles[:1])


def test_a_kill_after_the_endpoint_was_created_is_resumed(azure, target, bundles):
    azure.drop_after(1)
    with pytest.raises(DeploymentError):
        deploy(target, bundles[0])
    azure.recover()
    assert list(azure.states()[ENDPOINT][0]) == [OWNER_TAG]
    deploy(target, bundles[0])
    assert_answers(azure, target, bundles[:1])


def test_after_a_kill_at_any_change_one_version_serves_and_a_new_deployment_completes(
    azure, target, bundles, serving_first
):
    old, new = (bundle.slot for bundle in bundles[:2])
    before = azure.save()
    deploy(target, bundles[1])
    changes = len(azure.changes)
    assert changes == 5
    for change in range(1, changes):
        azure.restore(before)
        azure.drop_after(change)
        with pytest.raises(DeploymentError):
            deploy(target, bundles[1])
        azure.recover()
        traffic = azure.resources[ENDPOINT]["properties"]["traffic"]
        assert traffic in ({old: 100}, {new: 100})
        assert {f"{ENDPOINT}/deployments/{slot}" for slot in traffic} <= azure.resources.keys()
        deploy(target, bundles[1])
        assert_answers(azure, target, bundles[:2])


@pytest.mark.parametrize("instances", [2, 3])
def test_resources_that_a_killed_deployment_left_behind_are_reused_if_they_match(
    azure, target, bundles, serving_first, instances
):
    azure.drop_after(3)
    with pytest.raises(DeploymentError):
        deploy(target, bundles[1])
    azure.recover()
    azure.resources[ENDPOINT]["properties"]["provisioningState"] = "Failed"
    again = replace(target, settings=target.settings.model_copy(update={"instances": instances}))
    wanted = bundles[1].with_runtime_config(again.runtime_config)
    removed = deploy(again, wanted).removed
    starts = [change for change in azure.changes if change.startswith(f"PUT {ENDPOINT}/deployments/m{wanted.version}")]
    assert len(starts) == (1 if instances == 2 else 2)
    assert any(bundles[1].slot in each for each in removed) == (instances == 3)
    assert azure.resources[ENDPOINT]["properties"]["provisioningState"] == "Succeeded"
    assert_answers(azure, target, [bundles[0], wanted])


def test_leftovers_of_a_killed_deployment_are_removed_by_the_deployment_of_another_version(
    azure, target, bundles, serving_first
):
    azure.drop_after(1)
    with pytest.raises(DeploymentError):
        deploy(target, bundles[1])
    azure.recover()
    deployment = deploy(target, bundles[2])
    assert deployment.removed == (f"model bridge-fall, version {bundles[1].slot}", f"deployment {bundles[0].slot}")
    assert_answers(azure, target, [bundles[0], bundles[2]])


# Permissions and owners --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda azure, patch: setattr(azure, "sign_in_error", "AADSTS7000222: The secret is expired."), "7000222"),
        (lambda azure, patch: azure.inject_fault("GET", ENDPOINT, 401, "ExpiredAuthenticationToken", 9), "ExpiredAuth"),
        (lambda azure, patch: patch.delenv("AZURE_CLIENT_SECRET"), "EnvironmentCredential"),
    ],
    ids=["expired", "refused", "missing"],
)
def test_credentials_that_are_not_valid(azure, target, bundles, monkeypatch, spoil, message):
    spoil(azure, monkeypatch)
    target = replace(target, workspace=replace(target.workspace))  # not signed in yet
    with pytest.raises(
        DeploymentError, match=rf"{message}.*AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET .* az login"
    ):
        deploy(target, bundles[0])
    assert azure.changes == []


@pytest.mark.parametrize("step", ["registering", "starting", "moving the traffic"])
def test_a_forbidden_request_changes_nothing(azure, target, bundles, serving_first, step):
    azure.inject_fault(*STEPS[step], 403, "AuthorizationFailed")
    with pytest.raises(DeploymentError, match=r"AuthorizationFailed.*AZURE_CLIENT_ID.*AzureML Data Scientist"):
        deploy(target, bundles[1])
    assert_answers(azure, target, bundles[:1], uploaded=int(step == "registering"))


def theirs(azure: AzureServer, path: str, **properties) -> None:
    azure.add_resource(
        path, location="eastus", tags={"team": "roads"}, properties={"tags": {"team": "roads"}, **properties}
    )


@pytest.mark.parametrize("what", ["endpoint", "model", "deployment", "deployment with the traffic", "another owner's"])
def test_a_resource_of_somebody_else_is_not_touched(azure, target, bundles, serving_first, what):
    slot = bundles[1].slot
    match what:
        case "endpoint":
            azure.reset()
            theirs(azure, ENDPOINT)
        case "model":
            theirs(azure, f"{MODEL}/{slot}", modelUri="azureml://datastores/x/paths/model.pkl")
        case "deployment":
            theirs(azure, f"{ENDPOINT}/deployments/{slot}")
        case "deployment with the traffic":
            theirs(azure, f"{ENDPOINT}/deployments/roads")
            azure.resources[ENDPOINT]["properties"]["traffic"] = {"roads": 100}
        case _:
            target = replace(target, owner="roads")
    before, blobs = azure.states(), dict(azure.store.blobs)
    azure.changes.clear()
    with pytest.raises(OwnershipError, match="is not ours"):
        deploy(target, bundles[1])
    assert (azure.states(), azure.store.blobs, azure.changes) == (before, blobs, [])


def test_a_name_that_is_taken_in_the_region_is_refused(azure, target, bundles):
    azure.reserved_names.add("bridge-fall")
    with pytest.raises(OwnershipError, match="unique within a region"):
        deploy(target, bundles[0])
    assert azure.changes == []


def test_deployments_and_models_of_somebody_else_are_kept(azure, target, bundles, serving_first):
    theirs(azure, f"{ENDPOINT}/deployments/roads")
    theirs(azure, f"{MODEL}/1", modelUri="azureml://datastores/x/paths/model.pkl")
    deploy(target, bundles[1])
    assert {f"{ENDPOINT}/deployments/roads", f"{MODEL}/1"} <= azure.resources.keys()
    with pytest.raises(OwnershipError, match="deployment roads is not ours"):
        target.delete()
    del azure.resources[f"{ENDPOINT}/deployments/roads"]
    removed = target.delete()
    assert removed == (
        f"deployment {bundles[1].slot}",
        "endpoint bridge-fall",
        *(f"model bridge-fall, version {slot}" for slot in sorted(bundle.slot for bundle in bundles[:2])),
    )
    assert (azure.store.blobs, target.state()) == ({}, TargetState())
    assert f"{MODEL}/1" in azure.resources


def test_one_deployment_at_a_time(azure, target, bundles, serving_first):
    with target.exclusive_lock("deploying"), pytest.raises(DeploymentError, match="was refused"):
        deploy(target, bundles[1])
    created = azure.resources[f"{ENDPOINT}/deployments/{bundles[0].slot}"]
    elsewhere = f"{ENDPOINT}/deployments/{bundles[1].slot}"
    azure.add_resource(elsewhere, **{key: created[key] for key in ("tags", "properties", "sku")})
    azure.resources[elsewhere]["properties"]["provisioningState"] = "Creating"
    azure.changes.clear()
    with pytest.raises(DeploymentError, match=f"deployment {bundles[1].slot} is Creating"):
        deploy(target, bundles[1])
    assert azure.changes == []
    azure.backdate(elsewhere)  # longer ago than any step of ours takes: left behind by a kill
    deploy(target, bundles[1])
    assert_answers(azure, target, bundles[:2])


# Before anything is sent ---------------------------------------------------------------------------------------------


def test_a_changed_artifact_is_refused_before_anything_is_sent(azure, target, model_versions, bundles):
    corrupt_byte(model_versions[0].file("model.onnx"))
    requests_before = azure.request_count
    with pytest.raises(DeploymentError, match=r"model\.onnx"):
        deploy(target, bundle_of(model_versions[0]))
    assert azure.request_count == requests_before
    assert azure.changes == []
    deploy(target, bundles[0])  # bundled before: it has the bytes that were read then


def test_missing_settings_are_listed_in_one_line(monkeypatch, tmp_path):
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    opened = partial(AzureMLEndpoint.from_settings, lock_folder=tmp_path)
    with pytest.raises(NotConfiguredError) as caught:
        opened(EnvironmentSettings(azureml=AzureMLSettings(workspace=WORKSPACE)))
    message = str(caught.value)
    for name in ("SUBSCRIPTION_ID (or AZURE_SUBSCRIPTION_ID)", "RESOURCE_GROUP", "IMAGE"):
        assert f"BRIDGE_ASSETS_ENVIRONMENT__AZUREML__{name}" in message
    assert "__WORKSPACE" not in message
    assert "\n" not in message
    assert install_command("azure") in message
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    whole = EnvironmentSettings(azureml=AzureMLSettings(workspace=WORKSPACE, resource_group=GROUP, image=IMAGE))
    assert SUBSCRIPTION in opened(whole).console_url
    assert "1 x Standard_DS3_v2" in opened(whole).cost
    monkeypatch.setitem(sys.modules, "azure.ai.ml", None)
    with pytest.raises(NotConfiguredError, match=r"Not installed: azure\.ai\.ml.*pip install .*\[azure\]"):
        opened(whole)


def test_deploy_model_azureml_takes_the_rest_from_the_environment(azure, model_versions, tmp_path, monkeypatch):
    settings = {"SUBSCRIPTION_ID": SUBSCRIPTION, "RESOURCE_GROUP": GROUP, "WORKSPACE": WORKSPACE, "IMAGE": IMAGE}
    for name, value in settings.items():
        monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__AZUREML__{name}", value)
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    deployment = deploy_model_azureml(model_versions[0].folder, "bridge-two", "Standard_DS3_v2")
    assert deployment.address == "https://bridge-two.eastus.inference.ml.azure.com/score"
    (created,) = (it for path, it in azure.resources.items() if "bridge-two/deployments/" in path)
    assert created["properties"]["instanceType"] == "Standard_DS3_v2"
    with pytest.raises(ValueError, match="name"):
        deploy_model_azureml(model_versions[0].folder, "Bridge_Two", "Standard_DS3_v2")
