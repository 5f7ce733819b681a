"""`alerts` in `environment.yaml`: where alerts go, which, and when.

Tokens and the addresses of webhooks are credentials: they stand in environment variables only.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, field_validator, model_validator

from bridge_assets.settings.base import StrictModel

#: Name of the destination that takes what no other does. Without it, the webhook in SLACK_WEBHOOK_URL does.
DEFAULT_DESTINATION = "default"

#: Environment variable with the token of Slack's app, for destinations that are channels.
TOKEN_VARIABLE = "SLACK_TOKEN"  # noqa: S105  (the name of a variable, not a token)

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^SLACK_[A-Z0-9_]+$")]
_To = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_-]*|SLACK_[A-Z0-9_]+)$")]
_Time = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")]


class DestinationSettings(StrictModel):
    """A channel of Slack (with the app's token), or an incoming webhook."""

    channel: str = Field(
        default="", description="Name (#bridge-alerts) or id of a channel that the app is a member of."
    )
    webhook: _Variable | Literal[""] = Field(default="", description="Environment variable that holds the webhook.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.channel) == bool(self.webhook):
            raise ValueError("a destination has either a channel or a webhook")
        return self


class AssetRoute(StrictModel):
    """Alerts about a selection of assets go to a destination."""

    assets: str = Field(description='A selection as in the Dagster UI, such as `group:5_endpoints` or `key:"raw_*"`.')
    to: _To


class QuietHours(StrictModel):
    """Hours in which only urgent alerts are sent; the others are sent as one digest afterwards."""

    time_zone: str = Field(default="UTC", description="IANA name, such as America/New_York.")
    start: _Time = Field(default="", description='Such as "19:00"; empty = only whole_days are quiet.')
    end: _Time = Field(default="", description='Such as "07:00", on the next day if it is not after start.')
    whole_days: tuple[Weekday, ...] = Field(default=(), description="Days that are quiet all day, such as [sat, sun].")
    urgent_assets: str = Field(
        default='group:"5_endpoints"',
        description="Selection of assets whose checks of severity ERROR are told at once; empty = of none.",
    )
    urgent_kinds: tuple[str, ...] = Field(
        default=("override", "acknowledgement"),
        description="Kinds that are sent at once: override, acknowledgement, run_failed, check_failed, tick_failed ...",
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError("not a time zone of the IANA database; expected a name such as America/New_York") from None
        return name

    @model_validator(mode="after")
    def _start_and_end(self) -> Self:
        if bool(self.start) != bool(self.end):
            raise ValueError("quiet hours need both start and end")
        if self.start and self.start == self.end:
            raise ValueError("start equals end; for whole days, use whole_days")
        if len(set(self.whole_days)) == 7:
            raise ValueError("every day is quiet: nothing would ever be sent")
        return self

    @property
    def enabled(self) -> bool:
        return bool(self.start or self.whole_days)


class AlertSettings(StrictModel):
    """Where alerts go, which, and when."""

    ui_address: str = Field(
        default="",
        pattern=r"^(https?://[^\s]+)?$",
        description="Address of the Dagster UI, for links in alerts; empty = no links.",
    )
    destinations: dict[_Name, DestinationSettings] = Field(
        default={},
        description="Name -> channel or webhook. `default` takes what is not routed; otherwise SLACK_WEBHOOK_URL does.",
    )
    owners: dict[str, _To] = Field(
        default={},
        description=(
            "Owner of an asset -> a destination, or an environment variable that holds its webhook. Alerts of other "
            "owners, or of one whose variable is not set, go to the default."
        ),
    )
    assets: tuple[AssetRoute, ...] = Field(
        default=(), description="Alerts by asset. The first selection that fits wins, before the owner."
    )
    warnings: tuple[str, ...] = Field(
        default=("drift_report", "realised_quality"),
        description="Assets whose failed checks of severity WARN are told too; `*` stands for any characters.",
    )
    late_year_days: int = Field(
        default=16, ge=0, le=365, description="Days after 15 June after which a missing survey year is told as late."
    )
    probe_hours: float = Field(
        default=3,
        gt=0,
        description="Hours without a result of an enabled endpoint's canary, while smoke_checks is on, that are told.",
    )
    digest_above: int = Field(default=10, ge=1, description="More waiting alerts than this are sent as one digest.")
    quiet_hours: QuietHours = QuietHours()
    slack_api_address: str = Field(
        default="https://slack.com/api/",
        pattern=r"^https?://[^\s]+/$",
        description="For channels. GovSlack: https://slack-gov.com/api/.",
    )

    @model_validator(mode="after")
    def _destinations_exist(self) -> Self:
        named = {**self.owners, **{route.assets: route.to for route in self.assets}}
        for who, to in named.items():
            if not to.startswith("SLACK_") and to not in self.destinations:
                known = ", ".join(sorted(self.destinations)) or "none is defined"
                raise ValueError(f"{who}: there is no destination {to} in alerts.destinations ({known})")
        return self
