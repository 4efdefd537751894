from dial_core.files.folders import folders_below


def test_folders_behind_links_are_found_and_loops_end(tmp_path):
    (tmp_path / "disk/monday").mkdir(parents=True)
    (tmp_path / "data/.hidden").mkdir(parents=True)
    (tmp_path / "data/link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/monday/back").symlink_to(tmp_path / "data")
    found = folders_below(tmp_path / "data")
    assert [str(path.relative_to(tmp_path)) for path in found] == ["data", "data/link", "data/link/monday"]


def test_a_file_has_no_folders(tmp_path):
    (tmp_path / "x").touch()
    assert folders_below(tmp_path / "x") == []
