"""A remote file is copied once, and again only when its bytes changed; missing libraries and credentials are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.download_server import DownloadServer

from bridge_assets.data.sources.acquire import acquire_survey_year
from bridge_assets.data.sources.fsspec_files import (
    copy_path,
    copy_remote_file,
    is_remote,
    list_remote_files,
    local_copy,
)
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings


@pytest.fixture
def bucket(s3_endpoint: str):
    import s3fs

    files = s3fs.S3FileSystem()
    if not files.exists("bridges"):
        files.mkdir("bridges")
    yield files
    for path in files.find("bridges"):
        files.rm(path)


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("s3://b/k", True), ("https://h/f", True), ("gs://b/k", True), ("abfs://c/k", True),
        ("/data/NBI_2016.txt", False), ("NBI_2016.txt", False), ("file:///data/x", False), ("://x", False),
    ],
)  # fmt: skip
def test_addresses_and_paths_are_distinguished(address: str, remote: bool) -> None:
    assert is_remote(address) is remote


def test_an_object_is_copied_once(bucket, tmp_path: Path) -> None:
    bucket.pipe("bridges/nbi/NBI_2016.txt", b"one")
    messages: list[str] = []
    path = local_copy("s3://bridges/nbi/NBI_2016.txt", tmp_path, messages.append)
    assert path == tmp_path / "s3" / "bridges" / "nbi" / "NBI_2016.txt"
    assert path.read_bytes() == b"one"
    assert local_copy("s3://bridges/nbi/NBI_2016.txt", tmp_path, messages.append) == path
    assert len(messages) == 1


def test_a_changed_object_is_copied_next_to_the_old_one(bucket, tmp_path: Path) -> None:
    address, target = "s3://bridges/NBI_2016.txt", tmp_path / "NBI_2016.txt"
    bucket.pipe("bridges/NBI_2016.txt", b"one")
    first = copy_remote_file(address, target)
    bucket.pipe("bridges/NBI_2016.txt", b"two")
    second = copy_remote_file(address, target)
    assert (second.revised, second.previous_copy, second.path.read_bytes()) == (True, first.path, b"two")
    assert first.path.read_bytes() == b"one"
    assert copy_remote_file(address, target).bytes_transferred == 0
    bucket.pipe("bridges/NBI_2016.txt", b"one")
    assert copy_remote_file(address, target).path == target


def test_a_deleted_copy_is_copied_again(bucket, tmp_path: Path) -> None:
    bucket.pipe("bridges/NBI_2016.txt", b"one")
    path = local_copy("s3://bridges/NBI_2016.txt", tmp_path)
    path.unlink()
    assert local_copy("s3://bridges/NBI_2016.txt", tmp_path).read_bytes() == b"one"


def test_a_web_address_is_downloaded(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/nbi/NBI_2016.txt", b"one")
    path = local_copy(address, tmp_path)
    assert (path.name, path.read_bytes()) == ("NBI_2016.txt", b"one")
    assert local_copy(address, tmp_path) == path
    assert web_server.bytes_sent < 100


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("s3://bucket/a/NBI_2016.txt", "s3/bucket/a/NBI_2016.txt"),
        ("https://user:secret@host:8080/NBI_2016.txt", "https/host_8080/NBI_2016.txt"),
        ("https://host/a/../../../../etc/%2e%2e/passwd", "https/host/a/etc/passwd"),
    ],
)
def test_the_path_of_a_copy_follows_from_its_address(address: str, path: str) -> None:
    assert copy_path(address, Path("down")) == Path("down") / path


def test_a_different_query_is_a_different_file() -> None:
    paths = {copy_path(f"https://host/NBI_2016.txt{query}", Path()) for query in ("", "?a=1", "?a=2")}
    assert len(paths) == 3
    assert {path.name for path in paths} == {"NBI_2016.txt"}
    with pytest.raises(SourceError, match="does not name a file"):
        copy_path("https://host/", Path())


def test_a_folder_is_listed_with_its_immediate_subfolders(bucket) -> None:
    for name in ("NBI_2016.txt", "2019/AK.txt", "2019/deep/AL.txt"):
        bucket.pipe(f"bridges/nbi/{name}", name.encode())
    files = list_remote_files("s3://bridges/nbi/")
    assert [(file.name, file.address, file.bytes) for file in files] == [
        ("2019/AK.txt", "s3://bridges/nbi/2019/AK.txt", 11),
        ("NBI_2016.txt", "s3://bridges/nbi/NBI_2016.txt", 12),
    ]
    bucket.pipe("bridges/nbi/NBI_2016.txt", b"revised text")
    assert list_remote_files("s3://bridges/nbi")[1].version != files[1].version


def test_a_survey_year_is_copied_from_a_bucket(bucket, tmp_path: Path) -> None:
    for name in ("NBI_2016.txt", "2019/AK.txt", "2019/AL.txt", "readme.md"):
        bucket.pipe(f"bridges/nbi/{name}", name.encode())
    data = DataSettings(source="s3://bridges/nbi", home=tmp_path)
    source = acquire_survey_year(data, 2019)
    assert [part.address for part in source.files] == ["s3://bridges/nbi/2019/AK.txt", "s3://bridges/nbi/2019/AL.txt"]
    assert all(part.version and part.path.is_relative_to(tmp_path / "downloads") for part in source.files)
    assert not (tmp_path / "downloads" / "s3" / "bridges" / "nbi" / "NBI_2016.txt").exists()
    with pytest.raises(SourceError, match=r"no file for survey year 2018.*2016, 2019"):
        acquire_survey_year(data, 2018)
    bucket.pipe("bridges/nbi/2019/AL.txt", b"revised")
    again = acquire_survey_year(data, 2019)
    assert again.sha256 != source.sha256
    assert "revised since it was first copied" in again.warnings[0]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://bridges/gone.txt", "nothing found at this address"),
        ("s3://no-such-bucket/gone.txt", "nothing found at this address"),
        ("odd://x/a.txt", "odd:// is not supported"),
    ],
)
def test_a_failed_copy_is_an_error_with_the_reason(
    s3_endpoint: str, bucket, tmp_path: Path, address: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        local_copy(address, tmp_path)


@pytest.mark.parametrize(
    ("address", "library", "message"),
    [
        ("gs://bucket/a.txt", "gcsfs", r"gs:// needs gcsfs.*pip install .*\[gcp\]"),
        ("abfs://container/a.txt", "adlfs", r"abfs:// needs adlfs.*pip install .*\[azure\]"),
    ],
)
def test_a_missing_library_is_named(tmp_path: Path, monkeypatch, address, library, message) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)  # importing it then fails as if it were not installed
    with pytest.raises(SourceError, match=message):
        local_copy(address, tmp_path)


def test_a_missing_folder_is_an_error(bucket) -> None:
    for address in ("s3://no-such-bucket/nbi", "s3://bridges/none"):
        with pytest.raises(SourceError, match="nothing found at this address"):
            list_remote_files(address)


WITHOUT_CREDENTIALS = """
import os, sys
from pathlib import Path
for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_ENDPOINT_URL"]:
    del os.environ[name]
os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
from bridge_assets.data.sources.fsspec_files import local_copy
try:
    local_copy("s3://bridges/NBI_2016.txt", Path(sys.argv[1]))
except ValueError as error:
    print(error)
"""


def test_missing_credentials_are_named(s3_endpoint: str, tmp_path: Path) -> None:
    output = subprocess.run(
        [sys.executable, "-c", WITHOUT_CREDENTIALS, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert "no credentials for this address" in output
    assert "AWS_ACCESS_KEY_ID" in output
