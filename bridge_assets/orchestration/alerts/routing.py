"""Where an alert goes: the destinations that can be reached, and the one for an asset and its owners."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.alerting.destinations import Channel, Destination, Webhook
from bridge_assets.alerting.slack import WEBHOOK_VARIABLE
from bridge_assets.errors import SettingsError
from bridge_assets.settings.alerts import DEFAULT_DESTINATION, TOKEN_VARIABLE, AlertSettings

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
    from slack_sdk import WebClient

#: Seconds to connect, and to wait for Slack's answer, as for webhooks.
_TIMEOUT_SECONDS = 10


def usable_destinations(settings: AlertSettings) -> list[str]:
    """Names of the destinations whose token or webhook is set. Imports nothing of Slack's."""
    token = bool(os.environ.get(TOKEN_VARIABLE, "").strip())
    named = [
        name
        for name, each in settings.destinations.items()
        if (token if each.channel else os.environ.get(each.webhook, "").strip())
    ]
    routed = [*settings.owners.values(), *(route.to for route in settings.assets)]
    variables = dict.fromkeys([WEBHOOK_VARIABLE, *(to for to in routed if to not in settings.destinations)])
    return [*named, *(variable for variable in variables if os.environ.get(variable, "").strip())]


def open_destinations(settings: AlertSettings) -> dict[str, Destination]:
    """The usable destinations by name."""
    opened: dict[str, Destination] = {}
    client = None
    for name in usable_destinations(settings):
        found = settings.destinations.get(name)
        if found and found.channel:
            client = client or _client(settings)
            opened[name] = Channel(client, found.channel)
        else:
            opened[name] = Webhook(os.environ[found.webhook if found else name].strip())
    return opened


def default_destination(usable: Iterable[str]) -> str:
    """The destination of what is not routed; empty = there is none."""
    usable = list(usable)
    return next((name for name in (DEFAULT_DESTINATION, WEBHOOK_VARIABLE) if name in usable), "")


def missing_variable(settings: AlertSettings) -> str:
    """The environment variable that would have to be set for anything to be sent."""
    default = settings.destinations.get(DEFAULT_DESTINATION)
    if default is None:
        return TOKEN_VARIABLE if any(each.channel for each in settings.destinations.values()) else WEBHOOK_VARIABLE
    return TOKEN_VARIABLE if default.channel else default.webhook


def _client(settings: AlertSettings) -> WebClient:
    from dagster_slack import SlackResource

    client = SlackResource(token=os.environ[TOKEN_VARIABLE].strip()).get_client()
    client.base_url, client.timeout = settings.slack_api_address, _TIMEOUT_SECONDS
    # Its own handler repeats a request whose answer was lost, so that the message arrives twice.
    client.retry_handlers = []
    return client


class Routes:
    """Destination of an alert, by asset and owner, in one asset graph.

    Parameters
    ----------
    settings : AlertSettings
    graph : BaseAssetGraph or None
        None = there is none, and everything goes to the default.
    usable : sequence of str
        Destinations that are set.

    Attributes
    ----------
    problems : list of str
        Selections of environment.yaml that cannot be used. They are left out, because the alerts must go on.
    """

    def __init__(self, settings: AlertSettings, graph: BaseAssetGraph | None, usable: Sequence[str]) -> None:
        self.problems: list[str] = []
        self._owners, self._graph, self._usable = settings.owners, graph, usable
        self._routes = [(self._selected(route.assets), route.to) for route in settings.assets]
        self._urgent = self._selected(settings.quiet_hours.urgent_assets if settings.quiet_hours.enabled else "")

    def _selected(self, selection: str) -> frozenset[dg.AssetKey]:
        try:
            return selected(selection, self._graph) if self._graph and selection else frozenset()
        except SettingsError as error:
            self.problems.append(str(error))
            return frozenset()

    def destination(self, assets: Sequence[dg.AssetKey], owners: Sequence[str]) -> str:
        """The first selection's that an asset is in, else the first owner's, else the default; only those that are set.

        Empty = there is none.
        """
        by_asset = [to for keys, to in self._routes if keys.intersection(assets)]
        by_owner = [self._owners[owner] for owner in owners if owner in self._owners]
        return next((to for to in [*by_asset, *by_owner] if to in self._usable), default_destination(self._usable))

    def is_urgent(self, asset: dg.AssetKey) -> bool:
        """Whether its failed checks are sent in quiet hours."""
        return asset in self._urgent

    def owners(self, assets: Sequence[dg.AssetKey]) -> Sequence[str]:
        """Owners of the first asset that is in the graph."""
        graph = self._graph
        return next((graph.get(key).owners for key in assets if graph.has(key)), []) if graph else []


def selected(selection: str, graph: BaseAssetGraph) -> frozenset[dg.AssetKey]:
    """The assets of a selection of environment.yaml.

    Raises
    ------
    SettingsError
        If it cannot be read, or names an asset that does not exist.
    """
    from dagster_shared.error import DagsterError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # beta in 1.13, and pinned
            return frozenset(dg.AssetSelection.from_string(selection).resolve(graph))
    except DagsterError as error:
        raise SettingsError(
            f"alerts: the selection of assets {selection!r} cannot be used",
            where="environment.yaml",
            why=" ".join(str(error).split())[:300],
            do='write it as in the Dagster UI, such as group:"5_endpoints", key:"raw_*" or owner:"team:bridge-data"',
        ) from None
