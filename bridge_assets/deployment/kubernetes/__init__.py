"""Deployment to a Kubernetes cluster; `deploy_model_kubernetes` is the public function."""

from bridge_assets.deployment.kubernetes.target import deploy_model_kubernetes

__all__ = ["deploy_model_kubernetes"]
