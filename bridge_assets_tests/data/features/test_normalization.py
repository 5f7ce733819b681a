"""Normalisation of rows in an array and in a table."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.data.features.normalization import Normalization


@given(
    st.lists(st.tuples(*[st.none() | st.floats(width=64, allow_nan=False)] * 3), min_size=1, max_size=6),
    st.tuples(*[st.floats(-1e4, 1e4)] * 3),
    st.tuples(*[st.floats(1e-9, 1e6)] * 3),
)
def test_rows_in_an_array_are_normalised_like_a_table_to_the_last_bit(rows, center, scale):
    names = ("a", "b", "c")
    normalization = Normalization(names, center[::-1], center, scale)
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")
    expected = normalization.transform(table).to_numpy()
    found = normalization.row_scaler()(np.array(rows, dtype=np.float64))
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
