"""What the dashboard reads of a real run: every table has the columns of its queries, and deployments are logged."""

from __future__ import annotations

import json

import pytest

from bridge_assets.dashboard.queries import bridges, drift, endpoints, model, overview, pipeline, quality
from bridge_assets.dashboard.queries.bridge import find_bridge, similar_bridges
from bridge_assets.dashboard.queries.tables import Tables
from bridge_assets.deployment.core.deployment_log import LOG_FILE


@pytest.mark.slow
def test_the_queries_of_the_dashboard_read_the_tables_of_a_run(platform) -> None:
    tables, home = Tables(platform.home / "lake"), platform.home
    page = bridges.bridge_page(tables, bridges.BridgeFilter(), 1, 25)
    bridge = find_bridge(tables, page.rows[0]["structure_key"])
    assert bridge is not None and bridge.missing == [] and bridge.inspections and bridge.scores
    assert similar_bridges(tables, bridge.key, 3)
    assert overview.figures(overview.condition_by_year(tables), "all", by_area=True)["states"]
    year = tables.last_year(drift.REPORT)
    assert drift.drift_report(tables, year).height
    assert drift.reference_years(tables, year)
    assert drift.distribution(tables, "age", "all", year).bins
    assert quality.quality_summary(tables).height
    assert quality.rejected_page(tables, None, "", 1, 5)["error"] is None
    evaluation = model.evaluation_of(home / "models", model.model_versions(home / "models")[0])
    assert model.calibration_chart(evaluation) and model.important_features(evaluation)
    assert model.realised(tables)
    assert {run["job"] for run in pipeline.recent_runs(tables, home, 5)} == {"full_pipeline"}
    assert pipeline.last_assets(tables, home)


@pytest.mark.slow
def test_a_deployment_is_logged_with_what_the_gate_found(platform) -> None:
    (record,) = endpoints.deployments(platform.home)
    assert (record.endpoint, record.outcome, record.gate) == ("local_endpoint", "deployed", "open")
    assert {finding["state"] for finding in record.findings} == {"passed"}
    assert "bridge_model:beats_baselines" in {finding["check"] for finding in record.findings}
    assert record.version == endpoints.local_versions(platform.home / "endpoints" / "local")[0]["version"]
    assert (platform.home / LOG_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_refusal_is_logged_with_the_check_that_closed_the_gate(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN", "0.9")
    result = platform.materialize("local_endpoint", checks=False)
    assert not result.success
    refused, deployed = endpoints.deployments(platform.home)
    assert (refused.outcome, refused.gate, deployed.outcome) == ("refused", "closed", "deployed")
    closed = [finding for finding in refused.findings if finding["state"] != "passed"]
    assert closed and all(finding["message"] for finding in closed)
    assert endpoints.serving([refused, deployed]) == [deployed]
    assert json.loads((platform.home / LOG_FILE).read_text().splitlines()[-1])["run"] == result.run_id


@pytest.mark.slow
def test_assets_link_to_their_page_of_the_dashboard(platform) -> None:
    pages = {
        "bridge_predictions": "bridges",
        "drift_report": "drift",
        "data_quality": "quality",
        "bridge_model": "model",
        "local_endpoint": "endpoints",
        "condition_report": "",
    }
    recorded = platform.first_run.materializations
    assert {name: recorded[name]["dashboard"] for name in pages} == {
        name: f"http://127.0.0.1:8501/{page}" for name, page in pages.items()
    }
