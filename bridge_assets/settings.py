"""Typed settings: `configs/*.yaml`, every value overridden by an environment variable.

`source` of data_config.yaml is overridden by `BRIDGE_ASSETS_DATA__SOURCE`, `forest.trees` of model_config.yaml by
`BRIDGE_ASSETS_MODEL__FOREST__TREES`: the file's name, then the keys, joined by two underscores. An unknown key, or a
value of the wrong type, is an error that names the file, the key and what was expected.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

#: Set to use another configuration folder than `configs/` beside the package or in the working directory.
CONFIG_FOLDER_VARIABLE = "BRIDGE_ASSETS_CONFIGS"

FIRST_NBI_YEAR = 1992

#: From 2026 on FHWA publishes the inventory as JSON (SNBI).
LAST_DELIMITED_YEAR = 2025


class SettingsError(ValueError):
    """A configuration file or an environment variable holds something that is not understood."""


def project_folder() -> Path:
    """The folder that relative paths of the configuration start from: the one that holds `configs/`."""
    return config_folder().parent


def config_folder() -> Path:
    """The folder of the yaml files: `BRIDGE_ASSETS_CONFIGS`, else `configs/` here, else beside the package."""
    if named := os.environ.get(CONFIG_FOLDER_VARIABLE):
        return Path(named).absolute()
    for folder in (Path.cwd(), Path(__file__).parent.parent):
        if (folder / "configs" / "data_config.yaml").is_file():
            return folder / "configs"
    return Path.cwd() / "configs"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class YamlSettings(BaseSettings):
    """Environment over file over default."""

    file: ClassVar[str]

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
    def load(cls) -> Self:
        """Read `configs/<file>` and the environment.

        Raises
        ------
        SettingsError
            Names the file or the variable, the key, what was found and what was expected.
        """
        path = config_folder() / cls.file
        values = _read_yaml(path)
        _refuse_unknown_variables(cls)
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError(_explain(error, path, cls)) from None

    @classmethod
    def place_of(cls, *keys: str) -> str:
        """Where the value below these keys is decided, for whoever wants to change it: the environment variable that is
        set, or the file and the line.
        """
        variable = cls.model_config.get("env_prefix", "") + "__".join(keys).upper()
        if variable in os.environ:
            return f"environment variable {variable}"
        path, line = config_folder() / cls.file, None
        node = yaml.compose(path.read_text(encoding="utf-8")) if path.is_file() else None
        for key in keys:
            below = node.value if isinstance(node, yaml.MappingNode) else []
            line, node = next(((name.start_mark.line + 1, at) for name, at in below if name.value == key), (None, None))
        return f"{path}, line {line}" if line else f"{path}, a new line below {' and '.join(keys[:-1])}"


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}  # every value has a default
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected keys with values, found {type(values).__name__}")
    return values


def _refuse_unknown_variables(settings: type[YamlSettings]) -> None:
    # pydantic-settings ignores a variable that matches no field: a misspelt one would do nothing, without a word.
    prefix = settings.model_config.get("env_prefix", "")
    for variable in sorted(os.environ):
        if not variable.upper().startswith(prefix):
            continue
        model: type[BaseModel] | None = settings
        for key in variable.upper().removeprefix(prefix).split("__"):
            fields = {name.upper(): field for name, field in model.model_fields.items()} if model else {}
            if key not in fields:
                known = ", ".join(sorted(fields)) or "nothing below it"
                raise SettingsError(
                    f"environment variable {variable}: {key} is no key of {settings.file} there. Expected: {known}"
                )
            annotation = fields[key].annotation
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _explain(error: ValidationError, path: Path, settings: type[YamlSettings]) -> str:
    lines = []
    for problem in error.errors():
        keys = [str(part) for part in problem["loc"]]
        variable = settings.model_config.get("env_prefix", "") + "__".join(keys).upper()
        where = f"environment variable {variable}" if variable in os.environ else str(path)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key {'.'.join(keys)}. Expected: {', '.join(_siblings(settings, keys))}")
        else:
            key = ".".join(keys) or "the file as a whole"
            lines.append(f"{where}: {key}: {problem['msg']}, found {problem['input']!r}")
    return "\n".join(lines)


def _siblings(settings: type[BaseModel], keys: list[str]) -> list[str]:
    there: Any = settings
    for key in keys[:-1]:
        if get_origin(there) is dict:
            there = get_args(there)[1]
        elif isinstance(there, type) and issubclass(there, BaseModel):
            there = there.model_fields[key].annotation
    return sorted(there.model_fields) if isinstance(there, type) and issubclass(there, BaseModel) else []


class SurveyYears(Strict):
    """The survey years that have a partition."""

    first: int | None = Field(
        default=None,
        ge=FIRST_NBI_YEAR,
        description="Empty = the first year in the source; 1992 for a remote folder, which is not listed at load.",
    )
    last: int | None = Field(
        default=None,
        ge=FIRST_NBI_YEAR,
        description="Empty = 2025, or the last year in the source; the last of the catalogue for `fhwa`.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.first is not None and self.last < self.first:
            raise ValueError(f"last ({self.last}) must not be before first ({self.first})")
        return self


class SampleSettings(Strict):
    """The generated inventory that stands in for real files."""

    structures: int = Field(default=6000, ge=50, le=50_000)
    first_year: int = Field(default=2006, ge=FIRST_NBI_YEAR)
    last_year: int = Field(default=2025, le=LAST_DELIMITED_YEAR)
    seed: int = Field(default=490409, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_year < self.first_year:
            raise ValueError(f"last_year ({self.last_year}) must not be before first_year ({self.first_year})")
        return self


def _words(value: Any) -> Any:
    """`AL, MA` and `[AL, MA]` are the same, so that an environment variable needs no brackets."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Sha256Beginning = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12,64}$")]
