"""Plain, gzip and zip files give the same bytes; untrustworthy archives are refused with the reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nbi_files import nbi_text

from bridge_assets.data.reading.archives import RATIO_CHECK_MIN_BYTES, open_survey_file
from bridge_assets.errors import SourceError

TEXT = nbi_text(2019, [{"STRUCTURE_NUMBER_008": str(number)} for number in range(200)]).encode()


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def content(path: Path) -> tuple[str, bytes]:
    with open_survey_file(path) as source:
        return source.name, source.file.read()


def refused(path: Path, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        content(path)
    assert str(path) in str(raised.value)
    assert "What to do" in str(raised.value)


def test_archives_are_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    for name, data in (("plain.zip", TEXT), ("packed.txt", gzip.compress(TEXT))):
        (tmp_path / name).write_bytes(data)
        assert content(tmp_path / name) == (name, TEXT)
    assert content(zipped(tmp_path / "2019.csv", {"AK19.txt": TEXT})) == ("2019.csv/AK19.txt", TEXT)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_only_delimited_member_is_read_and_others_are_ignored(tmp_path: Path, compression: int) -> None:
    members = {
        "2018/": b"",
        "2018/fluna_991992-20160919110712.txt": TEXT,
        "2018/readme.txt": b"What this is, and what it is not\n",
        "__MACOSX/2018/._fluna.txt": TEXT,
        "2018/.hidden.csv": TEXT,
        "layout.pdf": b"%PDF-1.4",
    }
    name, data = content(zipped(tmp_path / "2018.zip", members, compression))
    assert (name, data) == ("2018.zip/2018/fluna_991992-20160919110712.txt", TEXT)


def test_the_suffix_of_the_member_does_not_matter(tmp_path: Path) -> None:
    assert content(zipped(tmp_path / "a.zip", {"HWYBRIDGES": TEXT, "notes.txt": b"none"}))[0] == "a.zip/HWYBRIDGES"


def test_a_member_path_outside_the_archive_is_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert content(zipped(folder / "a.zip", {"../../out.txt": TEXT}))[1] == TEXT
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "no delimited files.*It contains nothing"),
        ({"a.pdf": b"%PDF"}, r"no delimited files.*'a\.pdf'"),
        ({"AK19.txt": TEXT, "AL19.txt": TEXT}, r"2 delimited files.*'AK19\.txt', 'AL19\.txt'"),
        ({f"{number}.txt": TEXT for number in range(12)}, "12 delimited files.* and 4 more"),
        ({"inner.zip": b"PK\x03\x04" + bytes(50)}, "unpack the inner archive"),
    ],
)
def test_an_archive_without_or_with_several_delimited_files_is_refused(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    refused(zipped(tmp_path / "a.zip", members), f"(?s){message}")


def test_an_archive_in_a_gzip_is_refused(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("AK19.txt", TEXT)
    for data in (inner.getvalue(), gzip.compress(TEXT)):
        (tmp_path / "a.gz").write_bytes(gzip.compress(data))
        refused(tmp_path / "a.gz", "an archive inside an archive")


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"AK19.txt": TEXT}).read_bytes())
    data[6] |= 1  # the flag in the local header
    data[data.rfind(b"PK\x01\x02") + 8] |= 1  # and in the directory
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "is encrypted")


def test_a_wrong_checksum_is_damage_even_if_every_byte_was_read(tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", {"AK19.txt": TEXT}, zipfile.ZIP_STORED).read_bytes())
    data[data.find(b"BEAR CREEK", 20_000)] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    refused(tmp_path / "a.zip", "archive is damaged.*CRC")
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    (tmp_path / "a.gz").write_bytes(packed)
    refused(tmp_path / "a.gz", "archive is damaged.*CRC")


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.99])
def test_a_truncated_archive_is_damaged(tmp_path: Path, kept: float) -> None:
    for name, data in (
        ("a.gz", gzip.compress(TEXT)),
        ("a.zip", zipped(tmp_path / "whole.zip", {"AK19.txt": TEXT}).read_bytes()),
    ):
        (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
        refused(tmp_path / name, "archive is damaged")


def _bomb(path: Path, size: int, claimed: int) -> Path:
    """A zip whose member expands to `size` bytes but declares another size in both headers."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    line = b"STRUCTURE_NUMBER_008,A" + b"," * 1000 + b"\n"
    whole = line + b"," * (size - len(line))
    packed, crc = packer.compress(whole) + packer.flush(), zlib.crc32(whole)
    name = b"AK19.txt"
    fields = (20, 0, 8, 0, 0, crc, len(packed), claimed, len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *fields) + name + packed
    central = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", 20, *fields, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def test_a_file_that_expands_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    size = RATIO_CHECK_MIN_BYTES + (1 << 20)
    refused(_bomb(tmp_path / "declared.zip", size, size), "expands beyond the limit")
    refused(_bomb(tmp_path / "huge.zip", 4_000, 3 << 30), "expands beyond the limit")
    (tmp_path / "read.gz").write_bytes(gzip.compress(b"," * size))
    refused(tmp_path / "read.gz", "expands beyond the limit")


def test_an_archive_that_declares_a_wrong_size_is_refused(tmp_path: Path) -> None:
    refused(_bomb(tmp_path / "less.zip", 2 << 20, 100_000), "archive is damaged")
    refused(_bomb(tmp_path / "more.zip", 20_000, 1 << 20), "archive is damaged.*1048576 bytes declared, 20000 found")


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", "does not exist")
    refused(tmp_path, "cannot be opened")


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=2000))
def test_any_bytes_survive_gzip_and_zip(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("packed")
    data = b"structure_number,\n" + data
    (folder / "a.gz").write_bytes(gzip.compress(data))
    assert content(folder / "a.gz")[1] == data
    assert content(zipped(folder / "a.zip", {"a.txt": data}))[1] == data


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (bz2.compress(b"STATE_CODE_001"), "bzip2"),
        (lzma.compress(b"STATE_CODE_001"), "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07", "RAR"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "Zstandard"),
    ],
)
def test_an_archive_of_another_kind_is_named(tmp_path: Path, beginning: bytes, name: str) -> None:
    path = tmp_path / "NBI_2019.csv.bz2"
    path.write_bytes(beginning)
    with pytest.raises(SourceError, match=f"this is a {name} archive.*What to do: unpack it"), open_survey_file(path):
        pass
