"""Imports that end before the dataset is there, by no fault of the data, and imports into one place at the same time."""

import errno

import pytest

from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.importers import engine
from dial_core.importers.engine import work_folder

from .small_imports import run, store_one


def second_ends_with(error):
    def work(job):
        if job.key == 1:
            raise error
        return store_one(job)

    return work


def stale_file():
    """What reading a bag makes of a network folder that is gone for a moment."""
    error = DialError("/data/1/a.mcap cannot be read: Stale file handle")
    error.__cause__ = OSError(errno.ESTALE, "Stale file handle", "/data/1/a.mcap")
    return error


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), RuntimeError("a bug"), stale_file()], ids=["disk", "bug", "stale"]
)
def test_what_is_no_fault_of_the_data_leaves_the_import_unfinished_and_the_same_call_resumes(tmp_path, error):
    out, stored = tmp_path / "out", []
    with pytest.raises(
        DialError, match=r"^1 of 3 ended by no fault of their data, .*\n.*bag 1: the importer failed: .*\nRun the same command again"
    ):
        run(second_ends_with(error), out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.episodes"]

    def remember(job):
        stored.append(job.key)
        return store_one(job)

    assert run(remember, out).converted == 3
    assert stored == [1]


def test_what_crashes_again_and_again_can_be_left_out(tmp_path):
    report = run(second_ends_with(RuntimeError("a bug")), tmp_path / "out", skip_crashed=True)
    assert report.left_out == {"bag 1": "the importer failed: RuntimeError: a bug"}
    assert len(LeRobotDataset(tmp_path / "out").episodes) == 2
    assert not work_folder(tmp_path / "out").exists()


def test_a_second_import_to_the_same_place_is_kept_out(tmp_path):
    """It would take the episodes of the first, which is not finished, for rests, and delete them."""
    kept_out = []

    def starts_another(job):
        with pytest.raises(DialError, match="another `dial convert`") as error:
            run(store_one, tmp_path / "out")
        kept_out.append(error)
        return store_one(job)

    assert run(starts_another, tmp_path / "out").converted == 3
    assert len(kept_out) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_import_that_waited_for_another_does_not_begin_again(tmp_path, monkeypatch):
    """The dataset appeared between the first look and the lock."""
    out, lock = tmp_path / "out", engine.folder_lock

    def late(*args):
        out.mkdir()
        return lock(*args)

    monkeypatch.setattr(engine, "folder_lock", late)
    with pytest.raises(DialError, match="exists already"):
        run(store_one, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
