"""Metadata of a registered version: addresses in the form in which one pastes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from bridge_assets.registry.base import RegisteredVersion, Registry


def registry_metadata(registry: Registry, registered: RegisteredVersion) -> dict[str, Any]:
    """The registry's address, for `--registry` and `--from`, the version's address in it, and how to load it."""
    metadata: dict[str, Any] = {"registry": registry.address, "registry_uri": registered.uri}
    if registered.uri.startswith("models:/"):
        code = (
            f'import mlflow\n\nmlflow.set_tracking_uri("{registry.address}")\n'
            f'mlflow.pyfunc.load_model("{registered.uri}").predict(rows)  # features in natural units'
        )
        metadata["load_with_mlflow"] = dg.MetadataValue.md(f"```python\n{code}\n```")
    return metadata
