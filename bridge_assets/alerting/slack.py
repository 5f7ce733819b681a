"""Send messages to a Slack channel through an incoming webhook (https://api.slack.com/messaging/webhooks)."""

from __future__ import annotations

import os

from bridge_assets.errors import AlertError

#: The webhook's address is a credential, so it is read only from the environment. Unset = no alert is sent.
WEBHOOK_VARIABLE = "SLACK_WEBHOOK_URL"

#: Characters. Slack truncates longer texts (https://api.slack.com/changelog/2018-04-truncating-really-long-messages).
_MAX_TEXT_LENGTH = 40_000

_MAX_RETRIES, _TIMEOUT_SECONDS = 4, 10

_CHECK_WEBHOOK = f"check {WEBHOOK_VARIABLE}"


def send_slack_alert(msg: str, webhook_url: str) -> None:
    """Send a message.

    Throttled requests (429) are retried after the time that Slack specifies, and server errors are retried too.

    Parameters
    ----------
    msg : str
        Plain text; `<`, `>` and `&`, which Slack would read as links and mentions, are escaped.
    webhook_url : str
        The incoming webhook.

    Raises
    ------
    AlertError
        If Slack cannot be reached or rejects the message. The error does not contain the address.
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
            response = session.post(webhook_url, json={"text": text}, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise AlertError("Slack cannot be reached", why=type(error).__name__, do=_CHECK_WEBHOOK) from None
    if not response.ok:
        message = " ".join(response.text.split())[:200]
        raise AlertError("Slack rejected the message", why=f"{response.status_code} {message}", do=_CHECK_WEBHOOK)


def alert(msg: str) -> bool:
    """Send a message if `SLACK_WEBHOOK_URL` is set; returns whether it was sent. Raises AlertError as above."""
    webhook = os.environ.get(WEBHOOK_VARIABLE, "")
    if webhook:
        send_slack_alert(msg, webhook)
    return bool(webhook)
