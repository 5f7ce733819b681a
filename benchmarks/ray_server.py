"""Ray Serve with HAProxy, one replica, as a server of `request_path`: the same app, from a local endpoint."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving import Contender

if TYPE_CHECKING:
    from benchmarks.request_path import PackedModel

RAY = "Ray Serve, HAProxy"


def ray_server(model: PackedModel) -> tuple[str, Contender]:
    """Name and server for a packed model, which is put where a local endpoint has its versions."""
    home = model.package.parent / "ray_home"
    endpoint, name = home / "endpoints" / "local", model.bundle.slot
    shutil.copytree(model.package, endpoint / "versions" / name)
    (endpoint / "current").symlink_to(Path("versions") / name)
    options = ["--ray", "--haproxy", "--min-replicas", "1", "--max-replicas", "1"]
    command = [str(Path(sys.executable).parent / "bridge-assets"), "serve", *options, "--port"]
    return RAY, Contender(
        lambda port: [*command, str(port)],
        {"BRIDGE_ASSETS_DATA__HOME": str(home)},
        "/predict",
        {"instances": [model.row]},
        lambda reply: reply["predictions"],
    )
