"""Metadata about the source of a survey year: files, digests, addresses, and the expected number of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets import markdown
from bridge_assets.data.sources.lateness import FHWA_PAGE
from bridge_assets.orchestration.metadata import display
from bridge_assets.settings import DataSettings

if TYPE_CHECKING:
    from bridge_assets.data.sources.survey_files import SourceFile, SurveySource


def source_metadata(data: DataSettings) -> dg.MetadataValue:
    """What `source` points to: a folder, an address, or FHWA."""
    match data.source_kind:
        case "fhwa":
            return dg.MetadataValue.url(FHWA_PAGE)
        case "remote":
            from bridge_assets.data.sources.local_copies import redact_url

            return _address_metadata(redact_url(data.source))
        case _:
            return display.path_metadata(data.source_folder)


def source_file_metadata(source: SurveySource, revision: str = "") -> dict[str, dg.MetadataValue]:
    """Metadata of one survey year of nbi_files.

    Parameters
    ----------
    source : SurveySource
        The files in use.
    revision : str
        How they, or the revised ones that wait for acceptance, differ from the records in the lake.
    """
    metadata: dict[str, dg.MetadataValue] = {
        "sha256": dg.MetadataValue.text(source.sha256),
        "megabytes": dg.MetadataValue.float(round(source.bytes / 1e6, 3)),
    }
    if len(source.files) == 1:
        [part] = source.files
        metadata["file"] = display.path_metadata(part.path)
        if part.address:
            metadata["address"] = _address_metadata(part.address)
            metadata["version"] = dg.MetadataValue.text(part.version or "not reported by the server")
            metadata["published"] = dg.MetadataValue.text(part.last_modified or "not reported by the server")
        metadata["revised"] = dg.MetadataValue.bool(part.revised)
    else:
        metadata["files"] = dg.MetadataValue.int(len(source.files))
        metadata["parts"] = _file_table(source.files)
    if source.expected_rows is not None:
        metadata["expected_rows"] = dg.MetadataValue.int(source.expected_rows)
    if warnings := [*source.warnings, *([revision] if revision else [])]:
        metadata["warnings"] = dg.MetadataValue.text("\n".join(warnings))
    return metadata


def _file_table(parts: tuple[SourceFile, ...]) -> dg.MetadataValue:
    rows = [
        (
            part.path.name,
            f"{part.bytes / 1e6:,.3f}",
            part.sha256[:12],
            markdown.link(part.address, part.address),
            part.last_modified,
            "revised" if part.revised else "",
        )
        for part in parts
    ]
    return dg.MetadataValue.md(
        markdown.table(("file", "megabytes", "SHA-256", "from", "published", ""), rows, align="lr")
    )


def _address_metadata(address: str) -> dg.MetadataValue:
    return dg.MetadataValue.url(address) if markdown.is_web_address(address) else dg.MetadataValue.text(address)
