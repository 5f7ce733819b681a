"""Typed settings from `configs/*.yaml`; an environment variable can override every value.

`BRIDGE_ASSETS_DATA__SOURCE` overrides `source` in data_config.yaml, `BRIDGE_ASSETS_MODEL__FOREST__TREES` overrides
`forest.trees` in model_config.yaml: the name of the file, then the keys, joined by two underscores. An unknown key or a
value of the wrong type is an error that names the file, the key and the expected values.

Belongs here: the contents of the configuration files, and where they are found. Does not belong here: the use of a
value.
"""

from __future__ import annotations

from bridge_assets.settings.base import StrictModel, YamlSettings
from bridge_assets.settings.dashboard import DashboardSettings, PageName, bridge_path
from bridge_assets.settings.data import (
    FIRST_NBI_YEAR,
    LAST_DELIMITED_YEAR,
    DataSettings,
    FhwaSettings,
    NationalFile,
    SampleSettings,
    SurveyYears,
)
from bridge_assets.settings.drift import DriftSettings, PeriodSettings
from bridge_assets.settings.folders import (
    CONFIG_FOLDER_VARIABLE,
    config_file,
    config_folder,
    dbt_project_folder,
    dbt_target_folder,
    project_file,
    project_folder,
    shipped_project,
    workspace_file,
)
from bridge_assets.settings.model import (
    EvaluationSettings,
    ForestSettings,
    GateSettings,
    LookFirstSettings,
    ModelSettings,
    RealisedQualitySettings,
    SplitSettings,
    SurvivalSettings,
)
from bridge_assets.settings.registries import DvcSettings, MlflowSettings

__all__ = [
    "CONFIG_FOLDER_VARIABLE",
    "FIRST_NBI_YEAR",
    "LAST_DELIMITED_YEAR",
    "DashboardSettings",
    "DataSettings",
    "DriftSettings",
    "DvcSettings",
    "EvaluationSettings",
    "FhwaSettings",
    "ForestSettings",
    "GateSettings",
    "LookFirstSettings",
    "MlflowSettings",
    "ModelSettings",
    "NationalFile",
    "PageName",
    "PeriodSettings",
    "RealisedQualitySettings",
    "SampleSettings",
    "SplitSettings",
    "StrictModel",
    "SurveyYears",
    "SurvivalSettings",
    "YamlSettings",
    "bridge_path",
    "config_file",
    "config_folder",
    "dbt_project_folder",
    "dbt_target_folder",
    "project_file",
    "project_folder",
    "shipped_project",
    "workspace_file",
]
