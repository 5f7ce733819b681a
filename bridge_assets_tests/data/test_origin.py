"""Whether records are the sample is decided from the records; the two are never mixed without a word."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.data.origin import (
    IS_SAMPLE,
    SAMPLE_SOURCE,
    Origin,
    format_years,
    holds_sample,
    lake_origin,
    refuse_mix,
    refuse_mix_with_source,
    source_name,
    source_of_year,
)
from bridge_assets.data.sources.survey_files import survey_source
from bridge_assets.errors import SourceError
from bridge_assets.nbi.sample import SampleSpec, write_sample
from bridge_assets.settings import DataSettings


def load(lake: Lake, folder: Path, year: int) -> None:
    """A survey year in the lake, with the provenance that a version before this rule wrote."""
    files = [part.path for part in survey_source(folder, year).files]
    report = ingest(files, year, lake.year_path("raw_bridges", year), lake.year_path("rejected_records", year))
    lake.write_provenance("raw_bridges", year, asdict(report))


@pytest.fixture(scope="module")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin")
    spec = SampleSpec(structures=400, first_year=2009, last_year=2019)
    write_sample(folder / "nbi", folder / "oracle.parquet", spec)
    return folder / "nbi"


@pytest.fixture
def real_folder(real_data: Path, tmp_path: Path) -> Path:
    """The file of one state, as somebody would put it into a folder."""
    folder = tmp_path / "alaska"
    folder.mkdir()
    (folder / "AK19.txt").write_bytes((real_data / "nbi" / "AK19.txt").read_bytes())
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def settings(monkeypatch: pytest.MonkeyPatch, source: str | Path) -> DataSettings:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(source))
    return DataSettings.load()


@pytest.mark.parametrize("year", [2009, 2010, 2014, 2016, 2017, 2019])
def test_the_sample_is_recognised_in_every_layout(sample_folder: Path, lake: Lake, year: int) -> None:
    load(lake, sample_folder, year)
    assert holds_sample(lake.year_path("raw_bridges", year))
    assert lake_origin(lake) == Origin(sample_years=(year,))
    assert source_of_year(lake, year) == SAMPLE_SOURCE
    assert "Every bridge is invented" in lake_origin(lake).warning


def test_real_records_are_never_taken_for_the_sample(real_data: Path, real_folder: Path, lake: Lake) -> None:
    load(lake, real_folder, 2019)
    load(lake, real_data / "nbi" / "panel", 2016)
    assert lake_origin(lake) == Origin(real_years=(2016, 2019))
    assert lake_origin(lake).warning == ""
    assert source_of_year(lake, 2019) == "NBI 2019: AK19.txt"


def test_the_answer_in_the_provenance_is_used(sample_folder: Path, lake: Lake) -> None:
    load(lake, sample_folder, 2019)
    lake.write_provenance("raw_bridges", 2019, lake.provenance("raw_bridges", 2019) | {IS_SAMPLE: True})
    lake.year_path("raw_bridges", 2019).write_bytes(b"not read")
    assert lake_origin(lake).sample_years == (2019,)


def test_an_empty_lake_and_an_empty_table_have_no_warning(sample_folder: Path, lake: Lake, tmp_path: Path) -> None:
    assert lake_origin(lake).warning == ""
    header = (sample_folder / "NBI_2019.txt").read_bytes().splitlines(keepends=True)[0]
    (tmp_path / "NBI_2019.txt").write_bytes(header)
    load(lake, tmp_path, 2019)
    assert not holds_sample(lake.year_path("raw_bridges", 2019))


def test_a_mix_is_named_with_its_years() -> None:
    warning = Origin(sample_years=(2006, 2007, 2009), real_years=(2019,)).warning
    assert "the bridges of 2006 to 2007, 2009 are invented, those of 2019 are real" in warning
    assert "What to do" in warning


def test_real_files_are_refused_in_a_lake_of_the_sample(
    sample_folder: Path, real_folder: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, sample_folder, 2010)
    data = settings(monkeypatch, real_folder)
    with pytest.raises(SourceError, match=r"records of 2010 here are the generated sample.*BRIDGE_ASSETS_DATA__HOME"):
        refuse_mix(lake, data, survey_source(real_folder, 2019))


def test_the_sample_is_refused_in_a_lake_of_real_records(
    sample_folder: Path, real_folder: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, real_folder, 2019)
    with pytest.raises(SourceError, match=r"records of 2019 here are real.*What to do"):
        refuse_mix(lake, settings(monkeypatch, "sample"), survey_source(sample_folder, 2010))
    refuse_mix(lake, settings(monkeypatch, real_folder), survey_source(real_folder, 2019))


def test_a_run_is_refused_before_it_starts(
    sample_folder: Path, real_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    home_lake = Lake(tmp_path / "home" / "lake")
    load(home_lake, sample_folder, 2010)
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(real_folder))
    refused = CliRunner().invoke(main, ["run"])
    assert refused.exit_code == 1
    assert "records of 2010 here are the generated sample" in refused.output and "What to do" in refused.output
    assert home_lake.available_years("raw_bridges") == [2010] and not (tmp_path / "home" / "dagster").exists()
    refuse_mix_with_source(home_lake, settings(monkeypatch, sample_folder))
    refuse_mix_with_source(home_lake, settings(monkeypatch, "fhwa"))
    load(home_lake, real_folder, 2019)
    with pytest.raises(SourceError, match="records of 2019 here are real"):
        refuse_mix_with_source(home_lake, settings(monkeypatch, "sample"))


def test_a_copy_of_the_sample_in_another_folder_is_still_the_sample(
    sample_folder: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, sample_folder, 2010)
    data = settings(monkeypatch, sample_folder)
    refuse_mix(lake, data, survey_source(sample_folder, 2011))
    assert source_name(lake_origin(lake), data) == "the generated sample inventory"


def test_the_source_is_named_by_its_records_not_by_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Origin(real_years=(2019,))
    assert source_name(real, settings(monkeypatch, "/data/alaska")) == "alaska"
    assert source_name(Origin(sample_years=(2019,)), settings(monkeypatch, "/data/alaska")).startswith("the generated")
    assert source_name(real, settings(monkeypatch, "sample")) == "survey files of an earlier source"
    assert "real" in source_name(Origin((2018,), (2019,)), settings(monkeypatch, "sample"))


def test_years_are_written_as_ranges() -> None:
    assert format_years([2012, 2006, 2007, 2008]) == "2006 to 2008, 2012"
