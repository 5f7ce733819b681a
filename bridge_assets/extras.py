"""How to install an optional extra where this package is installed.

The package is not on PyPI, so `pip install 'bridge-assets[aws]'` finds nothing unless it came from an index.
"""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

_PACKAGE = "bridge-assets"


def install_command(extra: str) -> str:
    """The shell command that installs an extra into the running Python's environment.

    Parameters
    ----------
    extra : str
        Such as `aws`.

    Returns
    -------
    str
        It names the checkout or the wheel that this package was installed from; if that is gone, the libraries of the
        extra; the package alone if it came from an index.
    """
    arguments = " ".join(map(shlex.quote, _arguments(extra)))
    if find_spec("pip") is None:  # an environment made by uv
        return f"uv pip install --python {shlex.quote(sys.executable)} {arguments}"
    return f"{shlex.quote(sys.executable)} -m pip install {arguments}"


def _arguments(extra: str) -> list[str]:
    try:
        installed = distribution(_PACKAGE)
    except PackageNotFoundError:  # run from a folder on the path
        return [f"{_PACKAGE}[{extra}]"]
    origin = _origin(installed)
    if "url" not in origin:
        return [f"{_PACKAGE}[{extra}]"]
    if not _exists(origin["url"]):
        return _libraries(installed, extra)
    if origin.get("dir_info", {}).get("editable"):
        return ["--editable", f"{_local_path(origin['url'])}[{extra}]"]
    return [f"{_PACKAGE}[{extra}] @ {origin['url']}"]


def _origin(installed: Distribution) -> dict[str, Any]:
    """Where the package was installed from (PEP 610); empty for an index."""
    return json.loads(installed.read_text("direct_url.json") or "{}")


def _exists(url: str) -> bool:
    return urlsplit(url).scheme != "file" or _local_path(url).exists()


def _local_path(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _libraries(installed: Distribution, extra: str) -> list[str]:
    requirements = [requirement.partition(";") for requirement in installed.requires or []]
    names = [name.strip() for name, _, marker in requirements if f"'{extra}'" in marker.replace('"', "'")]
    return names or [f"{_PACKAGE}[{extra}]"]
