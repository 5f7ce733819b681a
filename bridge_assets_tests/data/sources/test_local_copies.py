"""The name of a revised file has the same year and state; unfinished files are not taken for survey files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.data.reading.file_names import (
    base_stem,
    group_by_survey_year,
    revised_file_name,
    state_of,
    survey_year_of,
)
from bridge_assets.data.sources.local_copies import redact_url

NAMES = st.builds(
    "{}{}".format,
    st.sampled_from(["NBI_2016", "AK19", "2018HwyBridgesDelimitedAllStates", "bridges", "a.b_2016"]),
    st.sampled_from([".txt", ".csv", ".zip", ".txt.gz", ".TXT", ".parquet"]),
)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(name=NAMES, sha256=DIGESTS)
def test_a_revised_file_keeps_its_year_state_and_ending(name: str, sha256: str) -> None:
    revised = revised_file_name(name, sha256)
    assert revised != name
    assert base_stem(revised) == base_stem(name)
    assert (survey_year_of(revised), state_of(revised)) == (survey_year_of(name), state_of(name))
    assert revised.rpartition(".")[2] == name.rpartition(".")[2]


@given(name=NAMES, mark=st.sampled_from([".part", ".lock", ".json", ".part.json", ".whole"]))
def test_unfinished_files_are_not_survey_files(name: str, mark: str) -> None:
    assert group_by_survey_year([f".{name}{mark}", f"2019/.{name}{mark}", f".{name}"]) == ({}, [])


def test_an_address_is_shown_without_secrets() -> None:
    assert redact_url("https://user:secret@host:8080/a%20b.zip?sig=secret#x") == "https://host:8080/a%20b.zip"
    assert redact_url("s3://key:secret@bucket/NBI_2016.txt") == "s3://bucket/NBI_2016.txt"
    for address in ("sqlite:////srv/var/mlflow.db", "sqlite:///var/mlflow.db", "file:///srv/nbi", "dvc:/srv/models"):
        assert redact_url(address) == address
