"""A model version to serve."""

from __future__ import annotations

import pytest
from support.deployment.local_endpoint import make_model_version

from bridge_assets.deployment.core.bundle import Bundle, bundle_of


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Bundle:
    return bundle_of(make_model_version(tmp_path_factory.mktemp("models"), 0))
