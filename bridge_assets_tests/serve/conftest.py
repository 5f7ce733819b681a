"""Model versions, and a server for one of them."""

from __future__ import annotations

import httpx
import pytest
from support.deployment.local_endpoint import make_model_version
from support.deployment.server_process import serving

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.registry.model_version import ModelVersion


@pytest.fixture(scope="session")
def versions(tmp_path_factory) -> list[ModelVersion]:
    models = tmp_path_factory.mktemp("models")
    return [make_model_version(models, seed) for seed in range(3)]


@pytest.fixture(scope="session")
def bundle(versions) -> Bundle:
    return bundle_of(versions[0])


@pytest.fixture(scope="session")
def wide_bundle(tmp_path_factory) -> Bundle:
    """A bundle of a model with as many features as the real one has, for the size of its requests."""
    features = tuple(f"feature_{number}" for number in range(44))
    return bundle_of(make_model_version(tmp_path_factory.mktemp("wide"), 0, features))


@pytest.fixture(scope="session")
def vertex_variables() -> dict[str, str]:
    """Environment variables that Vertex AI sets in a container."""
    return {"AIP_HEALTH_ROUTE": "/vertex/alive", "AIP_PREDICT_ROUTE": "/v1/endpoints/1/deployedModels/2:predict"}


@pytest.fixture(scope="session")
def client(bundle, vertex_variables):
    """A client of a server that serves `bundle`."""
    with serving(bundle, **vertex_variables) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client
