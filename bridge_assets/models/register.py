"""Registering and staging model versions: the promised names. They live elsewhere; this module re-exports them."""

from bridge_assets.registry.base import CHALLENGER, CHAMPION, Registered
from bridge_assets.registry.register import configured, fetch, find, promote, register_version

__all__ = ["CHALLENGER", "CHAMPION", "Registered", "configured", "fetch", "find", "promote", "register_version"]
