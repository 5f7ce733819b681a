"""Writes JSON: with msgspec, or with Python's own module where an image was built before msgspec was needed."""

from __future__ import annotations

import json
from typing import Any

try:
    from msgspec.json import encode as to_json
except ImportError:

    def to_json(obj: Any, /) -> bytes:
        return json.dumps(obj).encode()
