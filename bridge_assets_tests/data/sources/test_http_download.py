"""A download is complete and verified, and never overwrites a file, whatever the server does."""

from __future__ import annotations

import io
import multiprocessing
import random
import re
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.download_server import DownloadServer, download_server, self_signed

from bridge_assets.data.sources.http_download import download, url_exists
from bridge_assets.data.sources.local_copies import DownloadedFile
from bridge_assets.data.sources.survey_files import survey_files
from bridge_assets.errors import SourceError, StorageError

BODY = random.Random(7).randbytes(1_000_000)
REVISED = BODY[::-1]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def fetch(address: str, folder: Path, name: str = "NBI_2016.txt", **how) -> DownloadedFile:
    return download(address, folder / name, **{"backoff": 0.01, "timeout": 5.0, "progress": lambda line: None, **how})


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fluna_99.txt", content)
    return packed.getvalue()


def test_a_file_is_downloaded_completely_and_described(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, last_modified="Mon, 15 Jun 2026 12:00:00 GMT")
    copy = fetch(address, tmp_path, sha256=digest(BODY), size=len(BODY))
    assert copy.path.read_bytes() == BODY
    assert copy == DownloadedFile(
        tmp_path / "NBI_2016.txt", digest(BODY), len(BODY), address, web_server.files["/a.txt"].etag,
        "Mon, 15 Jun 2026 12:00:00 GMT", revised=False, previous_copy=None, bytes_transferred=len(BODY),
    )  # fmt: skip


def test_an_unchanged_file_is_not_downloaded_again(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY)
    first = fetch(address, tmp_path)
    again = fetch(address, tmp_path)
    assert again.bytes_transferred == 0
    assert (again.path, again.sha256, again.etag, again.revised) == (first.path, first.sha256, first.etag, False)
    assert web_server.bytes_sent == len(BODY)


def test_the_date_is_enough_without_an_etag(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, etag="", last_modified="Mon, 15 Jun 2026 12:00:00 GMT")
    fetch(address, tmp_path)
    assert fetch(address, tmp_path).bytes_transferred == 0


def test_a_modified_copy_is_not_mistaken_for_the_file_on_the_server(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY)
    copy = fetch(address, tmp_path)
    copy.path.write_bytes(b"mine")
    again = fetch(address, tmp_path)
    assert again.path.read_bytes() == BODY
    assert again.revised
    assert again.previous_copy is not None
    assert again.previous_copy.read_bytes() == b"mine"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_interrupted_download_is_resumed(web_server: DownloadServer, tmp_path: Path, chunked: bool) -> None:
    address = web_server.serve("/a.txt", BODY, faults=["cut", "cut"], chunked=chunked)
    copy = fetch(address, tmp_path, sha256=digest(BODY))
    assert copy.path.read_bytes() == BODY
    ranges = [headers.get("Range", "") for _, _, headers in web_server.requests]
    assert [re.fullmatch(r"bytes=[1-9]\d+-", each) is not None for each in ranges] == [False, True, True]
    assert web_server.bytes_sent < 1.2 * len(BODY)


def test_a_later_call_resumes_an_earlier_one(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, faults=["cut"])
    with pytest.raises(SourceError, match=r"could not be downloaded.*cut after [1-9].*resumes where it stopped"):
        fetch(address, tmp_path, attempts=1)
    assert visible(tmp_path) == []
    assert survey_files(tmp_path) == {}
    copy = fetch(address, tmp_path)
    assert copy.path.read_bytes() == BODY
    assert copy.bytes_transferred < len(BODY)


def test_parts_of_different_versions_are_not_joined(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, faults=["cut"])
    with pytest.raises(SourceError):
        fetch(address, tmp_path, attempts=1)
    web_server.files["/a.txt"].set_body(REVISED)
    assert fetch(address, tmp_path).path.read_bytes() == REVISED


@pytest.mark.parametrize("how", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}])
def test_a_download_that_cannot_be_resumed_starts_again(web_server: DownloadServer, tmp_path: Path, how: dict) -> None:
    address = web_server.serve("/a.txt", BODY, faults=["cut"], **how)
    copy = fetch(address, tmp_path)
    assert copy.path.read_bytes() == BODY


def test_retry_after_is_respected(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, faults=["429", "503", "500"], retry_after="0")
    messages: list[str] = []
    assert fetch(address, tmp_path, progress=messages.append).path.read_bytes() == BODY
    assert "429" in messages[0]
    address = web_server.serve("/b.txt", BODY, faults=["429"], retry_after="1")
    messages.clear()
    fetch(address, tmp_path, "NBI_2017.txt", progress=messages.append)
    assert "in 1.0 s" in messages[0]


def test_waiting_time_and_attempts_are_limited(web_server: DownloadServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="requires a wait of 3600 seconds"):
        fetch(web_server.serve("/a.txt", BODY, faults=["429"], retry_after="3600"), tmp_path)
    with pytest.raises(SourceError, match=r"3 attempts failed, the last one because the server returned 503"):
        fetch(web_server.serve("/b.txt", status=503), tmp_path, attempts=3)
    assert len(web_server.requests) == 4


