"""The registry of one model in a folder."""

from __future__ import annotations

import json

import pytest
from support.model_versions import NAME, make_version

from bridge_assets.errors import RegistryError
from bridge_assets.registry.folder_registry import REGISTRY_FILE, FolderRegistry


def test_a_version_in_the_folder_may_get_another_card_but_not_another_model(tmp_path):
    candidate, registry = make_version(tmp_path, 1), FolderRegistry(tmp_path, NAME)
    first = registry.register(candidate, {"gate.onnx_model.parity": "passed"})
    candidate.file("model_card.md").write_text("Another card\n")
    candidate.record_stage("bridge_model")
    second = registry.register(candidate)
    assert (second.version_number, second.tags) == (first.version_number, first.tags)
    assert second.files["model_card.md"] != first.files["model_card.md"]
    candidate.file("model.onnx").write_bytes(b"another model")
    candidate.record_stage("onnx_model")
    with pytest.raises(RegistryError, match=r"It is already registered with other bytes: manifest\.json, model\.onnx"):
        registry.register(candidate)
    assert registry.versions() == [second]


def test_a_registry_that_cannot_be_read_is_reported_and_not_changed(tmp_path):
    candidate, registry = make_version(tmp_path, 1), FolderRegistry(tmp_path, NAME)
    for content in ("{", "[]", '{"versions": []}', json.dumps({"versions": {}, "aliases": {}})):
        (tmp_path / REGISTRY_FILE).write_text(content)
        with pytest.raises(RegistryError, match="it cannot be read as a registry"):
            registry.register(candidate)
        assert (tmp_path / REGISTRY_FILE).read_text() == content
    for entry in ({}, {"number": 1, "notes": [], "files": {}}, []):
        ledger = {"name": NAME, "versions": {candidate.version: entry}, "aliases": {}}
        (tmp_path / REGISTRY_FILE).write_text(json.dumps(ledger))
        with pytest.raises(RegistryError, match="cannot be read"):
            registry.versions()
