"""Settings are typed: an unknown key or wrong value is an error with the file, the key and the expected value."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge_assets.errors import SettingsError
from bridge_assets.settings import DataSettings, MlflowSettings, ModelSettings, config_folder
from bridge_assets.settings.base import SETTINGS_FILES, YamlSettings
from bridge_assets.settings.environment import EnvironmentSettings


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project" / "configs"
    folder.mkdir(parents=True)
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(folder))
    return folder


def test_the_shipped_files_contain_the_defaults(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = DataSettings.load(), ModelSettings.load(), MlflowSettings.load()
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(Path(__file__).parents[2] / "configs"))
    assert (config_folder() / "data_config.yaml").is_file()
    data = DataSettings.load()
    assert len(data.fhwa.catalogue) == 34
    # Only the file has the catalogue: the code has no default for 34 years of digests.
    data = data.model_copy(update={"fhwa": data.fhwa.model_copy(update={"catalogue": {}})})
    assert (data, ModelSettings.load(), MlflowSettings.load()) == defaults


def test_relative_paths_start_at_the_project_folder(configs: Path) -> None:
    (configs / "data_config.yaml").write_text("source: files\nhome: out\n")
    settings = DataSettings.load()
    assert settings.source_folder == configs.parent / "files"
    assert settings.lake == configs.parent / "out" / "lake"
    assert settings.sheet_path == f"{configs.parent / 'out'}/reports/bridge_outlook.csv"


@pytest.mark.parametrize(
    ("source", "kind", "folder"),
    [
        ("sample", "sample", "out/sample"),
        ("fhwa", "fhwa", "out/downloads"),
        ("./fhwa", "folder", "fhwa"),
        ("s3://bucket/nbi", "remote", "out/downloads"),
        ("https://host/NBI_2016.zip", "remote", "out/downloads"),
    ],
)
def test_each_source_has_one_kind(configs: Path, source: str, kind: str, folder: str) -> None:
    (configs / "data_config.yaml").write_text(f"source: {source}\nhome: out\n")
    settings = DataSettings.load()
    assert (settings.source_kind, settings.source_folder) == (kind, configs.parent / folder)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sorce: x\n", ["data_config.yaml", "unknown key sorce", "source"]),
        ("sample:\n  structure: 5\n", ["unknown key sample.structure", "structures"]),
        ("sample:\n  structures: many\n", ["sample.structures", "valid integer", "'many'"]),
        ("survey_years:\n  first: 1980\n", ["survey_years.first", "1992", "1980"]),
        ("survey_years:\n  first: 2010\n  last: 2000\n", ["last (2000) must not be before first (2010)"]),
        ("fhwa:\n  catalogue:\n    1991: {}\n", ["fhwa.catalogue.1991", "1992"]),
        (
            "fhwa:\n  catalogue:\n    2016: {row: 5}\n",
            ["unknown key fhwa.catalogue.2016.row", "columns, member, rows, zip"],
        ),
        ("fhwa:\n  catalogue:\n    2016: {zip: abc}\n", ["fhwa.catalogue.2016.zip", "'abc'"]),
        ("fhwa:\n  states: [Alabama]\n", ["fhwa.states.0", "'Alabama'"]),
        ("fhwa:\n  accept_revised: [3f2a]\n", ["fhwa.accept_revised.0", "'3f2a'"]),
        (
            "fhwa:\n  state_address: https://h/{st}.txt\n",
            ["an address may contain only {year}, {yy} and {state}", "https://h/{st}.txt"],
        ),
        ("fhwa:\n  state_address: file:///{state}.txt\n", ["must begin with https://"]),
        ("- a\n", ["expected keys with values, found list"]),
        ("a: [\n", ["this is not YAML"]),
    ],
)
def test_an_unknown_key_or_wrong_value_is_named(configs: Path, text: str, parts: list[str]) -> None:
    (configs / "data_config.yaml").write_text(text)
    with pytest.raises(SettingsError) as error:
        DataSettings.load()
    for part in parts:
        assert part in str(error.value)


def test_an_environment_variable_overrides_one_value(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (configs / "model_config.yaml").write_text("forest:\n  trees: 50\n  depth: 5\n")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__TREES", "70")
    forest = ModelSettings.load().forest
    assert (forest.trees, forest.depth) == (70, 5)


def test_a_wrong_environment_variable_is_named(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__TREES", "many")
    with pytest.raises(SettingsError, match=r"environment variable BRIDGE_ASSETS_MODEL__FOREST__TREES: forest\.trees"):
        ModelSettings.load()


def test_a_regression_of_poor_is_refused_with_a_remedy(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (configs / "model_config.yaml").write_text("target: poor\ntask: regression\n")
    with pytest.raises(
        SettingsError, match=r"model_config\.yaml: task: .*Poor is not a number of points\. What to do: set "
    ):
        ModelSettings.load()
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__TARGET", "fall")
    assert ModelSettings.load().task == "regression"


def test_the_location_of_a_value_is_found(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = configs / "model_config.yaml"
    assert ModelSettings.setting_location("forest", "leaf") == f"{path}, a new line below forest"
    path.write_text("# leaf: 1\ngate:\n  leaf: 7\nforest:\n  trees: 5\n  leaf: 40\n")
    assert ModelSettings.setting_location("forest", "leaf") == f"{path}, line 6"
    assert ModelSettings.setting_location("forest", "depth") == f"{path}, a new line below forest"
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__LEAF", "9")
    assert ModelSettings.setting_location("forest", "leaf") == "environment variable BRIDGE_ASSETS_MODEL__FOREST__LEAF"


def test_an_unknown_environment_variable_is_named(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__TRES", "70")
    with pytest.raises(SettingsError, match=r"TRES: unknown setting TRES in model_config\.yaml\. Expected: .*TREES"):
        ModelSettings.load()


def test_every_value_can_be_overridden(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "DATA__SOURCE": "/data/nbi", "DATA__HOME": "/data/out", "DATA__SURVEY_YEARS__FIRST": "2001",
        "DATA__SURVEY_YEARS__LAST": "2009", "DATA__FHWA__STATES": "AL,MA", "DATA__FHWA__ACCEPT_REVISED": "3f2a9c1b7d4e",
        "DATA__FHWA__NATIONAL_ADDRESS": '{"1992": "https://mirror/{year}.zip"}',
        "DATA__SAMPLE__STRUCTURES": "99", "DATA__SHEET": "x.csv",
        "MODEL__NAME": "other", "MODEL__HORIZON_MONTHS": "30", "MODEL__FOREST__FEATURES": "0.5",
        "MODEL__SPLIT__HOLDOUT_YEARS": "2", "MODEL__GATE__AUC_GAIN": "0.02", "MODEL__DRIFT__MARGIN": "2",
        "MLFLOW__TRACKING_URI": "http://127.0.0.1:5000",
    }  # fmt: skip
    for key, value in values.items():
        monkeypatch.setenv(f"BRIDGE_ASSETS_{key}", value)
    data, model = DataSettings.load(), ModelSettings.load()
    assert (data.source, data.home, data.sheet) == ("/data/nbi", Path("/data/out"), "x.csv")
    assert (data.survey_years.first, data.survey_years.last, data.sample.structures) == (2001, 2009, 99)
    assert (data.fhwa.states, data.fhwa.accept_revised) == (("AL", "MA"), ("3f2a9c1b7d4e",))
    assert data.fhwa.national_address[1992] == "https://mirror/{year}.zip"
    assert (model.name, model.horizon_months, model.forest.features) == ("other", 30, 0.5)
    assert (model.split.holdout_years, model.gate.auc_gain, model.drift.margin) == (2, 0.02, 2.0)
    assert MlflowSettings.load().uri(Path("home")) == "http://127.0.0.1:5000"


@pytest.mark.parametrize("value", ["AL,MA", "AL MA", "[AL, MA]", '["AL", "MA"]', "['AL','MA']"])
def test_a_list_in_a_variable_may_have_brackets_and_quotes(
    configs: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__STATES", value)
    assert DataSettings.load().fhwa.states == ("AL", "MA")


def test_a_wrong_value_in_the_list_of_a_variable_names_the_variable(
    configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__FHWA__ACCEPT_REVISED", "3f2a9c1b7d4e, 12")
    with pytest.raises(SettingsError, match=r"^environment variable BRIDGE_ASSETS_DATA__FHWA__ACCEPT_REVISED: .*'12'"):
        DataSettings.load()


def test_a_variable_of_no_file_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATE__SOURCE", "fhwa")
    with pytest.raises(
        SettingsError, match=r"BRIDGE_ASSETS_DATE__SOURCE: no configuration file is named DATE.*_DATA__ or"
    ):
        DataSettings.load()


def test_every_settings_class_has_one_of_the_known_prefixes() -> None:
    assert EnvironmentSettings in YamlSettings.__subclasses__()
    prefixes = {each.model_config.get("env_prefix") for each in YamlSettings.__subclasses__()}
    assert prefixes == {f"BRIDGE_ASSETS_{name}__" for name in SETTINGS_FILES}
