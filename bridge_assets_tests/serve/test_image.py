"""The container image has everything that serving needs, in the versions of the lock file."""

from __future__ import annotations

import importlib.metadata
import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from bridge_assets.serve import container

PROJECT = Path(__file__).parents[2]


def pins(path: Path) -> dict[str, set[str]]:
    """Name -> pinned versions; more than one if they differ between Python versions."""
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
            found.setdefault(match[1].lower(), set()).add(match[2])
    return found


def test_the_image_has_the_versions_of_the_lock():
    image, lock = pins(PROJECT / "configs" / "serving_requirements.txt"), pins(PROJECT / "requirements-dev.lock")
    assert {name: versions for name, versions in image.items() if not versions <= lock.get(name, set())} == {}
    assert not set(image) & {"dagster", "mlflow", "scikit-learn", "pandas", "numba", "pyarrow"}


def test_the_image_has_all_dependencies_of_its_libraries():
    image = pins(PROJECT / "configs" / "serving_requirements.txt")
    group = tomllib.loads((PROJECT / "pyproject.toml").read_text())["dependency-groups"]["image"]
    todo, seen = [Requirement(root) for root in group], set()
    while todo:
        requirement = todo.pop()
        assert re.sub(r"[-_.]+", "-", requirement.name).lower() in image
        for extra in {"", *requirement.extras} - {extra for name, extra in seen if name == requirement.name}:
            seen.add((requirement.name, extra))
            needs = map(Requirement, importlib.metadata.requires(requirement.name) or [])
            todo += [each for each in needs if not each.marker or each.marker.evaluate({"extra": extra})]


def test_every_line_of_the_list_is_a_pin_or_a_comment():
    lines = (PROJECT / "configs" / "serving_requirements.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[a-z0-9-]+==[0-9a-z.]+", line)] == []


def test_the_list_of_pins_has_no_index_address():
    text = (PROJECT / "configs" / "serving_requirements.txt").read_text()
    assert not re.search(r"://|--index|--find-links", text)


def dockerfile() -> list[tuple[str, str]]:
    """The steps of the Dockerfile: instruction and arguments."""
    text = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_dockerfile_copies_the_context_and_runs_as_an_unnamed_user():
    steps = dict(dockerfile())
    assert steps["FROM"] == "python:3.11-slim"
    assert steps["ENTRYPOINT"] == '["python", "/opt/bridge-assets/container.py"]'
    assert re.fullmatch(r"\d+:\d+", steps["USER"])
    assert steps["USER"] != "0:0"
    copied = [rest.split()[0] for word, rest in dockerfile() if word == "COPY"]
    kept = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)
    assert all((PROJECT / path).is_file() for path in copied)


def test_the_health_check_of_the_image_detects_whether_a_server_answers(client):
    command = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2])
    assert command[0] == "python"
    here = str(Path(container.__file__).parent)
    command = [sys.executable, *(word.replace("/opt/bridge-assets", here) for word in command[1:])]
    with socket.create_server(("127.0.0.1", 0)) as unused:
        ports = [client.base_url.port, unused.getsockname()[1]]
    for port, code in zip(ports, (0, 1), strict=True):
        check = subprocess.run(command, env={"AIP_HTTP_PORT": str(port)}, stderr=subprocess.DEVNULL, check=False)
        assert check.returncode == code
