"""Every remote target configured, none of them reachable, no credentials: a request before the gate would fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

#: Enough to open a target. Nothing responds at these addresses.
CONFIGURED = {
    "sagemaker": {
        "REGION": "us-east-1",
        "ROLE_ARN": "arn:aws:iam::123456789012:role/none",
        "IMAGE": "123456789012.dkr.ecr.us-east-1.amazonaws.com/none:1",
        "BUCKET": "s3://none/bridges",
    },
    "azureml": {
        "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
        "RESOURCE_GROUP": "none",
        "WORKSPACE": "none",
        "IMAGE": "none.azurecr.io/none:1",
    },
    "vertexai": {
        "PROJECT": "none",
        "IMAGE": "us-central1-docker.pkg.dev/none/none/none:1",
        "BUCKET": "gs://none/bridges",
    },
    "kubernetes": {"CONTEXT": "none", "IMAGE": "none:1", "ARTIFACTS": "s3://none/bridges"},
}


def configure_unreachable_targets(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Set the environment; `folder` receives a kubeconfig."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "none", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for key, values in CONFIGURED.items():
        for name, value in {**values, "WAIT_MINUTES": "0.001"}.items():
            monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__{key.upper()}__{name}", value)
