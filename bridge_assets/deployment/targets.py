"""Where a model version can be deployed: one entry per target.

The asset, the canary check, the rollback job, the choices of the command line and the section of environment.yaml
follow from it. Belongs here: the names of a target, and where its code is. Does not belong here: how it deploys (its
own package).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetEntry:
    """A target.

    Attributes
    ----------
    key : str
        Its section of environment.yaml, its package below `deployment`, and its name on the command line.
    title : str
        Its name in text.
    class_name : str
        The `core.target.Target` in `deployment.<key>.target`.
    kind : str
        The icon of its asset in the Dagster UI.
    rollout : str
        How a version takes over the traffic.
    """

    key: str
    title: str
    class_name: str
    kind: str
    rollout: str

    @property
    def asset(self) -> str:
        """The asset that deploys to it."""
        return f"{self.key}_endpoint"


REMOTE_TARGETS = (
    TargetEntry(
        "sagemaker",
        "Amazon SageMaker",
        "SageMakerEndpoint",
        "sagemaker",
        "The canary is sent to a staging endpoint; then the endpoint is updated blue/green, and rolls back on its own "
        "if one of the configured alarms goes off.",
    ),
    TargetEntry(
        "azureml",
        "Azure Machine Learning",
        "AzureMLEndpoint",
        "azureml",
        "A new deployment without traffic answers the canary under its own name; then all the traffic moves to it.",
    ),
    TargetEntry(
        "vertexai",
        "Google Vertex AI",
        "VertexAIEndpoint",
        "gcp",
        "The canary is sent to a staging endpoint; then the version is deployed next to the current one, and all the "
        "traffic moves to it.",
    ),
    TargetEntry(
        "kubernetes",
        "Kubernetes",
        "KubernetesEndpoint",
        "kubernetes",
        "A canary pod answers first; then the manifests in configs/k8s are applied and the pods are replaced one by "
        "one, never below capacity.",
    ),
)

#: The endpoint on this machine, then the remote ones, as the command line names them.
ENDPOINT_KEYS = ("local", *(target.key for target in REMOTE_TARGETS))
