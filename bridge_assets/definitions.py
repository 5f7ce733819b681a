"""The one `Definitions` object: what `dagster dev`, `dg dev` and every deployment load. Nothing else."""

from __future__ import annotations

from bridge_assets.orchestration.build import build_definitions

defs = build_definitions()
