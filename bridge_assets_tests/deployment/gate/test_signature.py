"""The key in the environment, and signatures made with it."""

from __future__ import annotations

import pytest

from bridge_assets.deployment.gate.signature import KEY_VARIABLE, gate_key, is_signed, sign
from bridge_assets.errors import SettingsError

KEY, JUDGED = b"k" * 32, {"about": "a" * 64, "passed": True, "limits": {"auc_gain": 0.0}}


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_key_nothing_is_signed(monkeypatch, value):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    assert gate_key() is None


def test_a_key_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, f" {'k' * 32}\n")
    assert gate_key() == KEY


def test_a_short_key_is_an_error_that_does_not_show_it(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "quiet-secret")
    with pytest.raises(SettingsError, match=r"has 12 characters, at least 32 are needed") as raised:
        gate_key()
    assert "quiet" not in str(raised.value)


def test_only_the_same_content_and_the_same_key_fit():
    signature = sign(KEY, JUDGED)
    assert is_signed(KEY, dict(reversed(JUDGED.items())), signature)
    assert not is_signed(b"l" * 32, JUDGED, signature)
    for changed in ({"about": "b" * 64}, {"passed": False}, {"limits": {"auc_gain": -1.0}}, {"extra": 1}):
        assert not is_signed(KEY, JUDGED | changed, signature)
    for forged in ("", signature[:-1], signature.upper(), "é"):
        assert not is_signed(KEY, JUDGED, forged)
