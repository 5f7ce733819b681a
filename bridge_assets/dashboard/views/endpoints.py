"""Endpoints: the model version each serves, earlier ones, and what the gate found."""

from __future__ import annotations

from bridge_assets.dashboard import component
from bridge_assets.dashboard.queries import endpoints
from bridge_assets.dashboard.session import dashboard_settings, data_settings


def show() -> None:
    """Draw the page."""
    data = data_settings()
    records = endpoints.deployments(data.home_folder)
    component.show(
        "endpoints.html",
        key="endpoints",
        local=endpoints.local_versions(data.endpoint_folder),
        serving=endpoints.serving(records),
        records=records,
        dagster=dashboard_settings().dagster,
    )
