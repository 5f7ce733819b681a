"""Public functions for features on pandas tables; re-exported from the modules that define them."""

from bridge_assets.data.features.build import add_env_features, add_traffic_features, normalize

__all__ = ["add_env_features", "add_traffic_features", "normalize"]
