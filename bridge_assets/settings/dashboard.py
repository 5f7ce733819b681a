"""`dashboard_assets.yaml`: where the dashboard is, how it looks, and which pages it has."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlencode, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from bridge_assets.settings.base import StrictModel, YamlSettings
from bridge_assets.settings.data import split_words

#: The pages of the dashboard, in the order of its menu.
PageName = Literal["overview", "map", "bridges", "bridge", "model", "drift", "pipeline", "endpoints", "quality"]
PAGES: tuple[PageName, ...] = (
    "overview",
    "map",
    "bridges",
    "bridge",
    "model",
    "drift",
    "pipeline",
    "endpoints",
    "quality",
)


def _is_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment):
        raise ValueError("expected an address such as https://bridges.example.org, or nothing")
    return value.rstrip("/")


_Address = Annotated[str, AfterValidator(_is_address)]


class DashboardTheme(StrictModel):
    """How the dashboard looks before a reader changes it."""

    base: Literal["system", "light", "dark"] = "system"
    font_size: int = Field(default=16, ge=12, le=24, description="Pixels.")


class DashboardLayout(StrictModel):
    """Title and pages."""

    title: str = Field(default="Bridge Assets", min_length=1, max_length=60)
    pages: Annotated[tuple[PageName, ...], NoDecode, BeforeValidator(split_words)] = Field(default=PAGES, min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.pages)) < len(self.pages):
            raise ValueError("each page may be named once")
        if self.pages[0] == "bridge":
            raise ValueError("the page `bridge` needs a bridge in its address, so another page must be the first")
        return self


class DashboardComponents(StrictModel):
    """Sizes of what the pages show."""

    rows_per_page: int = Field(default=25, ge=10, le=100, description="Of the inspection list.")
    like_bridges: int = Field(default=8, ge=0, le=50, description="Similar bridges on the page of a bridge.")
    download_rows: int = Field(default=1_000_000, ge=1, description="More rows than this cannot be downloaded at once.")
    runs: int = Field(default=20, ge=5, le=200, description="Runs on the page of the pipeline.")


class DashboardReading(StrictModel):
    """What the queries of all readers together may use."""

    memory_mb: int = Field(default=400, ge=64, le=65_536, description="DuckDB goes to disk beyond it.")
    threads: int = Field(default=2, ge=1, le=256)


class DashboardSettings(YamlSettings):
    """`dashboard_assets.yaml`: where the dashboard is, how it looks, and which pages it has."""

    model_config = SettingsConfigDict(
        env_prefix="BRIDGE_ASSETS_DASHBOARD__", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    file_name: ClassVar[str] = "dashboard_assets.yaml"

    address: _Address = Field(default="", description="Where readers open it; empty = reports do not link to it.")
    port: int = Field(default=8501, ge=1024, le=65535, description="Port on 127.0.0.1.")
    dagster: _Address = Field(default="http://127.0.0.1:3000", description="The Dagster UI; empty = no links to it.")
    theme: DashboardTheme = DashboardTheme()
    layout: DashboardLayout = DashboardLayout()
    components: DashboardComponents = DashboardComponents()
    reading: DashboardReading = DashboardReading()

    @property
    def link_address(self) -> str:
        """Where the dashboard is for a reader at this machine: `address`, or its port on loopback."""
        return self.address or f"http://127.0.0.1:{self.port}"

    def page_address(self, page: PageName) -> str:
        """The address of a page, for the metadata of its assets in Dagster."""
        path = "" if page == self.layout.pages[0] else page
        return f"{self.link_address}/{path}"

    def bridge_address(self, structure_key: str) -> str | None:
        """The address of a bridge's page, for readers of a report; None if `address` is empty.

        Parameters
        ----------
        structure_key : str
            Such as `25-B12345`.
        """
        return f"{self.address}{bridge_path(structure_key)}" if self.address else None

    def asset_address(self, asset: str) -> str | None:
        """The address of an asset in the Dagster UI; None if `dagster` is empty."""
        return f"{self.dagster}/assets/{asset}" if self.dagster else None


def bridge_path(structure_key: str) -> str:
    """Path of a bridge's page below the address of the dashboard: `/bridge?state=25&structure=B12345`."""
    state, _, structure = structure_key.partition("-")
    return f"/bridge?{urlencode({'state': state, 'structure': structure})}"
