"""Settings and checks of the SageMaker endpoint, for its tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from providers.sagemaker_server import BUCKET, REGION, SageMaker

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.tags import history_from_tags
from bridge_assets.deployment.core.target import resolve_history
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint
from bridge_assets.settings.environment import EnvironmentSettings, SageMakerSettings

SETTINGS = {
    "region": REGION,
    "role_arn": "arn:aws:iam::123456789012:role/bridges",
    "image": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/bridges:1",
    "bucket": f"s3://{BUCKET}/models",
}
FOLDER = "models/bridge-fall"

MakeEndpoint = Callable[..., SageMakerEndpoint]


def environment(**settings) -> EnvironmentSettings:
    return EnvironmentSettings(sagemaker=SageMakerSettings(**{**SETTINGS, **settings}))


def is_serving(target: SageMakerEndpoint, bundle: Bundle) -> bool:
    return np.allclose(target.invoke(bundle.probe.request_rows()), bundle.probe.answers, rtol=0, atol=1e-6)


def resource_name(bundle: Bundle) -> str:
    return f"bridge-fall-{bundle.slot}"


def resource_names(bundle: Bundle) -> tuple[str, ...]:
    return (
        f"endpoint configuration {resource_name(bundle)}",
        f"model {resource_name(bundle)}",
        f"s3://{BUCKET}/{FOLDER}/{bundle.slot}.tar.gz",
    )


def assert_only_deployed(aws: SageMaker, *bundles: Bundle) -> None:
    """The endpoint serves the last of some bundles, and only these have resources. (The history is compared as
    `resolve_history` returns it, because a kill may come between the traffic and the tags.)
    """
    state = aws.state()
    names = {resource_name(bundle) for bundle in bundles}
    assert set(state["endpoints"]) == ({"bridge-fall"} if bundles else set())
    assert set(state["configs"]) == set(state["models"]) == names
    assert set(state["objects"]) == {f"{FOLDER}/{bundle.slot}.tar.gz" for bundle in bundles}
    if bundles:
        status, config, tags = state["endpoints"]["bridge-fall"]
        assert (status, config) == ("InService", resource_name(bundles[-1]))
        assert resolve_history(bundles[-1].slot, history_from_tags(tags)) == tuple(bundle.slot for bundle in bundles)
