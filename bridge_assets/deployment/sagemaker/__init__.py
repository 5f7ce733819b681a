"""Amazon SageMaker as a target: the promised `deploy_model_sagemaker`, and what it takes."""

from bridge_assets.deployment.sagemaker.target import deploy_model_sagemaker

__all__ = ["deploy_model_sagemaker"]
