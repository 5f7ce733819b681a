"""Register and stage model versions. This module only re-exports the public names."""

from bridge_assets.registry.base import CHALLENGER, CHAMPION, RegisteredVersion
from bridge_assets.registry.register import (
    configured_registry,
    fetch_by_alias,
    find_by_alias,
    promote,
    register_version,
)

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RegisteredVersion",
    "configured_registry",
    "fetch_by_alias",
    "find_by_alias",
    "promote",
    "register_version",
]
