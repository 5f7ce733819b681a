"""A SageMaker account (`providers.sagemaker_server`), and endpoints in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from providers.aws_faults import CREDENTIALS
from providers.sagemaker_server import REGION, SageMaker, sagemaker_server
from support.deployment.sagemaker_endpoint import MakeEndpoint, environment

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.sagemaker.client import AwsClient
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint


@pytest.fixture(scope="package")
def account(tmp_path_factory) -> Iterator[SageMaker]:
    pytest.importorskip("boto3", reason="the extra [aws] is not installed")
    pytest.importorskip("moto.server", reason="the SageMaker server of the tests needs moto[server]")
    with sagemaker_server(tmp_path_factory.mktemp("sagemaker")) as running:
        yield running


@pytest.fixture
def aws(account, monkeypatch) -> Iterator[SageMaker]:
    """An empty account, and no environment variables that lead to a real one."""
    account.reset()
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    for variable, value in {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": account.address,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(variable, value)
    yield account
    assert not account.violations


@pytest.fixture(scope="package")
def aws_client() -> AwsClient:
    """Shared, because creating clients takes longer than most tests use them."""
    return AwsClient(REGION)


@pytest.fixture(scope="package")
def aws_without_retries() -> AwsClient:
    """A client that never retries."""
    return AwsClient(REGION, max_attempts=1)


@pytest.fixture
def make_endpoint(aws, aws_client, tmp_path) -> MakeEndpoint:
    def make_target(**settings) -> SageMakerEndpoint:
        target = SageMakerEndpoint.from_settings(environment(**settings), tmp_path / "locks")
        return replace(target, aws=aws_client, poll_seconds=0.001)

    return make_target


@pytest.fixture
def target(make_endpoint) -> SageMakerEndpoint:
    return make_endpoint()


@pytest.fixture(scope="package")
def bundles(shared_versions) -> list[Bundle]:
    runtime_config = SageMakerEndpoint.from_settings(environment(), Path("locks")).runtime_config
    return [bundle_of(candidate).with_runtime_config(runtime_config) for candidate in shared_versions[:3]]
