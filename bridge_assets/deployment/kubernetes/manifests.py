"""Reads the manifests that users edit, and checks each document on its own.

Does not belong here: whether the documents fit together (`checks`), and what a deployment fills in (`release`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bridge_assets.deployment.kubernetes.client import RELEASE_KINDS
from bridge_assets.errors import DeploymentError


@dataclass(frozen=True)
class Manifest:
    """One document of a manifest file, numbered from 1."""

    file: Path
    number: int
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.body["kind"]

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def where(self) -> str:
        return f"{self.file}, document {self.number}"


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that rejects duplicate keys; PyYAML's own silently keeps the last one."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
    if duplicates := [key for key in keys if keys.count(key) > 1]:
        raise yaml.constructor.ConstructorError(None, None, f"the key {duplicates[0]!r} appears twice", node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def read_manifests(path: Path, namespace: str) -> list[Manifest]:
    """Read the documents of a file, or of all YAML files directly in a folder in the order of their names.

    Raises
    ------
    DeploymentError
        If a document is not YAML, not a Kubernetes object, of a kind that a release does not support, or of another
        namespace; names file and document.
    """
    files = sorted(each for each in path.glob("*") if each.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
    documents = [document for file in files for document in _read(file, namespace)]
    if not documents:
        raise manifest_error(
            path, "there are no manifests", "No file in it ends in .yaml" if path.is_dir() else "It is empty"
        )
    return documents


def _read(file: Path, namespace: str) -> list[Manifest]:
    documents: list[Manifest] = []
    number = 0
    try:
        with file.open(encoding="utf-8") as text:
            for number, body in enumerate(yaml.load_all(text, _StrictLoader), 1):  # a SafeLoader
                if body is not None:  # an empty document
                    _check_shape(f"{file}, document {number}", body, namespace)
                    documents.append(Manifest(file, number, body))
    except (OSError, UnicodeDecodeError) as error:
        raise manifest_error(file, "the manifest cannot be read", str(error)) from error
    except yaml.YAMLError as error:
        where = f"{file}, document {number + 1}"
        raise manifest_error(where, "this is not YAML", " ".join(str(error).split())) from None
    return documents


def _check_shape(where: str, body: Any, namespace: str) -> None:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not (isinstance(metadata, dict) and all(isinstance(body.get(key), str) for key in ("apiVersion", "kind"))):
        raise manifest_error(where, "this is not a Kubernetes object", "It must have apiVersion, kind and metadata")
    if not isinstance(metadata.get("name"), str):
        raise manifest_error(
            where, "this object has no name", f"metadata.name is {metadata.get('name')!r}, not a string"
        )
    kind, api = body["kind"], body["apiVersion"]
    if kind not in RELEASE_KINDS:
        raise manifest_error(where, f"a release cannot have a {kind}", f"Supported kinds: {', '.join(RELEASE_KINDS)}")
    if api != RELEASE_KINDS[kind][0]:
        raise manifest_error(
            where, f"{kind} of {api} is not supported", f"Expected apiVersion {RELEASE_KINDS[kind][0]}"
        )
    if metadata.get("namespace", namespace) != namespace:
        why = f"Its namespace is {metadata['namespace']}, but kubernetes.namespace in environment.yaml is {namespace}"
        raise manifest_error(where, "this object is in another namespace", why)
    for place in ("labels", "annotations"):
        values = metadata.get(place, {})
        if not (isinstance(values, dict) and all(isinstance(part, str) for pair in values.items() for part in pair)):
            raise manifest_error(
                where, f"metadata.{place} is not valid", "Every key and value must be a string (put it in quotes)"
            )
    if kind != "ServiceAccount" and not isinstance(body.get("spec"), dict):
        raise manifest_error(where, f"this {kind} has no spec", "Only a ServiceAccount may be without one")


def manifest_error(where: object, what: str, why: str) -> DeploymentError:
    """The error for a manifest that cannot be used; nothing was sent."""
    return DeploymentError(what, where=str(where), why=why, do="correct the manifest. Nothing was sent")
