"""pytest test/unit/files/test_atomic.py"""

import errno
import os
import platform
import stat

import pytest
import torch
from safetensors.torch import save_file

from dial_core.errors import DialError
from dial_core.files import atomic
from dial_core.files.atomic import atomic_folder, atomic_write, exchanged, write_json, write_text
from dial_core.files.disk_space import DiskFullError, is_disk_full, require_free


def _killed_halfway(writing):
    with writing as partial:
        (partial / "data" if partial.is_dir() else partial).write_text("half")
        raise RuntimeError("killed")


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path):
    path = tmp_path / "deep/values.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="killed"):
        _killed_halfway(atomic_write(path))
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    write_json(path, {"a": "ü"})
    assert path.read_text(encoding="utf-8") == '{\n  "a": "\\u00fc"\n}\n'


def test_a_folder_appears_complete_or_not_at_all(tmp_path):
    out = tmp_path / "dataset"
    with pytest.raises(RuntimeError, match="killed"):
        _killed_halfway(atomic_folder(out))
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(out) as staging:
        (staging / "data").write_text("first")
        assert not out.exists()
    with pytest.raises(DialError, match="exists already"), atomic_folder(out):
        pass
    with atomic_folder(out, replace=True) as staging:
        (staging / "data").write_text("second")
    assert (out / "data").read_text() == "second"
    assert list(tmp_path.iterdir()) == [out]


def test_what_appears_at_the_path_meanwhile_is_not_replaced(tmp_path):
    def write():
        with atomic_folder(tmp_path / "dataset"):
            (tmp_path / "dataset").mkdir()

    with pytest.raises(DialError, match="exists already"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def _left(folder, name, host=None):
    """What a call in another process leaves that is killed."""
    path = folder / f".{name}.{host or platform.node()}.4711.partial"
    path.mkdir()
    (path / "data").write_text("half")
    return path


def test_what_a_killed_call_has_left_is_removed_by_the_next(tmp_path):
    for name in ("dataset", "other", "dataset.x"):
        _left(tmp_path, name)
    elsewhere = _left(tmp_path, "dataset", "another_machine"), _left(tmp_path, "dataset", f"{platform.node()}.net")
    earlier = tmp_path / f".dataset.{platform.node()}.4712.old"
    earlier.mkdir()
    with atomic_folder(tmp_path / "dataset"):
        assert earlier.exists(), "it may be all that there is"
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {
        "dataset",
        *(path.name for path in elsewhere),
        *(f".{name}.{platform.node()}.4711.partial" for name in ("other", "dataset.x")),
    }


def test_what_a_call_that_runs_is_writing_is_not_removed(tmp_path):
    with atomic_folder(tmp_path / "dataset", replace=True) as staging:
        running = staging.rename(_name_of_another(staging))
        earlier = running.with_suffix(".old")
        earlier.mkdir()
        with atomic_folder(tmp_path / "dataset", replace=True):
            pass
        assert running.exists()
        assert earlier.exists()
        running.rename(staging)


def _name_of_another(staging):
    return staging.with_name(staging.name.replace(f".{os.getpid()}.", ".4711."))


@pytest.mark.parametrize("there", [True, False], ids=["folder", "dangling"])
def test_a_link_to_a_folder_on_another_disk_stays_and_the_folder_is_replaced(tmp_path, there):
    disk, link = tmp_path / "disk" / "checkpoint", tmp_path / "checkpoint"
    (disk if there else disk.parent).mkdir(parents=True)
    link.symlink_to(disk)
    with atomic_folder(link, replace=True) as staging:
        assert staging.parent == disk.parent
        (staging / "data").write_text("new")
    assert link.is_symlink()
    assert (disk / "data").read_text() == "new"
    assert list(disk.parent.iterdir()) == [disk]


def test_there_is_a_folder_at_the_path_at_every_moment_of_its_replacement(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    if not exchanged(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system exchanges no folders")
    monkeypatch.setattr(os, "replace", lambda source, target: pytest.fail(f"{target} was not there for a moment"))
    for content in ("first", "second"):
        with atomic_folder(tmp_path / "a", replace=True) as staging:
            (staging / "data").write_text(content)
    assert (tmp_path / "a" / "data").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_is_replaced_on_a_file_system_that_exchanges_none(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "exchanged", lambda one, other: False)
    for content in ("first", "second"):
        with atomic_folder(tmp_path / "a", replace=True) as staging:
            (staging / "data").write_text(content)
    assert (tmp_path / "a" / "data").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_others_can_read_what_a_library_wrote_for_its_user_alone(tmp_path):
    """Safetensors does since 0.8: a policy that one account had trained could not be loaded by the robot's."""
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "checkpoint") as staging:
            save_file({"weights": torch.zeros(2)}, staging / "model.safetensors")
            (staging / "run.sh").touch(mode=0o750)
            (staging / "private").touch(mode=0o600)
        with atomic_write(tmp_path / "weights.safetensors") as partial:
            save_file({"weights": torch.zeros(2)}, partial)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "checkpoint/model.safetensors").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "checkpoint/private").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "checkpoint/run.sh").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "weights.safetensors").stat().st_mode) == 0o640


def test_what_is_written_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: events.append("flush") or fsync(descriptor))
    monkeypatch.setattr(atomic.os, "replace", lambda a, b: events.append("rename") or replace(a, b))
    write_text(tmp_path / "a", "x")
    assert events == ["flush", "rename", "flush"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),  # pyarrow
        RuntimeError("I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_a_full_disk_is_one_line_that_says_where_whatever_library_met_it(tmp_path, error):
    assert is_disk_full(error)
    with (
        pytest.raises(DiskFullError, match=r"the disk is full \(.* MB free\) while writing values\.json; make room"),
        atomic_write(tmp_path / "values.json"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError), atomic_write(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no")


def test_room_is_asked_for_before_the_work(tmp_path):
    require_free(tmp_path / "not/there/yet", 1, "the dataset")
    with pytest.raises(DiskFullError, match=r"the dataset needs .* MB, the disk has .* MB free"):
        require_free(tmp_path / "not/there/yet", 10**18, "the dataset")
