"""The Role in `configs/k8s/deployer` grants what a deployment uses, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.deployment.kept_bundles import opener
from support.deployment.kubernetes_release import RBAC

from bridge_assets.deployment.core.target import deploy, rollback
from bridge_assets.deployment.kubernetes.lease import LEASE_SECONDS
from bridge_assets.errors import DeploymentError

DOCS = Path(__file__).parents[3] / "docs" / "deployments.md"


def test_every_right_of_the_role_is_used(here, bundles):
    damaged = here.folder / "damaged.tar.gz"
    damaged.write_bytes(b"this is not an archive")
    here.swap_archive(damaged, "live")
    with pytest.raises(DeploymentError, match="its log ends with"):
        deploy(here.target(), bundles[0])  # removes everything that it created
    here.cluster.pods.archive_override = lambda labels: None
    for bundle in bundles[:3]:
        deploy(here.target(), bundle)
    rollback(here.target(), opener(bundles))
    target = here.target()
    with target.exclusive_lock("testing"):
        assert target._lease is not None
        target._lease._renewed_at -= LEASE_SECONDS / 2  # as in a deployment that takes longer
        target.provision(bundles[2])
    role = next(each for each in yaml.safe_load_all(RBAC.read_text()) if each["kind"] == "Role")
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted - here.cluster.used_rights == set()
    assert here.cluster.used_rights - granted == set()


def test_the_documentation_names_the_role_and_the_command_that_grants_it():
    text = DOCS.read_text(encoding="utf-8")
    assert "kubectl --namespace NAMESPACE apply -f configs/k8s/deployer/rbac.yaml" in text
