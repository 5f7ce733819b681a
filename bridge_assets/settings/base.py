"""Reads settings from a YAML file and environment variables, and explains wrong values.

Belongs here: code that all configuration files share. Does not belong here: individual settings.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar, Self, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bridge_assets.errors import SettingsError
from bridge_assets.settings.folders import config_folder, project_folder

#: libyaml where PyYAML was built with it: 47 ms in Python against 3 ms for `data_config.yaml`, read on every access.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_VARIABLES = "BRIDGE_ASSETS_"

#: What follows `BRIDGE_ASSETS_` in the environment variables of each configuration file.
SETTINGS_FILES = ("DATA", "MODEL", "ENVIRONMENT", "MLFLOW", "DVC", "DASHBOARD")


class StrictModel(BaseModel):
    """A section of a configuration file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class YamlSettings(BaseSettings):
    """A configuration file: environment variables take precedence over the file, the file over the defaults.

    Attributes
    ----------
    file_name : str
        Name of the file in the configuration folder.
    """

    file_name: ClassVar[str]
    _config_folder: Path | None = PrivateAttr(default=None)

    @property
    def project_folder(self) -> Path:
        """The folder to which relative paths in these settings refer."""
        return self._config_folder.parent if self._config_folder else project_folder()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the file and the environment variables.

        Parameters
        ----------
        folder : Path, optional
            Folder of the configuration files; `config_folder()` by default.

        Raises
        ------
        SettingsError
            If a value is wrong or a key is unknown. The message names the file or variable, the key, and the expected
            value.
        """
        path = (folder or config_folder()) / cls.file_name
        values = _read_yaml(path)
        _refuse_unknown_variables(cls)
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error, path, cls)) from None
        settings._config_folder = folder
        return settings

    @classmethod
    def setting_location(cls, *keys: str) -> str:
        """Where to change a value.

        Parameters
        ----------
        *keys : str
            Path of the value in the file, such as `"forest", "trees"`.

        Returns
        -------
        str
            The environment variable if it is set, otherwise the file and line.
        """
        variable = cls.model_config.get("env_prefix", "") + "__".join(keys).upper()
        if variable in os.environ:
            return f"environment variable {variable}"
        path, line = config_folder() / cls.file_name, None
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_SafeLoader) if path.is_file() else None
        for key in keys:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            line, node = next(((k.start_mark.line + 1, value) for k, value in pairs if k.value == key), (None, None))
        return f"{path}, line {line}" if line else f"{path}, a new line below {' and '.join(keys[:-1])}"


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}  # every value has a default
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_SafeLoader)  # noqa: S506  (it is a safe one)
    except yaml.YAMLError as error:
        raise SettingsError(f"this is not YAML: {' '.join(str(error).split())}", where=path) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"expected keys with values, found {type(values).__name__}", where=path)
    return values


def _refuse_unknown_variables(settings: type[YamlSettings]) -> None:
    # pydantic-settings silently ignores a variable that matches no field, so a typing error would go unnoticed.
    prefix = settings.model_config.get("env_prefix", "")
    for variable in sorted(os.environ):
        file, separator, _ = variable.upper().removeprefix(_VARIABLES).partition("__")
        if variable.upper().startswith(_VARIABLES) and separator and file not in SETTINGS_FILES:
            raise SettingsError(
                f"no configuration file is named {file}. Variables start with "
                f"{' or '.join(f'{_VARIABLES}{each}__' for each in SETTINGS_FILES)}",
                where=f"environment variable {variable}",
            )
        if not variable.upper().startswith(prefix):
            continue
        model: type[BaseModel] | None = settings
        for key in variable.upper().removeprefix(prefix).split("__"):
            fields = {name.upper(): field for name, field in model.model_fields.items()} if model else {}
            if key not in fields:
                known = ", ".join(sorted(fields)) or "a single value, without further keys"
                raise SettingsError(
                    f"unknown setting {key} in {settings.file_name}. Expected: {known}",
                    where=f"environment variable {variable}",
                )
            annotation = fields[key].annotation
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _explain(error: ValidationError, path: Path, settings: type[YamlSettings]) -> str:
    lines = []
    for problem in error.errors():
        keys = [str(part) for part in problem["loc"]]
        prefix = settings.model_config.get("env_prefix", "")
        # A value in a list, such as `accept_revised.0`, has no variable of its own.
        variables = (prefix + "__".join(keys[:end]).upper() for end in range(len(keys), 0, -1))
        variable = next((each for each in variables if each in os.environ), None)
        where = f"environment variable {variable}" if variable else str(path)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key {'.'.join(keys)}. Expected: {', '.join(_known_keys(settings, keys))}")
        else:
            key = ".".join(keys) or "the file as a whole"
            lines.append(f"{where}: {key}: {problem['msg']}, found {_without_secrets(problem['input'])}")
    return "\n".join(lines)


def _without_secrets(value: Any) -> str:
    """A wrong value as text, without what may be a credential: user and path of an address, and tokens of Slack."""
    shown = re.sub(r"(://)[^/@\s'\"]*@", r"\1", repr(value))
    shown = re.sub(r"(://[^/\s'\"]+)/[^\s'\"]+", r"\1/...", shown)
    return re.sub(r"xox[a-z]-[\w-]+", "xox...", shown)


def _known_keys(settings: type[BaseModel], keys: list[str]) -> list[str]:
    model: Any = settings
    for key in keys[:-1]:
        if get_origin(model) is dict:
            model = get_args(model)[1]
        elif isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[key].annotation
    return sorted(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
