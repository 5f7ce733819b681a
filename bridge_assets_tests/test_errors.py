"""Every error that a person can act on has the same base class and the same form of message."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bridge_assets.errors import BridgeAssetsError, SettingsError

PRODUCT = Path(__file__).parents[1] / "bridge_assets"

#: Exceptions that never reach a person directly, and why they have another base class.
INTERNAL = {
    "StartError": "container.py runs without the package",
    "RequestError": "becomes an HTTP response",
    "RecordError": "becomes an HTTP response",
    "NoAnswer": "is shown on the page of the interface",
    "LockHeldError": "every caller raises its own error",
    "RetryableError": "is caught by the download that raises it",
}


def exception_classes() -> dict[str, set[str]]:
    """Every exception class of the product, with the names of its base classes."""
    found: dict[str, set[str]] = {}
    for path in PRODUCT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if any(base.endswith(("Error", "Exception")) for base in bases) or bases & found.keys():
                    found[node.name] = bases
    return found


def test_every_error_derives_from_the_same_base_class() -> None:
    classes = exception_classes()

    def has_root(name: str) -> bool:
        return name == BridgeAssetsError.__name__ or any(has_root(base) for base in classes.get(name, ()))

    assert {name for name in classes if not has_root(name)} == set(INTERNAL)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "it is wrong"),
        ({"where": Path("file.yaml")}, "file.yaml: it is wrong"),
        ({"why": "A reason"}, "it is wrong. A reason."),
        ({"do": "mend it"}, "it is wrong. What to do: mend it."),
        (
            {"where": "line 3", "why": "A reason", "do": "mend it", "stage": "onnx_model"},
            "line 3: it is wrong. A reason. What to do: mend it.",
        ),
    ],
)
def test_a_message_says_what_where_why_and_what_to_do(parts, message) -> None:
    error = SettingsError("it is wrong", **parts)
    assert str(error) == message
    assert error.stage == parts.get("stage")
