"""A path that the system refuses is one line for the user.

pytest test/unit/files/test_refused_paths.py
"""

import errno

import pytest

from dial_core import cli
from dial_core.files.refused_paths import refused_path


def test_a_file_in_the_way_of_a_folder_is_named_with_what_to_do(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(OSError, match="Not a directory") as refused:
        (tmp_path / "notes.txt/out").mkdir()
    assert refused_path(refused.value) == f"{tmp_path}/notes.txt/out: a part of the path is a file, not a folder; choose another path"


def test_other_errors_keep_their_traceback():
    assert refused_path(OSError(errno.EIO, "Input/output error", "disk")) is None
    assert refused_path(PermissionError("of a library, without a path")) is None


def test_the_command_refuses_a_path_in_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.setattr(cli.sys, "argv", ["dial", "draw", "dial_tiny", "--out", str(tmp_path / "notes.txt/x/diagram.svg")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr().err.replace("\n", "").replace(" ", "")
    assert end.value.code == 1
    assert said == f"dial:{tmp_path}/notes.txt/x:apartofthepathisafile,notafolder;chooseanotherpath"
