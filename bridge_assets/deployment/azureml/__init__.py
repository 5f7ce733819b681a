"""Azure Machine Learning as a target: the promised `deploy_model_azureml`, and what it takes."""

from bridge_assets.deployment.azureml.target import deploy_model_azureml

__all__ = ["deploy_model_azureml"]
