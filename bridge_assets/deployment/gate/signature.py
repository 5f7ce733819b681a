"""Signatures of check evaluations, where the environment holds a key.

Without a key, whoever can write to Dagster's storage can forge an evaluation. With `BRIDGE_ASSETS_GATE_KEY` in the
environment of the process that checks and of the one that deploys, a check signs what it judged (HMAC-SHA256, RFC
2104), and the gate counts only passes with its signature. Whoever holds the key can still forge.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from bridge_assets.errors import SettingsError
from bridge_assets.storage import to_json

KEY_VARIABLE = "BRIDGE_ASSETS_GATE_KEY"

#: In characters. RFC 2104 discourages keys shorter than the hash: 32 bytes.
MIN_KEY_LENGTH = 32


def gate_key() -> bytes | None:
    """The key in the environment; None = evaluations are neither signed nor verified.

    Raises
    ------
    SettingsError
        If it is too short. A key that is empty or missing is none.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        return None
    if len(key) < MIN_KEY_LENGTH:
        raise SettingsError(
            f"the key has {len(key)} characters, at least {MIN_KEY_LENGTH} are needed",
            where=f"environment variable {KEY_VARIABLE}",
            do='make one with `python -c "import secrets; print(secrets.token_hex(32))"`',
        )
    return key.encode()


def sign(key: bytes, judged: Mapping[str, Any]) -> str:
    """The signature of what a check judged, in hex."""
    return hmac.new(key, to_json(dict(judged)).encode(), hashlib.sha256).hexdigest()


def is_signed(key: bytes, judged: Mapping[str, Any], signature: str) -> bool:
    """Whether this is the signature of what a check judged; compares in constant time."""
    return hmac.compare_digest(sign(key, judged).encode(), signature.encode())
