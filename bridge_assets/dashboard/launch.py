"""The command that starts Streamlit: on this machine only, without usage statistics, in the colours of the reports."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from bridge_assets.dashboard.theme import theme_options
from bridge_assets.errors import MissingExtraError
from bridge_assets.extras import install_command
from bridge_assets.settings import DashboardSettings

SCRIPT = Path(__file__).with_name("streamlit_dashboard.py")

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def streamlit_command(settings: DashboardSettings, host: str, port: int) -> list[str]:
    """The command line that serves the dashboard.

    Parameters
    ----------
    settings : DashboardSettings
    host : str
        Address to listen on.
    port : int

    Raises
    ------
    MissingExtraError
        If Streamlit is not installed.
    """
    if find_spec("streamlit") is None:
        raise MissingExtraError(
            "the dashboard cannot start", why="Streamlit is not installed", do=f"run {install_command('dashboard')}"
        )
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "server.enableStaticServing": "true",  # static/, for the outlines of the map
        "server.showEmailPrompt": "false",
        "server.maxUploadSize": "1",  # MB; nothing is uploaded
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",  # a reader sees no stack trace
        "logger.hideWelcomeMessage": "true",
        "global.showWarningOnDirectExecution": "false",
        **theme_options(settings),
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    # A page of another site whose name was pointed at this machine (DNS rebinding) is refused.
    arguments += [f"--server.allowedHosts={name}" for name in _hosts(settings, host)]
    return [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *arguments]


def _hosts(settings: DashboardSettings, host: str) -> list[str]:
    from urllib.parse import urlsplit

    own = urlsplit(settings.address).hostname
    if host not in LOOPBACK and own is None:
        return []  # it may be reached under any name
    return [*LOOPBACK, *([own] if own else []), *([host] if host not in LOOPBACK else [])]
