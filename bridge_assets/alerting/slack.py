"""A message to a Slack channel, by an incoming webhook (https://api.slack.com/messaging/webhooks)."""

from __future__ import annotations

import os

from bridge_assets.errors import AlertError

#: The address of the webhook is a credential: it comes from the environment alone. Unset = no alert is sent.
WEBHOOK_VARIABLE = "SLACK_WEBHOOK_URL"

#: Slack cuts a text beyond this (https://api.slack.com/changelog/2018-04-truncating-really-long-messages).
_MAX_TEXT_LENGTH = 40_000

_MAX_RETRIES, _TIMEOUT_SECONDS = 4, 10


def send_slack_alert(msg: str, webhook_url: str) -> None:
    """Send a message.

    Parameters
    ----------
    msg : str
        Plain text: what Slack would take for a link or a mention (`<`, `>`, `&`) is escaped, as its documentation asks.
    webhook_url : str
        The incoming webhook.

    Raises
    ------
    AlertError
        If Slack cannot be reached or refuses the message. Throttling (429) is waited for as long as Slack asks, and a
        failure of its servers is tried again.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    text = msg.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:_MAX_TEXT_LENGTH]
    retry = Retry(
        _MAX_RETRIES,
        connect=1,
        backoff_factor=0.5,
        backoff_max=10,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
    )
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        try:
            answer = session.post(webhook_url, json={"text": text}, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise AlertError(f"Slack cannot be reached: {type(error).__name__}. Check {WEBHOOK_VARIABLE}") from None
    if not answer.ok:
        message = " ".join(answer.text.split())[:200]
        raise AlertError(f"Slack refused the message: {answer.status_code} {message}. Check {WEBHOOK_VARIABLE}")


def alert(msg: str) -> bool:
    """Send a message where `SLACK_WEBHOOK_URL` is set; returns whether it was sent. Raises AlertError as above."""
    webhook = os.environ.get(WEBHOOK_VARIABLE, "")
    if webhook:
        send_slack_alert(msg, webhook)
    return bool(webhook)
