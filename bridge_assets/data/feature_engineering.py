"""Features on pandas tables: the promised names. They live elsewhere; this module re-exports them."""

from bridge_assets.data.features.build import add_env_features, add_traffic_features, normalize

__all__ = ["add_env_features", "add_traffic_features", "normalize"]
