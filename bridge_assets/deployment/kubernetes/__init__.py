"""Kubernetes as a target: the promised `deploy_model_kubernetes`, and what it takes."""

from bridge_assets.deployment.kubernetes.target import deploy_model_kubernetes

__all__ = ["deploy_model_kubernetes"]
