"""What assets need from outside: the settings and the lake. Nothing here touches the network or the disk when it
loads.
"""

from __future__ import annotations

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.settings import DataSettings, DvcSettings, MlflowSettings, ModelSettings
from bridge_assets.settings.environment import EnvironmentSettings


class Platform(dg.ConfigurableResource):
    """The typed settings (`configs/*.yaml` under environment variables), read anew in every run."""

    @property
    def data(self) -> DataSettings:
        return DataSettings.load()

    @property
    def model(self) -> ModelSettings:
        return ModelSettings.load()

    @property
    def mlflow(self) -> MlflowSettings:
        return MlflowSettings.load()

    @property
    def dvc(self) -> DvcSettings:
        return DvcSettings.load()

    @property
    def registry(self) -> MlflowSettings | DvcSettings:
        """Where model versions are registered (`registry` in model_config.yaml)."""
        return self.dvc if self.model.registry == "dvc" else self.mlflow

    @property
    def environment(self) -> EnvironmentSettings:
        return EnvironmentSettings.load()

    @property
    def lake(self) -> Lake:
        return Lake(self.data.lake)
