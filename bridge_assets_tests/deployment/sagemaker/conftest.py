"""An account of SageMaker (`providers.sagemaker_server`), and endpoints in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from providers.aws_faults import CREDENTIALS
from providers.sagemaker_server import REGION, SageMaker, sagemaker
from support.sagemaker_endpoint import Make, environment

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.sagemaker.client import Aws
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint


@pytest.fixture(scope="package")
def account(tmp_path_factory) -> Iterator[SageMaker]:
    pytest.importorskip("boto3", reason="the extra [aws] is not installed")
    pytest.importorskip("moto.server", reason="SageMaker of the tests stands on moto[server]")
    with sagemaker(tmp_path_factory.mktemp("sagemaker")) as running:
        yield running


@pytest.fixture
def aws(account, monkeypatch) -> Iterator[SageMaker]:
    """An empty account, and nothing in the environment that leads to a real one."""
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
    assert not account.broken_rules


@pytest.fixture(scope="package")
def region() -> Aws:
    """Making clients takes longer than what most tests ask of them."""
    return Aws(REGION)


@pytest.fixture(scope="package")
def hasty() -> Aws:
    """Sends nothing again."""
    return Aws(REGION, attempts=1)


@pytest.fixture
def make(aws, region, tmp_path) -> Make:
    def made(**settings) -> SageMakerEndpoint:
        target = SageMakerEndpoint.from_settings(environment(**settings), tmp_path / "locks")
        return replace(target, aws=region, poll_seconds=0.001)

    return made


@pytest.fixture
def target(make) -> SageMakerEndpoint:
    return make()


@pytest.fixture(scope="package")
def bundles(made) -> list[Bundle]:
    terms = SageMakerEndpoint.from_settings(environment(), Path("locks")).terms
    return [bundle_of(candidate).under(terms) for candidate in made[:3]]
