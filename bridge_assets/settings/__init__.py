"""Typed settings: `configs/*.yaml`, every value overridden by an environment variable.

`source` of data_config.yaml is overridden by `BRIDGE_ASSETS_DATA__SOURCE`, `forest.trees` of model_config.yaml by
`BRIDGE_ASSETS_MODEL__FOREST__TREES`: the file's name, then the keys, joined by two underscores. An unknown key, or a
value of the wrong type, is an error that names the file, the key and what was expected.
"""

from __future__ import annotations

from bridge_assets.settings.base import StrictModel, YamlSettings
from bridge_assets.settings.data import (
    FIRST_NBI_YEAR,
    LAST_DELIMITED_YEAR,
    DataSettings,
    FhwaSettings,
    NationalFile,
    SampleSettings,
    SurveyYears,
)
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
    DriftSettings,
    EvaluationSettings,
    ForestSettings,
    GateSettings,
    LookFirstSettings,
    ModelSettings,
    SplitSettings,
    SurvivalSettings,
)
from bridge_assets.settings.registries import DvcSettings, MlflowSettings

__all__ = [
    "CONFIG_FOLDER_VARIABLE",
    "FIRST_NBI_YEAR",
    "LAST_DELIMITED_YEAR",
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
    "SampleSettings",
    "SplitSettings",
    "StrictModel",
    "SurveyYears",
    "SurvivalSettings",
    "YamlSettings",
    "config_file",
    "config_folder",
    "dbt_project_folder",
    "dbt_target_folder",
    "project_file",
    "project_folder",
    "shipped_project",
    "workspace_file",
]