_State = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class NationalFile(Strict):
    """What is known of the national file of one survey year. Each value may be left out: it is then not compared."""

    rows: int | None = Field(default=None, ge=1, description="Rows below the header.")
    columns: int | None = Field(default=None, ge=1)
    zip: _Sha256 | None = Field(default=None, description="SHA-256 of the archive.")
    member: _Sha256 | None = Field(default=None, description="SHA-256 of the one text file in it.")


class FhwaSettings(Strict):
    """The catalogue of what FHWA publishes, for `source: fhwa`.

    `{year}` stands for 2016, `{yy}` for 16, `{state}` for AL in the addresses.
    """

    states: Annotated[tuple[_State, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="Postal codes: state files are taken. Empty: national files are."
    )
    accept_revised: Annotated[tuple[_Sha256Beginning, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="Revised files that may be used: the first 12 or more digits of their SHA-256."
    )
    state_address: str = "https://www.fhwa.dot.gov/bridge/nbi/{year}/delimited/{state}{yy}.txt"
    national_address: dict[int, str] = Field(
        default={
            1992: "https://www.fhwa.dot.gov/bridge/nbi/{year}hwybronlyonefile.zip",
            2018: "https://www.fhwa.dot.gov/bridge/nbi/{year}hwybronefiledel.zip",
        },
        description="First survey year -> the address from that year on.",
    )
    catalogue: dict[Annotated[int, Field(ge=FIRST_NBI_YEAR)], NationalFile] = Field(
        default={}, description="The survey years there are. The years that ship stand in data_config.yaml."
    )

    @model_validator(mode="after")
    def _addresses_are_patterns(self) -> Self:
        for address in (self.state_address, *self.national_address.values()):
            try:
                address.format(year=2016, yy="16", state="AL")
            except (KeyError, IndexError, ValueError):
                raise ValueError(f"{address}: only {{year}}, {{yy}} and {{state}} can stand in an address") from None
            if not address.startswith(("https://", "http://")):
                raise ValueError(f"{address}: an address begins with https://")
        return self


class DataSettings(YamlSettings):
    """`data_config.yaml`: where survey files come from and where everything made from them lies."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_DATA__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file: ClassVar[str] = "data_config.yaml"

    source: str = Field(
        default="sample",
        description="`sample`, `fhwa`, a folder of survey files, or the address of one (s3://, gs://, abfs://).",
    )
    home: Path = Field(default=Path("var"), description="Folder of everything the platform makes.")
    survey_years: SurveyYears = SurveyYears()
    sample: SampleSettings = SampleSettings()
    fhwa: FhwaSettings = FhwaSettings()
    sheet: str = Field(default="{home}/reports/bridge_outlook.csv", description="Where looker_sheet is written.")

    @property
    def uses_sample(self) -> bool:
        return self.source == "sample"

    @property
    def source_kind(self) -> Literal["sample", "folder", "fhwa", "remote"]:
        """What `source` is. A local folder that is called fhwa is written `./fhwa`."""
        if self.source in ("sample", "fhwa"):
            return self.source  # type: ignore[return-value]
        return "remote" if "://" in self.source else "folder"

    @cached_property
    def home_folder(self) -> Path:
        return (project_folder() / self.home).absolute()

    @property
    def source_folder(self) -> Path:
        """The folder in which survey files lie; for `fhwa` and remote folders, the one that holds their copies."""
        match self.source_kind:
            case "sample":
                return self.sample_folder
            case "folder":
                return (project_folder() / self.source).absolute()
            case _:
                return self.downloads_folder

    @property
    def downloads_folder(self) -> Path:
        """Copies of remote survey files. They are kept: a revised file never replaces one."""
        return self.home_folder / "downloads"

    @property
    def sample_folder(self) -> Path:
        return self.home_folder / "sample"

    @property
    def oracle_file(self) -> Path:
        """The sample's true fall probabilities; beside the source folder, since no source holds them."""
        return self.home_folder / "sample_oracle.parquet"

    @property
    def lake(self) -> Path:
        """Folder of the Parquet tables, one folder a table."""
        return self.home_folder / "lake"

    @property
    def warehouse(self) -> Path:
        return self.home_folder / "warehouse.duckdb"

    @property
    def models_folder(self) -> Path:
        return self.home_folder / "models"

    @property
    def endpoint_folder(self) -> Path:
        return self.home_folder / "endpoints" / "local"

    @property
    def reports_folder(self) -> Path:
        return self.home_folder / "reports"

    @property
    def sheet_path(self) -> str:
        return self.sheet.format(home=self.home_folder)


class ForestSettings(Strict):
    """The random forest (scikit-learn's `RandomForestClassifier`)."""

    trees: int = Field(default=200, ge=1)
    depth: int = Field(default=12, ge=1)
    leaf: int = Field(default=40, ge=1, description="Least number of inspections in a leaf.")
    features: Literal["sqrt", "log2"] | float = Field(default=0.3, description="Features tried at a split.")
    seed: int = Field(default=0, ge=0)


class SplitSettings(Strict):
    """How inspections are held out: by structure, and later than what is trained on."""

    holdout_structures: float = Field(default=0.3, gt=0, lt=1, description="Share of structures held out.")
    holdout_years: int = Field(default=4, ge=1, description="The last survey years with a known outcome are held out.")
    rolling_cuts: int = Field(default=3, ge=0, description="Earlier cut years that are evaluated too; 0 = none.")
    rolling_years: int = Field(default=2, ge=1, description="Survey years after such a cut that are tested on.")
    rolling_trees: int = Field(default=60, ge=1, description="Most trees of a forest trained for such a cut.")


class EvaluationSettings(Strict):
    """How sure the figures are, and which groups are too small to have one."""

    resamples: int = Field(default=300, ge=0, description="Bootstrap resamples of whole structures; 0 = no intervals.")
    seed: int = Field(default=0, ge=0)
    least_inspections: int = Field(default=100, ge=1, description="A smaller group gets counts and no figures.")
    least_falls: int = Field(default=10, ge=1, description="A group with fewer falls gets no AUC.")
    importance_repeats: int = Field(default=5, ge=0, description="Permutations of each feature; 0 = no importance.")
    importance_inspections: int = Field(default=20_000, ge=1, description="Most held-out inspections permuted.")


class LookFirstSettings(Strict):
    """What a fall is worth when bridges are put in the order to be looked at, by the condition it begins at."""

    good: float = Field(default=1.0, ge=0, description="Condition 7 or more: one point lower it is Good or Fair.")
    fair: float = Field(default=2.0, ge=0, description="Condition 6: one point lower it is still Fair.")
    to_poor: float = Field(default=4.0, ge=0, description="Condition 5 or less: one point lower it is Poor.")
    explained_per_state: int = Field(
        default=25, ge=0, description="The first so many of each state get reasons; 0 = none."
    )
    explained_years: int = Field(default=1, ge=1, description="The last survey years whose lists get reasons.")


class SurvivalSettings(Strict):
    """Years until Poor: how far ahead, how it is fitted, what it must show (a warning, no gate)."""

    horizon_years: int = Field(default=60, ge=8, le=200, description="What lies beyond is said to lie beyond.")
    interval: float = Field(default=0.8, gt=0, lt=1, description="Probability of the interval that is given.")
    holdout_years: int = Field(default=10, ge=1, description="Held out at the end; at most half of the survey years.")
    penalty: float = Field(default=10.0, gt=0, description="How strongly the coefficients of features are drawn to 0.")
    intervals: int = Field(default=300_000, ge=1000, description="Most that are fitted to; of more, some are drawn.")
    least_poor: int = Field(default=30, ge=1, description="Fewer held-out structures that became Poor prove nothing.")
    calibration_ratio: float = Field(default=1.33, ge=1, description="Most that expected and observed Poor may differ.")
    concordance_gain: float = Field(default=0.0, description="Least gain in concordance over the table.")
    brier_gain: float = Field(default=0.0, description="Least gain in Brier score over the table, at each horizon.")


class GateSettings(Strict):
    """What a model version must show. Each limit stands in the message of the check that applies it."""

    holdout_inspections: int = Field(default=500, ge=1, description="Fewer held-out inspections prove nothing.")
    holdout_falls: int = Field(default=50, ge=1, description="Fewer held-out falls prove nothing.")
    auc_gain: float = Field(default=0.0, description="Least gain in AUC over the rating table.")
    brier_gain: float = Field(default=0.0, description="Least gain in Brier score over the base rate.")
    rmse_gain: float = Field(default=0.0, description="Regression: least gain in RMSE, in points, over no change.")
    spearman_gain: float = Field(default=0.0, description="Regression: least gain in rank correlation over the table.")
    calibration_error: float = Field(
        default=0.02,
        ge=0,
        description="Most the calibration error may exceed that of perfect answers: a share, or points of the rating.",
    )
    quantization_auc_loss: float = Field(default=0.0005, ge=0, description="Most AUC lost in float16.")
    quantization_difference: float = Field(default=0.001, ge=0, description="Most an answer may move in float16.")
    onnx_difference: float = Field(default=1e-5, ge=0, description="Most an ONNX answer may differ.")
    champion_auc_loss: float = Field(
        default=0.005, ge=0, description="Most AUC that may be lost against the champion on the same hold-out."
    )
    champion_brier_loss: float = Field(
        default=0.001, ge=0, description="Most the Brier score may be above the champion's on the same hold-out."
    )
    champion_rmse_loss: float = Field(
        default=0.005, ge=0, description="Regression: most RMSE, in points, may be above the champion's."
    )
    champion_spearman_loss: float = Field(
        default=0.01, ge=0, description="Regression: most rank correlation that may be lost against the champion."
    )
    champion_cannot_be_asked: Literal["recorded", "accept", "refuse"] = Field(
        default="recorded",
        description="A champion of other feature definitions or another target: what counts is what both gained over "
        "their baselines when they were trained (recorded), or nothing (accept, refuse).",
    )


class DriftSettings(Strict):
    """When a survey year counts as drifted away from the training years."""

    margin: float = Field(default=1.5, gt=0, description="Times the largest distance between the training years.")
    least: float = Field(default=0.05, ge=0, le=1, description="A distance below this is never called drift.")


class ModelSettings(YamlSettings):
    """`model_config.yaml`: the target, the model, what it is held against."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_MODEL__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file: ClassVar[str] = "model_config.yaml"

    name: str = Field(default="bridge_fall", pattern=r"^[a-z][a-z0-9_]*$", description="Name in the registry.")
    registry: Literal["mlflow", "dvc"] = Field(
        default="mlflow", description="Where versions are registered: mlflow_config.yaml or dvc_config.yaml says where."
    )
    target: Literal["fall", "poor"] = Field(
        default="fall", description="fall: at least one point lower at the next inspection; poor: 4 or less there."
    )
    component: Literal["condition", "deck", "superstructure", "substructure", "culvert"] = Field(
        default="condition", description="Whose rating: the lowest one (condition), or that of one component."
    )
    task: Literal["classification", "regression"] = Field(
        default="classification",
        description="A probability (classification), or the expected change of the rating in points (regression).",
    )
    horizon_months: int = Field(default=48, ge=12, description="A next inspection later than this is no evidence.")
    forest: ForestSettings = ForestSettings()
    split: SplitSettings = SplitSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    look_first: LookFirstSettings = LookFirstSettings()
    survival: SurvivalSettings = SurvivalSettings()
    gate: GateSettings = GateSettings()
    drift: DriftSettings = DriftSettings()

    @field_validator("task")
    @classmethod
    def _fits_the_target(cls, task: str, info: ValidationInfo) -> str:
        if task == "regression" and info.data.get("target") == "poor":
            raise ValueError(
                "a regression foresees by how many points the rating changes, and Poor is no number of points. What to "
                "do: set target: fall with it, or task: classification for the probability of Poor"
            )
        return task


class MlflowSettings(YamlSettings):
    """`mlflow_config.yaml`: where model versions are registered."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_MLFLOW__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file: ClassVar[str] = "mlflow_config.yaml"

    tracking_uri: str = Field(default="", description="Empty = SQLite in the home folder; or http://host:port.")
    experiment: str = Field(default="bridge_assets")

    def uri(self, home: Path) -> str:
        return self.tracking_uri or f"sqlite:///{home / 'mlflow.db'}"


class DvcSettings(YamlSettings):
    """`dvc_config.yaml`: versions of survey files and models in DVC; off while `remote` is empty."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_DVC__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file: ClassVar[str] = "dvc_config.yaml"

    remote: str = Field(default="", description="A local folder or s3://bucket/folder. Empty = DVC is off.")
    # DVC lowers the case of `core.remote`, so that another name would not be found.
    remote_name: str = Field(default="storage", pattern=r"^[a-z][a-z0-9_-]*$")
    endpoint_url: str = Field(default="", description="Address of an S3 server that is not Amazon's.")
    region: str = Field(default="", description="Empty = from the environment.")
    repository: Path = Field(default=Path(), description="Folder of the DVC repository.")
    cache_type: Literal["copy", "reflink,copy"] = "reflink,copy"
    raw_files: bool = Field(default=True, description="Version the source folder and downloaded survey files.")
    models: bool = Field(default=True, description="Version the folder of each registered model version.")

    @property
    def on(self) -> bool:
        return bool(self.remote)

    @property
    def repository_folder(self) -> Path:
        return (project_folder() / self.repository).absolute()
