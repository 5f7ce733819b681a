"""An endpoint without tables of structures says so, and what to send instead."""

from __future__ import annotations

import pytest
from support.deployment.local_endpoint import make_model_version

from bridge_assets.deployment.core.structure_tables import PackedTables
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.serve.endpoint_follower import EndpointFollower


@pytest.mark.parametrize("body", [{"structures": [{"state": "25", "structure": "1"}]}, {"records": [{"58": "5"}]}])
def test_a_bundle_has_no_tables(client, body) -> None:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 501
    assert (
        "Tables of structures are packed for the local endpoint only. What to do: send rows of features" in answer.text
    )


def test_only_predict_takes_bridges(client) -> None:
    assert client.post("/invocations", json={"records": [{"58": "5"}]}).status_code == 400


def test_an_older_package_and_one_without_tables_give_the_reason(tmp_path) -> None:
    version = make_model_version(tmp_path / "models", 0)
    endpoint = LocalEndpoint(tmp_path / "endpoint")
    endpoint.deploy(version)
    assert "before tables of structures were packed" in EndpointFollower(endpoint.root).current.no_bridges
    endpoint.deploy(version, tables=lambda digest: PackedTables(skipped_reason=f"no features of {digest}"))
    follower = EndpointFollower(endpoint.root)
    assert follower.current.no_bridges == "no features of ffffffffffff"
    assert follower.current.bridges is None
