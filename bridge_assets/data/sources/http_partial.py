"""Partial downloads: kept between calls under hidden names, so that they are not taken for survey files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.storage import write_json


@dataclass
class PartialDownload:
    """The first bytes of a file, and metadata that identify its version on the server."""

    path: Path

    @classmethod
    def for_target(cls, target: Path) -> PartialDownload:
        return cls(target.with_name(f".{target.name}.part"))

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def if_range_validator(self, address: str) -> str:
        """The value for `If-Range`: a strong ETag or a date (RFC 9110, 13.1.5); empty if there is neither."""
        metadata = self._read_metadata()
        etag = str(metadata.get("etag", ""))
        strong = etag if not etag.startswith("W/") else ""
        return (
            (strong or str(metadata.get("last_modified", ""))) if metadata.get("address") == redact_url(address) else ""
        )

    @property
    def expected_bytes(self) -> int | None:
        """The total length reported by the server when the download began; None if it did not report one."""
        return self._read_metadata().get("total")

    def start(self, address: str, etag: str, last_modified: str, total: int | None) -> None:
        self.path.unlink(missing_ok=True)
        metadata = {"address": redact_url(address), "etag": etag, "last_modified": last_modified, "total": total}
        write_json(metadata, self._metadata_path)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._metadata_path.unlink(missing_ok=True)

    def _read_metadata(self) -> dict[str, Any]:
        try:
            metadata = json.loads(self._metadata_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the download then starts from the beginning
        return metadata if isinstance(metadata, dict) else {}

    @property
    def _metadata_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")
