"""Google Vertex AI as a target: the promised `deploy_model_vertexai`, and what it takes."""

from bridge_assets.deployment.vertexai.target import deploy_model_vertexai

__all__ = ["deploy_model_vertexai"]
