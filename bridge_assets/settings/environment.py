"""Where model versions are deployed: `environment.yaml`, typed. Nothing but this differs between laptop and production.

Credentials never stand here: each provider's SDK reads its own environment variables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from bridge_assets.settings.base import StrictModel, YamlSettings

#: A name that every provider accepts: Azure ML wants 3 to 32 characters, all of them lower case and dashes.
EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]


class TargetSettings(StrictModel):
    """What every target has."""

    enabled: bool = Field(default=False, description="Part of full_pipeline and of the scheduled smoke checks.")
    name: EndpointName = Field(default="bridge-fall", description="Of the endpoint.")
    wait_minutes: float = Field(default=30, gt=0, description="Most that one step (create, update) may take.")


class SageMakerSettings(TargetSettings):
    """Amazon SageMaker. Credentials: the variables, profile or role that boto3 reads."""

    region: str = Field(default="", description="Empty = AWS_REGION or AWS_DEFAULT_REGION.")
    role_arn: str = Field(default="", description="Role that SageMaker takes to read the artifact and the image.")
    image: str = Field(default="", description="Serving image in ECR, built from the Dockerfile.")
    bucket: str = Field(default="", description="s3://bucket/folder for artifacts, captured data and async answers.")
    mode: Literal["realtime", "serverless", "async"] = "realtime"
    instance_type: str = Field(default="ml.m5.large", description="For realtime and async.")
    instances: int = Field(default=2, ge=1)
    serverless_memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    serverless_concurrency: int = Field(default=5, ge=1, le=200)
    capture_percent: int = Field(default=0, ge=0, le=100, description="Requests kept in the bucket; 0 = none.")
    rollback_alarms: tuple[str, ...] = Field(default=(), max_length=10, description="CloudWatch alarms by name.")


class AzureMLSettings(TargetSettings):
    """Azure Machine Learning. Credentials: what azure-identity's DefaultAzureCredential reads."""

    subscription_id: str = Field(default="", description="Empty = AZURE_SUBSCRIPTION_ID.")
    resource_group: str = ""
    workspace: str = ""
    image: str = Field(default="", description="Serving image in a registry the workspace can read.")
    compute_type: str = Field(default="Standard_DS3_v2", description="Virtual machine of the deployment.")
    instances: int = Field(default=1, ge=1)


class VertexAISettings(TargetSettings):
    """Google Vertex AI. Credentials: application default credentials."""

    project: str = Field(default="", description="Empty = GOOGLE_CLOUD_PROJECT.")
    location: str = "us-central1"
    image: str = Field(default="", description="Serving image in Artifact Registry.")
    bucket: str = Field(default="", description="gs://bucket/folder for artifacts.")
    machine_type: str = "n1-standard-2"
    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=2, ge=1)
    service_account: str = ""
    api_endpoint: str = Field(
        default="", description="host:port of the service behind Private Service Connect; empty = Google's public one."
    )


class KubernetesSettings(TargetSettings):
    """A Kubernetes cluster. Credentials: the kubeconfig (KUBECONFIG), or the service account of the pod."""

    context: str = Field(default="", description="Of the kubeconfig; empty = its current one, or in-cluster.")
    namespace: str = "default"
    manifests: str = Field(default="configs/k8s", description="Folder or file of the manifests.")
    image: str = Field(default="", description="Serving image that the nodes can pull.")
    artifacts: str = Field(
        default="",
        description="Folder that this machine can write and the pods can read: s3://, gs://, https://, /path.",
    )


class EnvironmentSettings(YamlSettings):
    """`environment.yaml`."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_ENVIRONMENT__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "environment.yaml"

    owner: str = Field(
        default="bridge-assets",
        pattern=r"^[a-z][a-z0-9-]{1,40}$",
        description="Tag of everything that is created. What carries another one, or none, is never touched.",
    )
    sagemaker: SageMakerSettings = SageMakerSettings()
    azureml: AzureMLSettings = AzureMLSettings()
    vertexai: VertexAISettings = VertexAISettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
