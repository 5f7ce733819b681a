"""Public functions for survey files and models in DVC; re-exported from the modules that define them."""

from bridge_assets.data.dvc.versions import dvc_add, dvc_pull, dvc_push

__all__ = ["dvc_add", "dvc_pull", "dvc_push"]
