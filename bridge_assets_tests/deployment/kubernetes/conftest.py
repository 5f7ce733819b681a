"""An empty test cluster, a cluster that serves a version, and bundles for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.deployment.kubernetes_release import ReleaseFixture, release_fixture

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.target import deploy


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[ReleaseFixture]:
    with release_fixture(tmp_path, monkeypatch) as place:
        yield place


@pytest.fixture
def bundles(here, model_versions) -> list[Bundle]:
    return here.bundles(model_versions)


@pytest.fixture
def running(here, bundles) -> ReleaseFixture:
    """A cluster that serves the first version."""
    deploy(here.target(), bundles[0])
    here.cluster.requests.clear()
    here.cluster.store.changes.clear()
    return here
