"""A message arrives once, in plain text, or it is said why not, without the secret in the address."""

from __future__ import annotations

import pytest
from support.slack_receiver import slack_receiver

from bridge_assets.alerting.slack import alert, send_slack_alert
from bridge_assets.errors import AlertError


def test_a_message_arrives_with_what_slack_would_interpret_escaped():
    with slack_receiver() as slack:
        send_slack_alert("bridge <!channel> 5 > 4 & O'NEAL ROAD", slack.url)
        assert slack.messages == ["bridge &lt;!channel&gt; 5 &gt; 4 &amp; O'NEAL ROAD"]


def test_throttling_and_a_failing_server_are_waited_for():
    with slack_receiver() as slack:
        slack.queued_responses = [(429, {"Retry-After": "0"}, "rate_limited"), (503, {}, "")]
        send_slack_alert("again", slack.url)
        assert (slack.request_count, slack.messages) == (3, ["again"])


@pytest.mark.parametrize(("status", "said"), [(404, "no_service"), (400, "invalid_payload")])
def test_a_refusal_says_what_slack_said_and_keeps_the_address_to_itself(status, said):
    with slack_receiver() as slack:
        slack.queued_responses = [(status, {}, said)]
        with pytest.raises(AlertError, match=f"{status} {said}.*SLACK_WEBHOOK_URL") as caught:
            send_slack_alert("x", slack.url)
    assert "secret" not in str(caught.value)


def test_nobody_there_is_said_without_the_address():
    with pytest.raises(AlertError, match="cannot be reached") as caught:
        send_slack_alert("x", "http://127.0.0.1:9/services/secret")
    assert "secret" not in str(caught.value)


def test_without_an_address_nothing_is_sent(monkeypatch):
    assert alert("x") is False
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        assert alert("x") is True
        assert slack.messages == ["x"]
