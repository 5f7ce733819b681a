"""The resource that gives assets the settings and the lake. Creating it reads nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import dagster as dg
from pydantic import Field

from bridge_assets.alerting.outbox import Outbox
from bridge_assets.data.lake import Lake
from bridge_assets.errors import SettingsError
from bridge_assets.settings import DataSettings, DvcSettings, MlflowSettings, ModelSettings
from bridge_assets.settings.dashboard import DashboardSettings
from bridge_assets.settings.environment import EnvironmentSettings
from bridge_assets.storage import private_folder


class Platform(dg.ConfigurableResource):
    """The typed settings: `configs/*.yaml`, overridden by environment variables, read again on every access."""

    config_folder: str = Field(
        default="",
        description=(
            "Folder of the configuration files; their relative paths start from the folder that holds it. "
            "Empty = the folder that BRIDGE_ASSETS_CONFIGS names, else configs/."
        ),
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Before a run writes: close models and endpoints to other users, remove what killed runs left in the lake."""
        # No teardown: it would make this a resource that sensors and schedules can only use in a `with` block.
        if context.run is None:
            return
        self.close_to_others()
        with suppress(SettingsError, OSError):
            if removed := self.lake.remove_leftovers():
                message = (
                    f"removed {len(removed)} unfinished files of killed runs from the lake: {', '.join(removed[:20])}"
                )
                (context.log or dg.get_dagster_logger()).info(message)

    def close_to_others(self) -> None:
        """Close models and endpoints, and what libraries wrote there with the umask, to other users."""
        with suppress(SettingsError, OSError):  # the step meets the same, and says what to do
            data = self.data
            for folder in (data.models_folder, data.endpoint_folder.parent):
                private_folder(folder)

    @property
    def data(self) -> DataSettings:
        return DataSettings.load(self._config_folder)

    @property
    def model(self) -> ModelSettings:
        return ModelSettings.load(self._config_folder)

    @property
    def mlflow(self) -> MlflowSettings:
        return MlflowSettings.load(self._config_folder)

    @property
    def dvc(self) -> DvcSettings:
        return DvcSettings.load(self._config_folder)

    @property
    def registry(self) -> MlflowSettings | DvcSettings:
        """Where model versions are registered (`registry` in model_config.yaml)."""
        return self.dvc if self.model.registry == "dvc" else self.mlflow

    @property
    def environment(self) -> EnvironmentSettings:
        return EnvironmentSettings.load(self._config_folder)

    @property
    def dashboard(self) -> DashboardSettings:
        return DashboardSettings.load(self._config_folder)

    @property
    def lake(self) -> Lake:
        return Lake(self.data.lake)

    @property
    def outbox(self) -> Outbox:
        """The alerts that wait for Slack."""
        return Outbox(self.data.alerts_folder)

    @property
    def _config_folder(self) -> Path | None:
        return Path(self.config_folder).absolute() if self.config_folder else None
