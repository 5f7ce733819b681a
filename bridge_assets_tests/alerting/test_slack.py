"""A message arrives once, in plain text; an error has the reason but not the secret in the address."""

from __future__ import annotations

import pytest
from support.slack_receiver import slack_receiver

from bridge_assets.alerting.slack import alert, send_slack_alert
from bridge_assets.errors import AlertError


def test_characters_that_slack_interprets_are_escaped():
    with slack_receiver() as slack:
        send_slack_alert("bridge <!channel> 5 > 4 & O'NEAL ROAD", slack.url)
        assert slack.messages == ["bridge &lt;!channel&gt; 5 &gt; 4 &amp; O'NEAL ROAD"]


def test_throttled_and_failed_requests_are_retried():
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "0"}, "rate_limited"), (503, {}, "")]
        send_slack_alert("again", slack.url)
        assert (slack.request_count, slack.messages) == (3, ["again"])


@pytest.mark.parametrize(("status", "reason"), [(404, "no_service"), (400, "invalid_payload")])
def test_a_rejection_has_the_reason_from_slack_but_not_the_address(status, reason):
    with slack_receiver() as slack:
        slack.queued_responses = [(status, {}, reason)]
        with pytest.raises(AlertError, match=f"{status} {reason}.*SLACK_WEBHOOK_URL") as caught:
            send_slack_alert("x", slack.url)
    assert "secret" not in str(caught.value)


def test_an_unreachable_address_is_not_part_of_the_error():
    with pytest.raises(AlertError, match="cannot be reached") as caught:
        send_slack_alert("x", "http://127.0.0.1:9/services/secret")
    assert "secret" not in str(caught.value)


def test_without_an_address_nothing_is_sent(monkeypatch):
    assert alert("x") is False
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        assert alert("x") is True
        assert slack.messages == ["x"]
