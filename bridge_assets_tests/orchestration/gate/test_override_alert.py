"""The alert of an override survives that Slack is down, and never breaks the deployment."""

from collections.abc import Iterator

import dagster as dg
import pytest
from support.alerting.slack_receiver import slack_receiver

from bridge_assets.alerting.outbox import Outbox
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.orchestration.gate.overrides import OVERRIDE_TAG, record_override

REASON = "Agreed with the bridge office on Monday"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def deploy_with_override(instance: dg.DagsterInstance, outbox: Outbox) -> tuple[str, str]:
    """The run's id and log."""

    @dg.asset
    def local_endpoint(context: dg.AssetExecutionContext) -> None:
        record_override(context, "deploying to local_endpoint", Override(REASON), outbox)

    result = dg.materialize([local_endpoint], instance=instance)
    assert result.success
    return result.run_id, "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


@pytest.mark.parametrize(
    "answer", [(500, {}, ""), (404, {}, "no_service"), (429, {"Retry-After": "0"}, "rate_limited")]
)
def test_an_override_is_kept_until_slack_has_it(instance, tmp_path, monkeypatch, answer):
    outbox = Outbox(tmp_path / "alerts")
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        slack.queued_responses = [answer]
        run_id, log = deploy_with_override(instance, outbox)
        assert slack.messages == []
        assert outbox.flush({"SLACK_WEBHOOK_URL": slack.url}).delivered == 1
        [text] = slack.messages
    assert REASON in text
    assert "deploying to local_endpoint" in text
    assert run_id in text
    assert str(answer[0]) in log
    assert "secret" not in log


def test_without_a_destination_nothing_is_kept(instance, tmp_path):
    deploy_with_override(instance, Outbox(tmp_path / "alerts"))
    assert not (tmp_path / "alerts").exists()


def test_an_outbox_that_cannot_be_written_breaks_nothing_and_the_alert_is_sent(instance, tmp_path, monkeypatch):
    (tmp_path / "alerts").write_text("a file where the folder should be")
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        _, log = deploy_with_override(instance, Outbox(tmp_path / "alerts"))
        assert len(slack.messages) == 1
    assert "the alert was sent and is not kept on disk" in log


def test_the_run_is_tagged(instance, tmp_path):
    run_id, _ = deploy_with_override(instance, Outbox(tmp_path / "alerts"))
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags[OVERRIDE_TAG] == REASON