def test_a_silent_server_times_out(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, chunk_delay=0.6)
    with pytest.raises(SourceError, match=r"2 attempts failed.*timed out"):
        fetch(address, tmp_path, timeout=0.2, attempts=2)


def test_an_unreachable_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9.*2 attempts failed.*refused"):
        fetch("http://127.0.0.1:9/a.txt", tmp_path, attempts=2)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"content_type": "text/html; charset=utf-8"}, "web page, not a survey file"),
        ({"body": b"\n<!DOCTYPE html><html>moved"}, "web page, not a survey file"),
        ({"body": b""}, "the file is empty"),
        ({"encoding": "gzip"}, "compresses"),
        ({"status": 403}, r"access denied.*403"),
        ({"status": 401}, r"access denied.*401"),
        ({"status": 418}, "418"),
        ({"redirect": "file:///etc/passwd"}, "another scheme, file:"),
        ({"redirect": "ftp://127.0.0.1/a"}, "another scheme, ftp:"),
        ({"redirect": "/a.txt"}, "more than 5 redirects"),
        ({"content_length": 3_000_000}, r"first reported 3,000,000 bytes and then 1,000,000"),
        ({"content_length": 3_000_000, "ranges": False}, "cut after"),
        ({"content_length": 500_000}, "reports a wrong length"),
    ],
    ids=str,
)
def test_other_responses_are_refused(web_server: DownloadServer, tmp_path: Path, how: dict, message: str) -> None:
    body = how.pop("body", BODY)
    address = web_server.serve("/a.txt", body, **how)
    with pytest.raises(SourceError, match=message):
        fetch(address, tmp_path, attempts=2)
    assert visible(tmp_path) == []


def test_the_error_for_a_missing_file_says_what_to_do(web_server: DownloadServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"/gone\.txt: the file does not exist at this address.*404.*wait for June"):
        fetch(web_server.address + "/gone.txt", tmp_path, not_found_hint="wait for June")


