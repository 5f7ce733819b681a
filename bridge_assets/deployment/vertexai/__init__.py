"""Deployment to Google Vertex AI; `deploy_model_vertexai` is the public function."""

from bridge_assets.deployment.vertexai.target import deploy_model_vertexai

__all__ = ["deploy_model_vertexai"]
