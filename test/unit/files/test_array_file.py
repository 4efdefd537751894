"""pytest test/unit/files/test_array_file.py"""

import pickle

import numpy as np
import pytest

from dial_core.errors import DialError
from dial_core.files.array_file import ArrayFile


@pytest.fixture
def stored(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float16)
    np.save(tmp_path / "values.npy", values)
    return tmp_path / "values.npy", values


def test_rows_come_in_the_order_asked_in_this_process_and_in_a_copy(stored):
    path, values = stored
    file, rows = ArrayFile(path), np.array([49, 0, 7, 7])
    np.testing.assert_array_equal(file[rows], values[rows])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(file))[rows], values[rows])
    assert (len(file), file.shape, file.dtype) == (50, (50, 3, 4), np.float16)


def test_rows_that_are_not_there_are_refused(stored):
    path, _ = stored
    file = ArrayFile(path)
    with pytest.raises(IndexError, match="rows 0 to 49, not 50"):
        file[np.array([50])]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DialError, match="ends within row 49; delete it"):
        file[np.array([49])]
