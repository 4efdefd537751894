"""Columns as people's parquet files have them, and rows in any order.

pytest test/unit/datasets/test_columns_and_rows.py
"""

import numpy as np
import pyarrow
import pytest

from dial_core.datasets.columns import Columns, matrix_of
from dial_core.datasets.episode_rows import ordered_rows
from dial_core.errors import DialError

LISTS = pyarrow.list_(pyarrow.float32())


def chunked(values, kind) -> pyarrow.ChunkedArray:
    if isinstance(kind, pyarrow.BaseExtensionType):
        return pyarrow.chunked_array([pyarrow.ExtensionArray.from_storage(kind, pyarrow.array(values, kind.storage_type))])
    return pyarrow.chunked_array([pyarrow.array(values, kind)])


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([[1, 2], [3, 4]], LISTS, [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], pyarrow.list_(pyarrow.float32(), 2), [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], pyarrow.large_list(pyarrow.int16()), [[1, 2], [3, 4]]),
        ([[[1], [2]], [[3], [4]]], pyarrow.list_(pyarrow.list_(pyarrow.float64())), [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], pyarrow.fixed_shape_tensor(pyarrow.float32(), (2,)), [[1, 2], [3, 4]]),
        ([np.float16(1.5), np.float16(2)], pyarrow.float16(), [[1.5], [2]]),
        ([True, False], pyarrow.bool_(), [[1], [0]]),
    ],
)
def test_every_way_to_store_numbers_gives_the_same_matrix(values, kind, expected):
    column = chunked(values, kind)
    np.testing.assert_array_equal(matrix_of(column, "test"), expected)
    np.testing.assert_array_equal(Columns(pyarrow.table({"a": column}), "test")["a"], expected)


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([[1, 2], None], LISTS, r"1 empty \(null\) values, first in frame 1"),
        ([[1, 2], None], pyarrow.list_(pyarrow.float32(), 2), r"1 empty \(null\) values, first in frame 1"),
        ([[1, 2], [3, None]], LISTS, r"1 empty \(null\) values, first in frame 1"),
        ([1.0, None], pyarrow.float64(), r"1 empty \(null\) values, first in frame 1"),
        ([[1, 2], [3], [4, 5]], LISTS, "1 values in frame 1, 2 in the first"),
        ([[1, 2], [3], [4, 5, 6]], LISTS, "1 values in frame 1, 2 in the first"),  # adds up to the right total
    ],
)
def test_nulls_and_ragged_rows_are_refused_with_the_frame(values, kind, words):
    with pytest.raises(DialError, match=f"state has {words}"):
        matrix_of(chunked(values, kind), "state")


def test_text_is_no_number():
    with pytest.raises(DialError, match="timestamp holds 'string', not numbers"):
        ordered_rows(pyarrow.table({"timestamp": ["0.0", "0.1"]}), 10.0, "episode 3")


def test_a_broken_column_harms_only_who_needs_it():
    columns = Columns(pyarrow.table({"good": [1.0, 2.0], "bad": [1.0, None], "text": ["a", "b"]}), "episode 3")
    assert list(columns) == ["good", "bad"]
    assert columns["good"].shape == (2, 1)
    with pytest.raises(DialError, match=r"episode 3: bad has 1 empty \(null\)"):
        _ = columns["bad"]
    with pytest.raises(DialError, match=r"^episode 3 has no column 'ugly'; numeric columns: good, bad$"):
        _ = columns["ugly"]


def rows(numbers, times=None) -> pyarrow.Table:
    values = {"frame_index": numbers, "timestamp": [n / 30 for n in numbers] if times is None else times}
    return pyarrow.table(values | {"value": [float(n) for n in numbers]})


def test_rows_out_of_order_are_sorted():
    assert ordered_rows(rows([3, 1, 0, 2]), 30.0, "test")["value"].to_pylist() == [0, 1, 2, 3]
    unnumbered = rows([3, 1, 0, 2]).drop(["frame_index"])
    assert ordered_rows(unnumbered, 30.0, "test")["value"].to_pylist() == [0, 1, 2, 3]


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_times_may_be_in_any_unit_and_begin_anywhere(unit):
    ordered_rows(rows(list(range(60)), [(1000 + n / 30) * unit for n in range(60)]), 30.0, "test")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (rows([0, 1, 3, 4]), "frame_index goes from 1 to 3; rows are missing"),
        (rows([0, 1, 1, 2]), "frame_index goes from 1 to 1"),
        (rows(list(range(30)), [n / 15 for n in range(30)]), "timestamps step by 0.06667 s, but meta/info.json says 30"),
        (rows(list(range(90)), [n / 30 + 0.03 * (n == 40) for n in range(90)]), "row 40 is 0.030 s from its time"),
        (rows([0, 1], [0.0, float("nan")]), "not finite"),
    ],
)
def test_rows_that_are_missing_or_at_another_rate_are_refused(table, words):
    with pytest.raises(DialError, match=words):
        ordered_rows(table, 30.0, "test")
