"""The beginning of a file that is being downloaded: kept between calls, under a name that no survey file has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.data.sources.local_copies import shown
from bridge_assets.storage import write_json


@dataclass
class Part:
    """The beginning of a file, and which version of it that is."""

    path: Path

    @classmethod
    def of(cls, target: Path) -> Part:
        return cls(target.with_name(f".{target.name}.part"))

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self, address: str) -> str:
        """What `If-Range` may hold: a strong ETag or a date (RFC 9110, 13.1.5); empty where there is neither."""
        noted = self._noted()
        etag = str(noted.get("etag", ""))
        strong = etag if not etag.startswith("W/") else ""
        return (strong or str(noted.get("last_modified", ""))) if noted.get("address") == shown(address) else ""

    @property
    def total(self) -> int | None:
        """The whole length that the server said when the part began."""
        return self._noted().get("total")

    def begin(self, address: str, etag: str, last_modified: str, total: int | None) -> None:
        self.path.unlink(missing_ok=True)
        noted = {"address": shown(address), "etag": etag, "last_modified": last_modified, "total": total}
        write_json(noted, self._note)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the part is then not resumed
        return noted if isinstance(noted, dict) else {}

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")
