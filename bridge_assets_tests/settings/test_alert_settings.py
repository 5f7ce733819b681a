"""The alerts' settings: what the documentation shows is valid, and what cannot work is an error that says why."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from bridge_assets.errors import SettingsError
from bridge_assets.settings.alerts import AlertSettings
from bridge_assets.settings.environment import EnvironmentSettings
from bridge_assets.settings.operations import RetentionSettings

DOCS = Path(__file__).parents[2] / "docs"


def documented(page: str) -> dict:
    text = (DOCS / page).read_text(encoding="utf-8")
    return yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])


def test_the_documented_settings_are_valid():
    alerts = AlertSettings.model_validate(documented("alerts.md")["alerts"])
    assert alerts.destinations["models"].channel == "#bridge-models"
    assert RetentionSettings.model_validate(documented("operations.md")["retention"]) == RetentionSettings()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"destinations": {"default": {}}}, "either a channel or a webhook"),
        ({"destinations": {"a": {"channel": "#x", "webhook": "SLACK_A"}}}, "either a channel or a webhook"),
        ({"destinations": {"a": {"webhook": "https://hooks.slack.com/services/x"}}}, "destinations.a.webhook"),
        ({"owners": {"team:a": "b"}}, "team:a: there is no destination b in alerts.destinations (none is defined)"),
        ({"assets": [{"assets": "x", "to": "b"}]}, "x: there is no destination b"),
        ({"quiet_hours": {"start": "20:00"}}, "need both start and end"),
        ({"quiet_hours": {"start": "20:00", "end": "20:00"}}, "use whole_days"),
        ({"quiet_hours": {"start": "8pm", "end": "06:00"}}, "quiet_hours.start"),
        ({"quiet_hours": {"time_zone": "Mars/Olympus"}}, "America/New_York"),
        ({"quiet_hours": {"whole_days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}}, "every day is quiet"),
        ({"warnigns": []}, "warnigns"),
    ],
)
def test_what_cannot_work_is_an_error_that_names_the_key(tmp_path, values, says):
    (tmp_path / "environment.yaml").write_text(yaml.safe_dump({"alerts": values}))
    with pytest.raises(SettingsError) as refused:
        EnvironmentSettings.load(tmp_path)
    assert says in str(refused.value)


def test_a_token_cannot_stand_in_the_file():
    with pytest.raises(ValidationError):
        AlertSettings.model_validate({"token": "xoxb-1"})


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"destinations": {"a": {"webhook": "https://hooks.slack.com/services/T0/B0/secret"}}}, "hooks.slack.com/..."),
        (
            {"owners": {"team:a": "https://user:secret@hooks.slack.com/services/secret"}},
            "'https://hooks.slack.com/...'",
        ),
        ({"destinations": {"a": {"channel": "", "webhook": "xoxb-1-secret"}}}, "xox..."),
        ({"ui_address": "http://secret:secret@ui/ secret/x"}, "ui/"),
    ],
)
def test_a_credential_that_was_pasted_into_the_file_is_not_repeated(tmp_path, values, shown):
    (tmp_path / "environment.yaml").write_text(yaml.safe_dump({"alerts": values}))
    with pytest.raises(SettingsError) as refused:
        EnvironmentSettings.load(tmp_path)
    assert shown in str(refused.value)
    assert "secret" not in str(refused.value).replace(" secret/x", "")
