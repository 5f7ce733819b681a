"""`mlflow_config.yaml` and `dvc_config.yaml`: the model registry, and the data and models tracked by DVC."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from bridge_assets.settings.base import YamlSettings


class MlflowSettings(YamlSettings):
    """`mlflow_config.yaml`: where model versions are registered."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_MLFLOW__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "mlflow_config.yaml"

    tracking_uri: str = Field(default="", description="Empty = SQLite in the home folder; or http://host:port.")
    experiment: str = Field(default="bridge_assets")

    def uri(self, home: Path) -> str:
        """The tracking URI; by default a SQLite file in the home folder."""
        return self.tracking_uri or f"sqlite:///{home / 'mlflow.db'}"


class DvcSettings(YamlSettings):
    """`dvc_config.yaml`: survey files and models under DVC; off while `remote` is empty."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_DVC__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "dvc_config.yaml"

    remote: str = Field(default="", description="A local folder or s3://bucket/folder. Empty = DVC is off.")
    # Lower case only: DVC converts `core.remote` to lower case and would not find any other name.
    remote_name: str = Field(default="storage", pattern=r"^[a-z][a-z0-9_-]*$")
    endpoint_url: str = Field(default="", description="Address of an S3 server other than Amazon's.")
    region: str = Field(default="", description="Empty = from the environment.")
    repository: Path = Field(default=Path(), description="Folder of the DVC repository.")
    cache_type: Literal["copy", "reflink,copy"] = "reflink,copy"
    raw_files: bool = Field(default=True, description="Version the source folder and downloaded survey files.")
    models: bool = Field(default=True, description="Version the folder of each registered model version.")

    @property
    def enabled(self) -> bool:
        return bool(self.remote)

    @property
    def repository_folder(self) -> Path:
        return (self.project_folder / self.repository).absolute()
