"""An output is there whole, or as it was before."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from bridge_assets.storage import StorageError, digest, digest_of, replacing, write_json, write_parquet, write_text


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_text("before", tmp_path / "file.txt")
    with pytest.raises(RuntimeError), replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_visible_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as aside:
        aside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_place_that_cannot_be_written_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/below\.txt was not written: .*MB free.*run again"):
        write_text("x", tmp_path / "file" / "below.txt")


def test_the_same_value_gives_the_same_bytes(tmp_path: Path) -> None:
    assert digest(write_json({"b": 1, "a": "é"}, tmp_path / "1")) == digest(
        write_json({"a": "é", "b": 1}, tmp_path / "2")
    )
    assert digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1}) != digest_of({"a": 2, "b": 2})
    table = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert digest(write_parquet(table, tmp_path / "3")) == digest(write_parquet(table, tmp_path / "4"))
