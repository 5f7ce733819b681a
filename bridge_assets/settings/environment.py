"""`environment.yaml`: where model versions are deployed.

There are no credentials here: the SDK of each provider reads its own environment variables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from bridge_assets.settings.alerts import AlertSettings
from bridge_assets.settings.base import StrictModel, YamlSettings
from bridge_assets.settings.operations import HealthSettings, RetentionSettings

#: A name that every provider accepts; the strictest, Azure ML, takes 3 to 32 lower-case letters, digits and dashes.
EndpointName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]


class TargetSettings(StrictModel):
    """Settings that every target has."""

    enabled: bool = Field(default=False, description="Include it in full_pipeline and in the scheduled smoke checks.")
    name: EndpointName = Field(default="bridge-fall", description="Name of the endpoint.")
    wait_minutes: float = Field(default=30, gt=0, description="Timeout of one step (create, update).")


class SageMakerSettings(TargetSettings):
    """Amazon SageMaker. Credentials: the variables, profile or role that boto3 reads."""

    region: str = Field(default="", description="Empty = AWS_REGION or AWS_DEFAULT_REGION.")
    role_arn: str = Field(default="", description="Role that SageMaker assumes to read artifact and image.")
    image: str = Field(default="", description="Serving image in ECR, built from the Dockerfile.")
    bucket: str = Field(default="", description="s3://bucket/folder for artifacts, captured data and async responses.")
    mode: Literal["realtime", "serverless", "async"] = "realtime"
    instance_type: str = Field(default="ml.m5.large", description="For realtime and async.")
    instances: int = Field(default=2, ge=1)
    serverless_memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    serverless_concurrency: int = Field(default=5, ge=1, le=200)
    capture_percent: int = Field(
        default=0, ge=0, le=100, description="Share of requests saved to the bucket; 0 = none."
    )
    rollback_alarms: tuple[str, ...] = Field(
        default=(), max_length=10, description="Names of CloudWatch alarms that roll an update back."
    )


class AzureMLSettings(TargetSettings):
    """Azure Machine Learning. Credentials: those found by DefaultAzureCredential of azure-identity."""

    subscription_id: str = Field(default="", description="Empty = AZURE_SUBSCRIPTION_ID.")
    resource_group: str = ""
    workspace: str = ""
    image: str = Field(default="", description="Serving image in a registry that the workspace can read.")
    compute_type: str = Field(default="Standard_DS3_v2", description="Virtual machine size of the deployment.")
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

    context: str = Field(
        default="", description="Context of the kubeconfig; empty = the current context, or in-cluster."
    )
    namespace: str = "default"
    manifests: str = Field(default="configs/k8s", description="Folder or file of the manifests.")
    image: str = Field(default="", description="Serving image that the nodes can pull.")
    artifacts: str = Field(
        default="",
        description="Folder that this machine can write to and the pods can read: s3://, gs://, https://, /path.",
    )


class PrometheusSettings(StrictModel):
    """Prometheus, beside `prometheus_config.yaml`, which Prometheus reads itself."""

    pushgateway: str = Field(
        default="",
        pattern=r"^(https?://[^\s@]+)?$",
        description="Address of the Pushgateway to which runs push their end; empty = none.",
    )


class EnvironmentSettings(YamlSettings):
    """`environment.yaml`: the owner tag, where alerts and metrics go, and one section for each target."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_ENVIRONMENT__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "environment.yaml"

    owner: str = Field(
        default="bridge-assets",
        pattern=r"^[a-z][a-z0-9-]{1,40}$",
        description="Tag on every created resource. Resources with another tag, or none, are never touched.",
    )
    alerts: AlertSettings = AlertSettings()
    health: HealthSettings = HealthSettings()
    retention: RetentionSettings = RetentionSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    sagemaker: SageMakerSettings = SageMakerSettings()
    azureml: AzureMLSettings = AzureMLSettings()
    vertexai: VertexAISettings = VertexAISettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
