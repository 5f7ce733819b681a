"""Opens kept bundles as a remote endpoint does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.kept_bundles import open_kept_bundle
from bridge_assets.deployment.core.target import version_of


def opener(bundles: Sequence[Bundle]) -> Callable[[str], Bundle]:
    """Slot -> its kept bundle, for the versions of some bundles."""
    model_versions = {bundle.version: bundle.model_version for bundle in bundles}
    return lambda slot: open_kept_bundle(model_versions[version_of(slot)], slot)
