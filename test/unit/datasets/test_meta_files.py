import pyarrow
import pytest
from pyarrow import parquet

from dial_core.datasets.meta_files import read_table
from dial_core.errors import DialError


def test_text_that_is_no_utf_8_is_refused_with_the_file_and_not_where_it_is_read(tmp_path):
    file = tmp_path / "tasks.parquet"
    words = pyarrow.StringArray.from_buffers(1, pyarrow.array([0, 2], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"\xff\xfe"))
    parquet.write_table(pyarrow.table({"task": words}), file)
    with pytest.raises(DialError, match=r"tasks\.parquet cannot be read: .*UTF8"):
        read_table(file)
