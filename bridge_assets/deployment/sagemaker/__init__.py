"""Deployment to Amazon SageMaker; `deploy_model_sagemaker` is the public function."""

from bridge_assets.deployment.sagemaker.target import deploy_model_sagemaker

__all__ = ["deploy_model_sagemaker"]
