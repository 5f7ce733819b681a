"""`data_config.yaml`: where survey files come from and where outputs are written."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from bridge_assets.settings.base import StrictModel, YamlSettings

FIRST_NBI_YEAR = 1992

#: From 2026 on FHWA publishes the inventory as JSON (SNBI).
LAST_DELIMITED_YEAR = 2025


class SurveyYears(StrictModel):
    """The survey years that have a partition."""

    first: int | None = Field(
        default=None,
        ge=FIRST_NBI_YEAR,
        description="Empty = the first year in the source; 1992 for a remote folder, which is not listed at load time.",
    )
    last: int | None = Field(
        default=None,
        ge=FIRST_NBI_YEAR,
        description="Empty = 2025, or a later last year in the source; for `fhwa` the last year of the catalogue.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.first is not None and self.last < self.first:
            raise ValueError(f"last ({self.last}) must not be before first ({self.first})")
        return self


class SampleSettings(StrictModel):
    """The generated inventory, a substitute for real files."""

    structures: int = Field(default=6000, ge=50, le=50_000)
    first_year: int = Field(default=2006, ge=FIRST_NBI_YEAR)
    last_year: int = Field(default=2025, le=LAST_DELIMITED_YEAR)
    seed: int = Field(default=490409, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_year < self.first_year:
            raise ValueError(f"last_year ({self.last_year}) must not be before first_year ({self.first_year})")
        return self


def split_words(value: Any) -> Any:
    """Accept `AL, MA` as well as `[AL, MA]`, so that an environment variable needs no brackets, but may have them."""
    return tuple(re.findall(r"[^\s,\[\]'\"]+", value)) if isinstance(value, str) else value


_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Sha256Beginning = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12,64}$")]
_State = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class NationalFile(StrictModel):
    """Expected contents of the national file of one survey year. Omitted values are not checked."""

    rows: int | None = Field(default=None, ge=1, description="Rows below the header.")
    columns: int | None = Field(default=None, ge=1)
    zip: _Sha256 | None = Field(default=None, description="SHA-256 of the archive.")
    member: _Sha256 | None = Field(default=None, description="SHA-256 of the text file in the archive.")


class FhwaSettings(StrictModel):
    """What FHWA publishes, for `source: fhwa`.

    In the addresses `{year}` becomes 2016, `{yy}` 16 and `{state}` AL.
    """

    states: Annotated[tuple[_State, ...], NoDecode, BeforeValidator(split_words)] = Field(
        default=(), description="Postal codes of the state files to download. Empty = the national files."
    )
    accept_revised: Annotated[tuple[_Sha256Beginning, ...], NoDecode, BeforeValidator(split_words)] = Field(
        default=(),
        description="Revised files to accept, from whatever source: the first 12 or more digits of their SHA-256.",
    )
    state_address: str = "https://www.fhwa.dot.gov/bridge/nbi/{year}/delimited/{state}{yy}.txt"
    national_address: dict[int, str] = Field(
        default={
            1992: "https://www.fhwa.dot.gov/bridge/nbi/{year}hwybronlyonefile.zip",
            2018: "https://www.fhwa.dot.gov/bridge/nbi/{year}hwybronefiledel.zip",
        },
        description="First survey year -> address from that year on.",
    )
    catalogue: dict[Annotated[int, Field(ge=FIRST_NBI_YEAR)], NationalFile] = Field(
        default={}, description="The published survey years. The shipped data_config.yaml lists 1992 to 2025."
    )

    def accepts(self, sha256: str) -> bool:
        """Whether `accept_revised` lists a file."""
        return any(sha256.startswith(beginning) for beginning in self.accept_revised)

    @model_validator(mode="after")
    def _addresses_are_patterns(self) -> Self:
        for address in (self.state_address, *self.national_address.values()):
            try:
                address.format(year=2016, yy="16", state="AL")
            except (KeyError, IndexError, ValueError):
                raise ValueError(f"{address}: an address may contain only {{year}}, {{yy}} and {{state}}") from None
            if not address.startswith(("https://", "http://")):
                raise ValueError(f"{address}: an address must begin with https:// or http://")
        return self


class DataSettings(YamlSettings):
    """`data_config.yaml`: where survey files come from and where outputs are written."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_DATA__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "data_config.yaml"

    source: str = Field(
        default="sample",
        description="`sample`, `fhwa`, a folder of survey files, or the address of one (s3://, gs://, abfs://).",
    )
    home: Path = Field(default=Path("var"), description="Folder for all outputs.")
    survey_years: SurveyYears = SurveyYears()
    sample: SampleSettings = SampleSettings()
    fhwa: FhwaSettings = FhwaSettings()
    structures_min_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description=(
            "Records of structures in a survey year, as a share of those in the year before: fewer stop the run (check "
            "structures_present). 0 = never."
        ),
    )
    sheet: str = Field(default="{home}/reports/bridge_outlook.csv", description="Where looker_sheet is written.")
    reports_port: int = Field(
        default=3001, ge=1024, le=65535, description="Port on 127.0.0.1 where `bridge-assets dev` serves the reports."
    )

    @property
    def uses_sample(self) -> bool:
        return self.source == "sample"

    @property
    def source_kind(self) -> Literal["sample", "folder", "fhwa", "remote"]:
        """The kind of `source`. Write a local folder named fhwa as `./fhwa`."""
        if self.source in ("sample", "fhwa"):
            return self.source  # type: ignore[return-value]
        return "remote" if "://" in self.source else "folder"

    @cached_property
    def home_folder(self) -> Path:
        return (self.project_folder / self.home).absolute()

    @property
    def source_folder(self) -> Path:
        """The folder of the survey files; for `fhwa` and remote sources, the folder of their copies."""
        match self.source_kind:
            case "sample":
                return self.sample_folder
            case "folder":
                return (self.project_folder / self.source).absolute()
            case _:
                return self.downloads_folder

    @property
    def downloads_folder(self) -> Path:
        """Folder for copies of remote survey files. A revised file never replaces an earlier copy."""
        return self.home_folder / "downloads"

    @property
    def sample_folder(self) -> Path:
        return self.home_folder / "sample"

    @property
    def oracle_file(self) -> Path:
        """The true fall probabilities of the sample; outside the source folder, because real sources have none."""
        return self.home_folder / "sample_oracle.parquet"

    @property
    def lake(self) -> Path:
        """Folder of the Parquet tables; a yearly table is a folder with one file per survey year."""
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
    def alerts_folder(self) -> Path:
        """The alerts that wait for Slack, and those that it has."""
        return self.home_folder / "alerts"

    @property
    def sheet_path(self) -> str:
        return self.sheet.format(home=self.home_folder)
