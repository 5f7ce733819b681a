"""Send messages to a channel with the token of a Slack app: `chat.postMessage`
(https://docs.slack.dev/reference/methods/chat.postMessage).

The client is built by the caller, from dagster-slack's `SlackResource`. The token appears in no message, error or log
line.
"""

from __future__ import annotations

import http.client
import urllib.error
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.alerting.slack import RETRIED_STATUSES, Delivery, without_secrets

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError

#: What Slack rejects about a message, so that the next one may pass
#: (https://docs.slack.dev/reference/methods/chat.postMessage#errors).
_UNACCEPTABLE = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
        "invalid_charset",
        "markdown_text_conflict",
    }
)

#: Errors that pass by themselves, and whether the message may have been posted: "It's possible some aspect of the
#: operation succeeded before the error was raised", as Slack says of two of them.
_TEMPORARY = {
    "rate_limited": False,
    "ratelimited": False,
    "service_unavailable": False,
    "team_added_to_org": False,
    "request_timeout": False,
    "fatal_error": True,
    "internal_error": True,
}

_REMEDIES = {
    "not_in_channel": "invite the app to the channel (/invite)",
    "channel_not_found": "correct the channel in environment.yaml, or invite the app if it is private",
    "is_archived": "unarchive the channel, or name another one in environment.yaml",
    "invalid_auth": "put a valid token into SLACK_TOKEN",
    "not_authed": "put a token into SLACK_TOKEN",
    "token_revoked": "install the app again, and put its new token into SLACK_TOKEN",
    "token_expired": "put a new token into SLACK_TOKEN",
    "account_inactive": "install the app again, and put its new token into SLACK_TOKEN",
    "missing_scope": "give the app the scope chat:write, and install it again",
}


def post_to_channel(client: WebClient, channel: str, text: str, blocks: Sequence[dict[str, Any]]) -> Delivery:
    """Make one request. Never raises.

    Parameters
    ----------
    client : slack_sdk.WebClient
        Without retry handlers of its own: those repeat a request that Slack may have accepted.
    channel : str
        Name or id.
    text : str
        What notifications show, and what stands where blocks cannot be shown; as `slack_text` returns it.
    blocks : sequence of dict
        As `slack_blocks` returns them.
    """
    from slack_sdk.errors import SlackApiError

    try:
        client.chat_postMessage(channel=channel, text=text, blocks=list(blocks), unfurl_links=False)
    except SlackApiError as error:
        return _rejected(client, channel, error)
    except Exception as error:  # an alert must not break a run, and the error's text can hold the token
        return _not_answered(error)
    return Delivery(True)


def _rejected(client: WebClient, channel: str, error: SlackApiError) -> Delivery:
    """Slack answered, and not with ok."""
    data, status = error.response.data, error.response.status_code
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if not code.replace("_", "").isalnum():  # the page of a proxy, or no body
        code = ""
    retried = status in RETRIED_STATUSES
    temporary = retried or code in _TEMPORARY
    remedy = "" if temporary else f": {_REMEDIES.get(code, 'check SLACK_TOKEN and the channel in environment.yaml')}"
    answer = without_secrets(code, client.token or "") or f"status {status}, and not in Slack's form"
    retry_after = next((value for name, value in error.response.headers.items() if name.lower() == "retry-after"), "")
    return Delivery(
        False,
        f"Slack rejected the message to {channel} with {answer}{remedy}",
        temporary=temporary,
        unacceptable=code in _UNACCEPTABLE,
        uncertain=_TEMPORARY.get(code, False) and not retried,
        retry_after=float(retry_after) if str(retry_after).strip().isdecimal() else 0.0,
    )


def _not_answered(error: Exception) -> Delivery:
    """No answer came. What failed before the whole request was sent is certain to be undelivered."""
    if isinstance(error, urllib.error.URLError):  # raised only while urllib connects and sends
        return Delivery(False, f"Slack cannot be reached ({type(error.reason).__name__})", temporary=True)
    if isinstance(error, OSError | http.client.HTTPException):
        return Delivery(False, "Slack did not answer, and may have the message", temporary=True, uncertain=True)
    return Delivery(False, f"The message could not be sent ({type(error).__name__}): check SLACK_TOKEN")
