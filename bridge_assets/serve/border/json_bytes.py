"""Writes JSON: with msgspec, or with Python's own module where an image was built before msgspec was needed."""

from __future__ import annotations

import json
from typing import Any

try:
    from msgspec.json import encode as _encode
except ImportError:
    _encode = None


def to_json(obj: Any) -> bytes:
    """An object of Python as JSON.

    Half of a surrogate pair, which a client may have sent escaped, has no UTF-8: it is sent back escaped.
    """
    if _encode is not None:
        try:
            return _encode(obj)
        except UnicodeEncodeError:
            pass
    return json.dumps(obj).encode()
