"""Survey files and models in DVC: the promised names. They live elsewhere; this module re-exports them."""

from bridge_assets.data.dvc.versions import dvc_add, dvc_pull, dvc_push

__all__ = ["dvc_add", "dvc_pull", "dvc_push"]
