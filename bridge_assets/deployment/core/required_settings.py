"""Checks that a target has its required settings and libraries.

Does not belong here: checks of settings that only one provider has.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from bridge_assets.errors import NotConfiguredError
from bridge_assets.extras import install_command

SETTINGS_FILE = "configs/environment.yaml"


def environment_variable(section: str, name: str) -> str:
    """The environment variable of a setting in a section of environment.yaml."""
    return f"BRIDGE_ASSETS_ENVIRONMENT__{section.upper()}__{name.upper()}"


def check_configured(
    section: str,
    required: Mapping[str, object],
    extra: str,
    *libraries: str,
    alternatives: Mapping[str, str] | None = None,
) -> None:
    """Raise an error if a target lacks a setting or a library.

    Parameters
    ----------
    section : str
        Section of environment.yaml.
    required : mapping of str to object
        Required setting -> its value.
    extra : str
        The optional extra that installs the libraries.
    libraries : str
        Their import names.
    alternatives : mapping of str to str
        Setting -> the provider's own environment variable, which is used if the setting is empty.

    Raises
    ------
    NotConfiguredError
        Lists what is missing and how to set it.
    """
    alternative_hints = {name: f" (or {other})" for name, other in (alternatives or {}).items()}
    unset = [
        f"{environment_variable(section, name)}{alternative_hints.get(name, '')}"
        for name, given in required.items()
        if not given
    ]
    absent = [library for library in libraries if not _is_installed(library)]
    if not unset and not absent:
        return
    why = [f"Not set: {', '.join(unset)}"] if unset else []
    why += [f"Not installed: {', '.join(absent)}"] if absent else []
    install = f"run `{install_command(extra)}`"
    raise NotConfiguredError(
        "this endpoint is not configured",
        where=f"{SETTINGS_FILE}, {section}",
        why="; ".join(why),
        do=f"set these variables, or their keys in the file, and {install}" if unset else install,
    )


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False
