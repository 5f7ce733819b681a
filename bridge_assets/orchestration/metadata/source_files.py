"""What a person sees of where a survey year came from: files, digests, addresses, and what was expected."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.orchestration.metadata import display
from bridge_assets.settings import DataSettings

if TYPE_CHECKING:
    from bridge_assets.data.sources.survey_files import SourceFile, SurveySource


def source_metadata(data: DataSettings) -> dg.MetadataValue:
    """Where `source` points to: a folder, an address, or FHWA."""
    match data.source_kind:
        case "fhwa":
            return dg.MetadataValue.url("https://www.fhwa.dot.gov/bridge/nbi/ascii.cfm")
        case "remote":
            from bridge_assets.data.sources.local_copies import redact_url

            return _address_metadata(redact_url(data.source))
        case _:
            return display.path_metadata(data.source_folder)


def source_file_metadata(source: SurveySource) -> dict[str, dg.MetadataValue]:
    """Metadata of one survey year of nbi_files."""
    metadata: dict[str, dg.MetadataValue] = {
        "sha256": dg.MetadataValue.text(source.sha256),
        "megabytes": dg.MetadataValue.float(round(source.bytes / 1e6, 3)),
    }
    if len(source.files) == 1:
        [part] = source.files
        metadata["file"] = display.path_metadata(part.path)
        if part.address:
            metadata["address"] = _address_metadata(part.address)
            metadata["version"] = dg.MetadataValue.text(part.version or "the server names none")
            metadata["published"] = dg.MetadataValue.text(part.last_modified or "the server does not say")
            metadata["revised"] = dg.MetadataValue.bool(part.revised)
    else:
        metadata["files"] = dg.MetadataValue.int(len(source.files))
        metadata["parts"] = _file_table(source.files)
    if source.expected_rows is not None:
        metadata["expected_rows"] = dg.MetadataValue.int(source.expected_rows)
    if source.warnings:
        metadata["warnings"] = dg.MetadataValue.text("\n".join(source.warnings))
    return metadata


def _file_table(parts: tuple[SourceFile, ...]) -> dg.MetadataValue:
    lines = ["| file | megabytes | SHA-256 | from | published | |", "|---|---|---|---|---|---|"]
    for part in parts:
        named = _cell(part.address)
        cells = [
            _cell(part.path.name),
            f"{part.bytes / 1e6:,.3f}",
            part.sha256[:12],
            f"[{named}]({part.address})" if _is_link(part.address) else named,
            _cell(part.last_modified),
            "revised" if part.revised else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def _cell(text: str) -> str:
    """Names come from outside: they are text, not Markdown."""
    escaped = html.escape(text)
    for character in "|`[]*_!":
        escaped = escaped.replace(character, f"&#{ord(character)};")
    return escaped


def _address_metadata(address: str) -> dg.MetadataValue:
    return dg.MetadataValue.url(address) if _is_link(address) else dg.MetadataValue.text(address)


def _is_link(address: str) -> bool:
    return address.startswith(("http://", "https://")) and not set(address) & set(" |)(<>")