def test_https_is_never_redirected_to_http(
    web_server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path / "certificate.pem")
    plain = web_server.serve("/a.txt", BODY)
    with download_server(certificate) as secure:
        with pytest.raises(SourceError, match=r"certificate is not trusted.*REQUESTS_CA_BUNDLE"):
            fetch(secure.serve("/a.txt", BODY), tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert fetch(secure.address + "/a.txt", tmp_path).path.read_bytes() == BODY
        with pytest.raises(SourceError, match=r"redirects to another scheme, http:.*only https"):
            fetch(secure.serve("/b.txt", redirect=plain), tmp_path)
        with pytest.raises(SourceError, match="another scheme, http:"):  # not even via another host and back
            fetch(web_server.serve("/c.txt", redirect=secure.address + "/b.txt"), tmp_path)
    assert [request[1] for request in web_server.requests] == ["/c.txt"]


def test_a_redirect_is_followed(web_server: DownloadServer, tmp_path: Path) -> None:
    web_server.serve("/b.txt", BODY)
    assert fetch(web_server.serve("/a.txt", redirect="/b.txt"), tmp_path).path.read_bytes() == BODY


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_that_is_too_large_is_refused_and_not_stored(
    web_server: DownloadServer, tmp_path: Path, chunked: bool
) -> None:
    address = web_server.serve("/a.txt", BODY, chunked=chunked)
    with pytest.raises(SourceError, match="larger than 0 MB"):
        fetch(address, tmp_path, max_bytes=200_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1000


def test_an_unexpected_size_is_refused(web_server: DownloadServer, tmp_path: Path) -> None:
    for chunked in (False, True):
        with pytest.raises(SourceError, match=r"unexpected size.*1,000,000 bytes, but 5 were"):
            fetch(web_server.serve("/a.txt", BODY, chunked=chunked), tmp_path, size=5)


def test_a_truncated_archive_is_damaged_and_not_a_revised_file(web_server: DownloadServer, tmp_path: Path) -> None:
    whole = zipped(BODY)
    address = web_server.serve("/a.zip", whole, content_length=len(whole) - 400)
    with pytest.raises(SourceError, match="the archive is damaged"):
        fetch(address, tmp_path, "2016hwybronlyonefile.zip", sha256=digest(whole))
    assert visible(tmp_path) == []


def test_a_file_with_an_unexpected_digest_is_stored_under_a_separate_name(
    web_server: DownloadServer, tmp_path: Path
) -> None:
    address = web_server.serve("/a.txt", REVISED)
    copy = fetch(address, tmp_path, sha256=digest(BODY))
    assert copy.revised
    assert copy.previous_copy is None
    assert visible(tmp_path) == [copy.path.name] == [f"NBI_2016.{digest(REVISED)[:12]}.txt"]
    again = fetch(address, tmp_path, sha256=digest(BODY))
    assert (again.revised, again.bytes_transferred, again.path) == (True, 0, copy.path)
    assert not fetch(address, tmp_path, sha256=digest(REVISED)).revised


def test_a_revised_file_is_stored_next_to_the_old_one(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY)
    old = fetch(address, tmp_path)
    web_server.files["/a.txt"].set_body(REVISED)
    new = fetch(address, tmp_path)
    assert new.revised
    assert new.previous_copy == old.path
    assert (old.path.read_bytes(), new.path.read_bytes()) == (BODY, REVISED)
    web_server.files["/a.txt"].set_body(BODY)
    back = fetch(address, tmp_path)
    assert (back.path, back.revised, back.previous_copy) == (old.path, False, None)
    assert len(visible(tmp_path)) == 2


def test_progress_is_reported_with_bytes_and_rate(web_server: DownloadServer, tmp_path: Path) -> None:
    messages: list[str] = []
    address = web_server.serve("/a.txt", BODY, chunk_delay=0.02)
    fetch(address, tmp_path, progress=messages.append, progress_interval=0.05)
    assert len(messages) >= 2
    assert re.fullmatch(r"NBI_2016\.txt: 0\.\d of 1\.0 MB, \d+\.\d MB/s", messages[0])


def test_a_query_is_neither_logged_nor_stored(web_server: DownloadServer, tmp_path: Path) -> None:
    web_server.serve("/a.txt", BODY)
    address = f"{web_server.address}/a.txt?signature=secret"
    messages: list[str] = []
    copy = fetch(address, tmp_path, progress=messages.append)
    assert "secret" not in f"{copy}{messages}" + "".join(path.read_text("latin-1") for path in tmp_path.iterdir())
    for bad in (address.replace("a.txt", "b.txt"), "http://127.0.0.1:9/a.txt?signature=secret"):
        with pytest.raises(SourceError) as error:
            fetch(bad, tmp_path, attempts=1)
        assert "secret" not in str(error.value)


def test_an_unwritable_folder_is_an_error(web_server: DownloadServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(web_server.serve("/a.txt", BODY), tmp_path / "file")


def test_checking_whether_a_file_is_published_downloads_nothing(web_server: DownloadServer) -> None:
    assert url_exists(web_server.serve("/a.txt", BODY))
    assert not url_exists(web_server.address + "/b.txt")
    assert not url_exists(web_server.serve("/c.txt", b"<html>", content_type="text/html"))
    with pytest.raises(SourceError, match="503"):
        url_exists(web_server.serve("/d.txt", status=503))
    assert web_server.bytes_sent < 100


SMALL = BODY[:200_000]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(["cut", "503", "429", "500"]), max_size=6),
    cut_after=st.integers(0, 200_001),
    etag=st.sampled_from(['"strong"', 'W/"weak"', ""]),
    date=st.sampled_from(["", "Mon, 15 Jun 2026 12:00:00 GMT"]),
    ranges=st.booleans(),
    chunked=st.booleans(),
    calls=st.integers(1, 7),
)
def test_whatever_the_server_does_a_file_is_complete_or_absent(
    web_server: DownloadServer, tmp_path: Path, faults: list[str], cut_after: int, etag: str, date: str, ranges: bool,
    chunked: bool, calls: int,
) -> None:  # fmt: skip
    folder = tmp_path / str(len(web_server.requests))
    address = web_server.serve(
        "/a.txt", SMALL, faults=[*faults], cut_after=cut_after, etag=etag, last_modified=date, ranges=ranges,
        chunked=chunked, retry_after="0",
    )  # fmt: skip
    for attempts in [1] * calls:
        try:
            assert fetch(address, folder, attempts=attempts).path.read_bytes() == SMALL
        except SourceError:
            assert visible(folder) == []
    assert fetch(address, folder, attempts=8).path.read_bytes() == SMALL
    assert visible(folder) == ["NBI_2016.txt"]


def _fetch_in_process(address: str, folder: Path) -> None:
    assert fetch(address, folder).path.read_bytes() == BODY


def test_two_processes_download_the_same_file_only_once(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, chunk_delay=0.02)
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_fetch_in_process, args=(address, tmp_path)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(20)
    assert [process.exitcode for process in both] == [0, 0]
    assert web_server.bytes_sent == len(BODY)
    assert visible(tmp_path) == ["NBI_2016.txt"]


def test_a_killed_download_is_resumed(web_server: DownloadServer, tmp_path: Path) -> None:
    address = web_server.serve("/a.txt", BODY, chunk_delay=0.05)
    process = multiprocessing.get_context("fork").Process(target=_fetch_in_process, args=(address, tmp_path))
    process.start()
    part, deadline = tmp_path / ".NBI_2016.txt.part", time.monotonic() + 20
    while time.monotonic() < deadline and not (part.is_file() and part.stat().st_size > 200_000):
        time.sleep(0.01)
    process.kill()
    process.join()
    assert visible(tmp_path) == []
    web_server.files["/a.txt"].chunk_delay = 0.0
    copy = fetch(address, tmp_path)
    assert copy.path.read_bytes() == BODY
    assert copy.bytes_transferred < 900_000
