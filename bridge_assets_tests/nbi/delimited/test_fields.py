"""Bytes of complete lines become columns; a coded column keeps its values between calls."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bridge_assets.nbi.delimited.fields import FieldReader
from bridge_assets.nbi.delimited.kernels import FieldType

KINDS = (FieldType.CODE, FieldType.TEXT, FieldType.INTEGER, FieldType.CODE, FieldType.DECIMAL, FieldType.TEXT)


def read(reader: FieldReader, *lines: str) -> list[list]:
    return [column.to_pylist() for column in reader.read("".join(f"{line}\n" for line in lines).encode()).columns]


def test_each_column_is_read_by_its_type():
    rows = FieldReader(KINDS).read(b"01,'O'NEAL ',7,A,1.5, \n , ,,'',x,'B'\n02,C,1e3,A,-2,D\n")
    assert [column.type for column in rows.columns] == [
        pa.dictionary(pa.int32(), pa.string()), pa.string(), pa.int32(),
        pa.dictionary(pa.int32(), pa.string()), pa.float64(), pa.string(),
    ]  # fmt: skip
    assert [column.to_pylist() for column in rows.columns] == [
        ["01", None, "02"], ["O'NEAL", None, "C"], [7, None, None], ["A", None, "A"], [1.5, None, -2.0],
        [None, "B", "D"],
    ]  # fmt: skip
    assert rows.unparsed_numbers == {4: {1: "x"}, 2: {2: "1e3"}}
    assert rows.lines.tolist() == [[0, 0, 22], [1, 23, 36], [2, 37, 52]]
    assert rows.malformed.tolist() == []


def test_malformed_lines_are_reported_with_bounds_fields_and_nuls():
    rows = FieldReader([FieldType.TEXT, FieldType.CODE]).read(b"a,b\nc\n\nd,e,f\ng,\0\0\nh,i\n")
    assert rows.malformed.tolist() == [[1, 4, 5, 1, 0], [2, 6, 6, 1, 0], [3, 7, 12, 3, 0], [4, 13, 17, 2, 2]]
    assert rows.lines.tolist() == [[0, 0, 3], [5, 18, 21]]
    assert [column.to_pylist() for column in rows.columns] == [["a", "h"], ["b", "i"]]


def test_a_coded_column_keeps_its_values_between_calls():
    reader = FieldReader([FieldType.CODE, FieldType.CODE])
    first = reader.read(b"b,x\na,longer than eight\nb,\n,x\nc,longer than eight\n")
    assert [column.to_pylist() for column in first.columns] == [
        ["b", "a", "b", None, "c"], ["x", "longer than eight", None, "x", "longer than eight"],
    ]  # fmt: skip
    second = reader.read(b"d,longer than eight\na,y\nb,another long one\n")
    assert [column.to_pylist() for column in second.columns] == [
        ["d", "a", "b"], ["longer than eight", "y", "another long one"],
    ]  # fmt: skip
    # Values are in order of first appearance; those too long for the compiled loop come after.
    assert second.columns[0].dictionary.to_pylist() == ["b", "a", "c", "d"]
    assert second.columns[1].dictionary.to_pylist() == ["x", "longer than eight", "y", "another long one"]
    third = reader.read(b"a,x\n")
    assert third.columns[0].dictionary is second.columns[0].dictionary or third.columns[0].dictionary.equals(
        second.columns[0].dictionary
    )


def test_values_of_up_to_eight_bytes_and_longer_ones_are_unchanged():
    values = ["", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "É", "0", "00"]
    assert read(FieldReader([FieldType.CODE]), *values) == [[value or None for value in values]]


def test_thousands_of_values_in_two_columns_are_all_found_again():
    reader = FieldReader([FieldType.CODE, FieldType.CODE])
    numbers = np.random.default_rng(0).permutation(3000).tolist()
    for run in (numbers[:400], numbers[400:], numbers[::-1]):
        expected = [[f"{number:04d}" for number in run], [f"x{number // 2}" for number in run]]
        assert read(reader, *map(",".join, zip(*expected, strict=True))) == expected


def test_more_unparseable_numbers_than_initially_allocated_are_all_kept():
    rows = FieldReader([FieldType.INTEGER, FieldType.DECIMAL]).read(b"".join(b"x%d,y%d\n" % (n, n) for n in range(100)))
    assert rows.unparsed_numbers == {0: {n: f"x{n}" for n in range(100)}, 1: {n: f"y{n}" for n in range(100)}}
    assert [column.null_count for column in rows.columns] == [100, 100]


def test_no_lines_give_no_rows():
    rows = FieldReader(KINDS).read(b"")
    assert [len(column) for column in rows.columns] == [0] * 6
    assert (rows.lines.shape, rows.malformed.shape, rows.unparsed_numbers) == ((0, 3), (0, 5), {})


def test_a_layout_without_coded_columns_is_read():
    assert read(FieldReader([FieldType.TEXT, FieldType.INTEGER]), "a,1", "b,2") == [["a", "b"], [1, 2]]
