"""Public functions for reading survey files as tables; re-exported from the modules that define them."""

from bridge_assets.data.ingest.ingest import IngestionReport, ingest
from bridge_assets.data.ingest.pandas_api import load_bridge_data, rejected_bridge_data, save_processed_data
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.data.records.validation import (
    ValidationReport,
    validate_bridge_data,
    validation_problems,
    validation_report,
)

__all__ = [
    "BRIDGE_SCHEMA",
    "IngestionReport",
    "ValidationReport",
    "ingest",
    "load_bridge_data",
    "rejected_bridge_data",
    "save_processed_data",
    "validate_bridge_data",
    "validation_problems",
    "validation_report",
]
