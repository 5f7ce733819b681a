"""Where a message goes: an incoming webhook, or a channel with the token of an app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bridge_assets.alerting.channel import post_to_channel
from bridge_assets.alerting.slack import Delivery, post

if TYPE_CHECKING:
    from slack_sdk import WebClient


class Destination(Protocol):
    """Takes a message."""

    def post(self, text: str, blocks: Sequence[dict[str, Any]]) -> Delivery:
        """Make one request, and say what became of it. Never raises."""
        ...


@dataclass(frozen=True)
class Webhook:
    """An incoming webhook. The address is a credential."""

    address: str = field(repr=False)

    def post(self, text: str, blocks: Sequence[dict[str, Any]]) -> Delivery:
        return post(text, self.address, blocks)


@dataclass(frozen=True)
class Channel:
    """A channel, through the client of a Slack app."""

    client: WebClient = field(repr=False)
    channel: str

    def post(self, text: str, blocks: Sequence[dict[str, Any]]) -> Delivery:
        return post_to_channel(self.client, self.channel, text, blocks)
