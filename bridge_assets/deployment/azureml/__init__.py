"""Deployment to Azure Machine Learning; `deploy_model_azureml` is the public function."""

from bridge_assets.deployment.azureml.target import deploy_model_azureml

__all__ = ["deploy_model_azureml"]
