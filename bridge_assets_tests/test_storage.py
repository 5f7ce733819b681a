"""An output is either complete or unchanged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from bridge_assets.errors import StorageError
from bridge_assets.storage import (
    atomic_write,
    digest,
    json_digest,
    private_file,
    private_folder,
    to_json,
    write_json,
    write_parquet,
    write_text,
)


def test_a_block_that_fails_leaves_the_previous_file(tmp_path: Path) -> None:
    path = write_text("before", tmp_path / "file.txt")
    with pytest.raises(RuntimeError), atomic_write(path) as temp_path:
        temp_path.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as temp_path:
        temp_path.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_path_that_cannot_be_written_is_an_error_with_path_and_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/below\.txt was not written: .*MB free.*run again"):
        write_text("x", tmp_path / "file" / "below.txt")


def test_the_same_value_gives_the_same_bytes(tmp_path: Path) -> None:
    assert digest(write_json({"b": 1, "a": "é"}, tmp_path / "1")) == digest(
        write_json({"a": "é", "b": 1}, tmp_path / "2")
    )
    assert json_digest({"b": 1, "a": 2}) == json_digest({"a": 2, "b": 1}) != json_digest({"a": 2, "b": 2})
    table = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert digest(write_parquet(table, tmp_path / "3")) == digest(write_parquet(table, tmp_path / "4"))


def test_a_missing_parent_folder_is_created_and_an_existing_one_is_kept(tmp_path: Path) -> None:
    for content in ("first", "second"):
        path = tmp_path / "a" / "b" / "file.txt"
        assert write_text(content, path) == path
        assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_each_write_uses_its_own_hidden_file_in_the_same_folder(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        assert first != second
        for temp_path in (first, second):
            assert temp_path.parent == tmp_path
            assert temp_path.name.startswith(".file.txt.")
            assert temp_path.name.endswith(".tmp")
            temp_path.write_text(temp_path.name)


def test_a_file_is_flushed_to_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch) -> None:
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append((os.fstat(number).st_ino, path.exists())))
    path = tmp_path / "file.txt"
    write_text("whole", path)
    assert flushed == [(path.stat().st_ino, False)]


def test_a_block_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"file\.txt was not written: No such file"),
        atomic_write(tmp_path / "file.txt"),
    ):
        pass


def test_a_full_disk_leaves_the_previous_file_and_is_reported(tmp_path: Path) -> None:
    path = write_text("before", tmp_path / "file.txt")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(StorageError) as caught, atomic_write(path) as temp_path:
        temp_path.write_text("half")
        raise full
    assert caught.value.__cause__ is full
    before, _, after = str(caught.value).partition(" MB free in ")
    assert before.startswith(f"{path} was not written: No space left on device (")
    assert after == (
        f"{tmp_path}). The previous version, if there was one, is untouched, and nothing half-written is left. "
        "What to do: free some space or correct the permissions, then run again."
    )
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_free_space_is_reported_in_megabytes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 7_000_000}))
    with pytest.raises(StorageError, match=r"it broke \(7 MB free in"), atomic_write(tmp_path / "file.txt"):
        raise OSError("it broke")


def test_free_space_is_reported_for_the_nearest_existing_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        write_text("x", Path("file") / "a" / "b.txt")
    assert str(caught.value).startswith("file/a/b.txt was not written: ")
    assert f"MB free in {tmp_path / 'file'})" in str(caught.value)


def test_a_temporary_file_that_cannot_be_removed_does_not_hide_the_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it broke"), atomic_write(tmp_path / "file.txt") as temp_path:
        temp_path.mkdir()  # unlinking a folder fails
        raise OSError("it broke")


def test_a_half_written_table_does_not_replace_the_good_one(tmp_path: Path, monkeypatch) -> None:
    good = pl.DataFrame({"a": [1]})
    path = write_parquet(good, tmp_path / "table.parquet")

    def half(table: pl.DataFrame, file: Path, **options: object) -> None:
        file.write_bytes(b"PAR1 half")
        raise pl.exceptions.ComputeError("No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", half)
    with pytest.raises(StorageError, match=r"table\.parquet was not written: No space left on device"):
        write_parquet(good, path)
    assert pl.read_parquet(path).equals(good)
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_is_written_as_zstd_with_statistics(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    assert write_parquet(pl.DataFrame({"a": [1, 2]}), path) == path
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    assert (column.compression, column.statistics.min, column.statistics.max) == ("ZSTD", 1, 2)


def test_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    assert write_text("é", tmp_path / "file").read_bytes() == b"\xc3\xa9"


def test_json_is_readable_and_ends_with_a_newline(tmp_path: Path) -> None:
    assert to_json({"b": [1], "a": "é"}) == '{\n  "a": "é",\n  "b": [\n    1\n  ]\n}\n'
    path = write_json({"a": "é"}, tmp_path / "file.json")
    assert path == tmp_path / "file.json"
    assert path.read_text(encoding="utf-8") == to_json({"a": "é"})


def test_a_digest_is_the_sha_256(tmp_path: Path) -> None:
    expected = hashlib.sha256(b"abc").hexdigest()
    assert expected == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(write_text("abc", tmp_path / "file")) == expected
    assert json_digest({"b": 1, "a": "é"}) == hashlib.sha256(json.dumps({"a": "é", "b": 1}).encode()).hexdigest()
    assert json_digest(date(2020, 1, 2)) == json_digest("2020-01-02")
    with pytest.raises(TypeError, match="cannot compute a digest of object"):
        json_digest({"a": [object()]})


def modes(folder: Path) -> dict[str, str]:
    """Relative path -> permissions in octal, for the folder and all that it holds; without links."""
    return {
        str(path.relative_to(folder.parent)): oct(path.stat().st_mode & 0o7777)
        for path in [folder, *sorted(folder.rglob("*"))]
        if not path.is_symlink()
    }


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual one: without a private folder, everybody could read what is written."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_what_is_written_in_a_private_folder_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_text("x", tmp_path / "reports" / "page.html")
    assert modes(tmp_path / "reports") == {"reports": "0o755", "reports/page.html": "0o644"}
    models = private_folder(tmp_path / "models")
    write_text("x", models / "version" / "plots" / "a.txt")
    assert modes(models) == {
        "models": "0o700",
        "models/version": "0o700",
        "models/version/plots": "0o700",
        "models/version/plots/a.txt": "0o600",
    }


@pytest.mark.usefixtures("umask")
def test_an_existing_folder_is_closed_to_others_with_all_that_it_holds(tmp_path: Path) -> None:
    outside = write_text("x", tmp_path / "outside" / "file")
    outside.chmod(0o644)
    models = tmp_path / "models"
    (models / "version").mkdir(parents=True)
    models.chmod(0o700)
    (models / "version" / "model.onnx").write_text("x")
    (models / "current").symlink_to(outside)
    (models / "gone").symlink_to("nowhere")
    private_folder(models)
    assert modes(models) == {"models": "0o700", "models/version": "0o700", "models/version/model.onnx": "0o600"}
    assert outside.stat().st_mode & 0o777 == 0o644


@pytest.mark.usefixtures("umask")
def test_a_folder_that_was_opened_to_a_group_stays_so(tmp_path: Path) -> None:
    models = private_folder(tmp_path / "models")
    models.chmod(0o2770)
    write_text("x", models / "version" / "a.txt")
    (models / "version" / "b.txt").write_text("written by a library")
    private_folder(models)
    expected = {"models": "0o2770", "models/version": "0o2770"}
    assert modes(models) == {**expected, "models/version/a.txt": "0o660", "models/version/b.txt": "0o660"}


def test_a_private_file_keeps_its_content_and_what_its_group_may(tmp_path: Path) -> None:
    path = tmp_path / "var" / "mlflow.db"
    private_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("kept")
    path.chmod(0o664)
    private_file(path)
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o660, "kept")
