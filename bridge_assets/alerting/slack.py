"""Send messages to a Slack channel through an incoming webhook
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).

The webhook's address is a credential: whoever has it can post. It appears in no message, error or log line.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.alerting.text import slack_text

if TYPE_CHECKING:
    import requests

#: The webhook's address is read only from the environment. Unset = no alert is sent.
WEBHOOK_VARIABLE = "SLACK_WEBHOOK_URL"

#: Seconds to connect, and to wait for Slack's answer.
_TIMEOUT_SECONDS = 10.0

#: Seconds after which `send_slack_alert` starts no further request. A longer Retry-After is not waited for.
_PATIENCE_SECONDS = 15.0

_MAX_REQUESTS = 4

#: Bytes of an answer that are read. Slack answers `ok` or one word such as `invalid_token`.
_ANSWER_BYTES = 300

#: Answers that pass by themselves. After all others the message is rejected again until a person changes the webhook or
#: the message (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors).
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What became of one request.

    Attributes
    ----------
    delivered : bool
        Slack answered that it has the message.
    problem : str
        Why not, without the address; empty if it was delivered.
    temporary : bool
        The same message may be accepted later: 429, server errors, no connection, no answer.
    unacceptable : bool
        Slack rejects this message (400, 413), so the next one may pass. All other rejections concern the webhook.
    uncertain : bool
        Slack may have the message although it did not say so: the request was sent and no answer came.
    retry_after : float
        Seconds that Slack asked to wait; 0 if it named none.
    """

    delivered: bool
    problem: str = ""
    temporary: bool = False
    unacceptable: bool = False
    uncertain: bool = False
    retry_after: float = 0.0


def send_slack_alert(msg: str, webhook_url: str) -> bool:
    """Send a message, and say whether Slack has it. Never raises: an alert must not break the run that it is about.

    Requests that Slack throttles (429) are repeated after the time that it names, and server errors and refused
    connections after half a second and more, within about 15 s. A request that was sent and not answered is not
    repeated, because Slack may have the message. What went wrong is logged as a warning.

    Parameters
    ----------
    msg : str
        Plain text. Characters that Slack would read as links and mentions are escaped; of more than 3,000 characters
        the rest is cut, and a note says how much.
    webhook_url : str
        The incoming webhook.

    Returns
    -------
    bool
        Whether Slack accepted the message.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    delivery = post(slack_text(msg), webhook_url)
    for number in range(_MAX_REQUESTS - 1):
        wait = max(delivery.retry_after, 0.5 * 2**number)
        if not delivery.temporary or delivery.uncertain or time.monotonic() + wait > deadline:
            break
        time.sleep(wait)
        delivery = post(slack_text(msg), webhook_url)
    if delivery.delivered:
        return True
    _log.warning("An alert was not delivered. %s.", delivery.problem)
    return False


def post(text: str, webhook_url: str, blocks: Sequence[dict[str, Any]] = ()) -> Delivery:
    """Make one request. Never raises.

    Parameters
    ----------
    text : str
        As `slack_text` returns it. With blocks, it is what notifications show.
    webhook_url : str
    blocks : sequence of dict
        As `slack_blocks` returns them; none = Slack shows the text.
    """
    try:
        import requests

        with _without_connection_log(), requests.Session() as session:
            return _post(session, {"text": text, **({"blocks": list(blocks)} if blocks else {})}, webhook_url)
    except Exception as error:  # an alert must not break a run, and the error's text can hold the address
        return Delivery(False, f"The message could not be sent ({type(error).__name__}): check {WEBHOOK_VARIABLE}")


def _post(session: requests.Session, body: dict[str, Any], webhook_url: str) -> Delivery:
    import requests

    try:
        # A redirect is not followed: the message is for the address that was configured.
        with session.post(
            webhook_url, json=body, timeout=_TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as response:
            answer = " ".join(response.raw.read(_ANSWER_BYTES, decode_content=True).decode("utf-8", "replace").split())
    except requests.exceptions.ConnectTimeout:
        return Delivery(False, f"Slack cannot be reached within {_TIMEOUT_SECONDS:g} s", temporary=True)
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
        return Delivery(False, f"Slack cannot be reached ({type(error).__name__})", temporary=True)
    except requests.Timeout:
        problem = f"Slack did not answer within {_TIMEOUT_SECONDS:g} s, and may have the message"
        return Delivery(False, problem, temporary=True, uncertain=True)
    except requests.ConnectionError as error:
        sent = "NewConnectionError" not in repr(error) and "NameResolutionError" not in repr(error)
        problem = "Slack closed the connection, and may have the message" if sent else "Slack cannot be reached"
        return Delivery(False, problem, temporary=True, uncertain=sent)
    if response.status_code == 200:
        return Delivery(True)
    answer = without_secrets(answer, webhook_url, webhook_url.partition("://")[2].partition("/")[2])
    temporary = response.status_code in RETRIED_STATUSES
    remedy = "" if temporary else f": check {WEBHOOK_VARIABLE}"
    return Delivery(
        False,
        f"Slack rejected the message with {response.status_code} {answer[:200]}{remedy}",
        temporary=temporary,
        unacceptable=response.status_code in (400, 413) and answer != "invalid_token",
        retry_after=_seconds(response.headers.get("Retry-After", "")),
    )


def alert(msg: str) -> bool:
    """Send a message if `SLACK_WEBHOOK_URL` is set; returns whether it was delivered. Never raises."""
    webhook = os.environ.get(WEBHOOK_VARIABLE, "")
    return bool(webhook) and send_slack_alert(msg, webhook)


def without_secrets(answer: str, *secrets: str) -> str:
    """An answer of a server that may repeat what it was sent, without that."""
    for secret in filter(None, secrets):
        answer = answer.replace(secret, "...")
    return answer


def _seconds(retry_after: str) -> float:
    """Seconds of a Retry-After header; Slack sends an integer. 0 for anything else."""
    return float(retry_after) if retry_after.strip().isdecimal() else 0.0


@contextmanager
def _without_connection_log() -> Iterator[None]:
    """Keep urllib3 from logging the path of the address, for the requests of this thread."""
    this_thread = threading.get_ident()

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != this_thread

    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(from_elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(from_elsewhere)
