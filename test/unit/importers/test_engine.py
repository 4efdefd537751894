"""What every import has in common: reasons, resuming, full disks, and an end that can be believed."""

import errno
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from dial_core.cli.import_report import INCOMPLETE, print_import
from dial_core.datasets.episodes import Episode, StoredEpisode, save_episode, store_episode
from dial_core.datasets.lerobot import LeRobotDataset
from dial_core.errors import DialError
from dial_core.files import disk_space
from dial_core.importers.engine import ImportJob, distinct_names, import_jobs, work_folder
from dial_core.importers.job_reports import ImportReport, JobReport
from dial_core.robot.embodiment import load_embodiment

from .small_imports import VIEW, jobs_for, run, store_one


def test_a_job_that_fails_is_named_and_the_others_are_packed(tmp_path):
    def second_fails(job):
        if job.key == 1:
            raise DialError(f"{job.source}: no topic /image/ego")
        return store_one(job)

    report = run(second_fails, tmp_path / "out")
    assert (report.converted, report.failed, report.episodes) == (2, 1, 2)
    assert report.left_out == {"bag 1": "no topic /image/ego"}
    assert json.loads((tmp_path / "out/meta/conversion.json").read_text())["left_out"] == report.left_out
    dataset = LeRobotDataset(tmp_path / "out")
    assert [span.seed for span in dataset.episodes] == [0, 2]
    assert dataset.stored_views["ego"].source_sizes == ((32, 24),)
    assert not work_folder(tmp_path / "out").exists()


def test_a_path_that_the_system_refuses_costs_its_job_and_is_named(tmp_path):
    def second_is_forbidden(job):
        if job.key == 1:
            raise PermissionError(errno.EACCES, "Permission denied", "/data/1/a.mcap")
        return store_one(job)

    reason = run(second_is_forbidden, tmp_path / "out").left_out["bag 1"]
    assert reason == "/data/1/a.mcap: this user may not use it; correct its owner or mode, or choose another path"


def test_a_full_disk_stops_the_import_with_what_to_do_and_the_same_call_resumes(tmp_path):
    stored = []

    def full_at_the_second(job):
        if job.key == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        stored.append(job.key)
        return store_one(job)

    with pytest.raises(
        DialError,
        match=r"the disk is full \([\d,]+ MB free\) while writing the episodes of bag 1; make room .*; 2 more jobs need about 0 MB",
    ):
        run(full_at_the_second, tmp_path / "out")

    def remember(job):
        stored.append(job.key)
        return store_one(job)

    assert run(remember, tmp_path / "out").converted == 3
    assert stored == [0, 1, 2]


def interrupted_before_packing(out, monkeypatch, call) -> None:
    """Runs an import until all jobs are done."""

    def stop(*args, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("dial_core.importers.engine.write_dataset", stop)
        with pytest.raises(KeyboardInterrupt):
            call()
    assert list(work_folder(out).glob("*.npz"))


def test_a_resumed_import_takes_no_report_of_another_job_nor_one_without_its_episode(tmp_path, monkeypatch):
    out, stored = tmp_path / "out", []

    def remember(job):
        stored.append(job.source)
        return store_one(job)

    interrupted_before_packing(out, monkeypatch, lambda: run(remember, out))
    (work_folder(out) / "000001-00.npz").unlink()
    jobs = [replace(job, source="/data/new") if job.key == 2 else job for job in jobs_for(out, 3)]
    stored.clear()
    import_jobs(remember, jobs, out, load_embodiment(), [VIEW], {"settings": 1}, workers=0)
    assert stored == ["/data/1", "/data/new"]


def test_a_source_that_changed_since_it_was_converted_is_converted_again(tmp_path, monkeypatch):
    """Finished recording, or repaired, between the interruption and the same call."""
    out, stored, bags = tmp_path / "out", [], [tmp_path / "bags" / str(key) for key in range(3)]
    for bag in bags:
        bag.mkdir(parents=True)
        (bag / "a.mcap").write_bytes(b"half")
    jobs = [replace(job, source=str(bag)) for job, bag in zip(jobs_for(out, 3), bags, strict=True)]

    def remember(job):
        stored.append(job.key)
        return store_one(job)

    def convert():
        import_jobs(remember, jobs, out, load_embodiment(), [VIEW], {"settings": 1}, workers=0)

    interrupted_before_packing(out, monkeypatch, convert)
    (bags[1] / "a.mcap").write_bytes(b"whole now")
    stored.clear()
    convert()
    assert stored == [1]


@pytest.mark.parametrize("before", [{"made_with": "one version"}, None], ids=["another version", "a version that noted none"])
def test_work_of_another_version_is_done_again_and_its_episodes_go(tmp_path, monkeypatch, before):
    """That version made two episodes of each source, of which actions mean something else."""
    out = tmp_path / "out"

    def two_pieces(job):
        report = store_one(job)
        save_episode(job.episode(1), Episode(np.zeros((4, 16, 16, 3), np.uint8), *[np.zeros((4, 47), np.float32)] * 2, "old", 0), 20.0)
        return replace(report, episodes=[*report.episodes, job.episode(1).name])

    def convert(work, **more):
        jobs = [replace(job, **more) for job in jobs_for(out, 2)]
        return import_jobs(work, jobs, out, load_embodiment(), [VIEW], {"settings": 1}, workers=0)

    interrupted_before_packing(out, monkeypatch, lambda: convert(two_pieces, **(before or {})))
    for file in work_folder(out).glob("0*.json") if before is None else ():
        file.write_text(json.dumps({**json.loads(file.read_text()), "state": "", "source": ""}))
    interrupted_before_packing(out, monkeypatch, lambda: convert(store_one, made_with="this version"))
    assert sorted(path.name for path in work_folder(out).glob("*.npz")) == ["000000-00.npz", "000001-00.npz"]
    assert convert(two_pieces, made_with="this version").episodes == 2, "nothing is converted a third time"


def test_a_folder_that_no_import_began_is_neither_resumed_nor_deleted(tmp_path):
    """An interrupted merge of an earlier version left one."""
    left = work_folder(tmp_path / "out") / "000000.npz"
    left.parent.mkdir()
    left.write_bytes(b"of a merge")
    with pytest.raises(DialError, match=r"out\.episodes holds files but no fingerprint\.json: .* Move it away or delete it"):
        run(store_one, tmp_path / "out")
    assert left.read_bytes() == b"of a merge"
    left.unlink()
    assert run(store_one, tmp_path / "out").converted == 3


def test_a_dataset_appears_with_its_report_or_not_at_all(tmp_path):
    out, stored = tmp_path / "out", []

    def remember(job):
        stored.append(job.key)
        return store_one(job)

    def interrupted(dataset, folder, reports):
        raise KeyboardInterrupt

    def finish(dataset, folder, reports):
        (dataset / "report.md").write_text(", ".join(report.name for report in reports))

    with pytest.raises(KeyboardInterrupt):
        run(remember, out, finish=interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["out.episodes"]
    run(remember, out, finish=finish)
    assert stored == [0, 1, 2], "nothing is converted twice"
    assert (out / "report.md").read_text() == "bag 0, bag 1, bag 2"
    assert json.loads((out / "meta/conversion.json").read_text())["converted"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_jobs_that_would_share_their_files_are_refused(tmp_path):
    out = tmp_path / "out"
    jobs = [replace(job, stem="same") for job in jobs_for(out, 2)]
    with pytest.raises(DialError, match="bag 0 and bag 1 would share their files"):
        import_jobs(store_one, jobs, out, load_embodiment(), [VIEW], {"settings": 1}, workers=0)


def test_a_disk_without_room_for_the_dataset_is_found_before_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 1000)
    with pytest.raises(DialError, match=r"packing 3 episodes into out needs [\d,]+ MB, the disk has 0 MB free; make room"):
        run(store_one, tmp_path / "out")
    monkeypatch.undo()
    assert run(store_one, tmp_path / "out").converted == 3


def test_when_nothing_could_be_imported_every_reason_is_reported_once(tmp_path):
    def fails(job):
        raise DialError("it carries no instruction")

    with pytest.raises(DialError, match=r"bag 0, bag 1, bag 2, bag 3 and 2 more: it carries no instruction"):
        run(fails, tmp_path / "out", count=6)


def ended_with(report, capsys) -> tuple[int, str]:
    status = 0
    try:
        print_import(report, "dataset", "bags")
    except typer.Exit as end:
        status = end.exit_code
    return status, capsys.readouterr().err.strip().splitlines()[-1]


def test_the_last_line_and_the_exit_status_report_what_is_missing(capsys):
    good, bad = JobReport("a", ["a.npz", "b.npz"]), JobReport("b", reason="damaged")
    failure, partly = JobReport("c", reason="a failure", excluded=True), JobReport("d", ["d.npz"], rejected=["3 of 80 commands"])
    assert ended_with(ImportReport((good,)), capsys) == (0, "2 episodes of 1 of 1 bags in dataset")
    assert ended_with(ImportReport((good, failure)), capsys) == (0, "2 episodes of 1 of 2 bags in dataset; 1 left out on purpose")
    assert ended_with(ImportReport((good, bad, partly)), capsys) == (
        INCOMPLETE,
        "3 episodes of 2 of 3 bags in dataset; 1 could not be converted, 1 used in part",
    )


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB, which root can make larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs root and a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def store_10_mb(job: ImportJob) -> JobReport:
    job.episode().parent.mkdir(parents=True, exist_ok=True)
    episode = StoredEpisode(os.urandom(10 * 2**20), np.zeros((4, 47)), np.zeros((4, 47)), "put the can", job.key, {})
    store_episode(job.episode(), episode)
    return JobReport(job.name, [job.episode().name], source_sizes={"ego": (32, 24)})


def test_a_disk_that_is_really_full_says_how_much_the_rest_needs_there(small_disk):
    out = small_disk / "out"
    settings = (out, load_embodiment(), [VIEW], {"settings": 1})
    with pytest.raises(disk_space.DiskFullError, match=rf"{small_disk}.*the disk is full .*; 2 more jobs need about 40 MB there"):
        import_jobs(store_10_mb, jobs_for(out, 4), *settings, workers=0)
    assert sorted(path.name for path in work_folder(out).glob("*.npz")) == ["000000-00.npz", "000001-00.npz"], "whole ones only"
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    assert import_jobs(store_one, jobs_for(out, 4)[2:], *settings, workers=0).converted == 2


def test_names_are_as_short_as_they_can_be_and_tell_their_sources_apart():
    paths = [Path("a/mon/x"), Path("a/tue/x"), Path("b/tue/x"), Path("y"), Path("c/d/z")]
    assert distinct_names(paths) == ["mon/x", "a/tue/x", "b/tue/x", "y", "z"]
    assert distinct_names([Path("k/0"), Path("l/0")], parts=2) == ["k/0", "l/0"]
    assert distinct_names([Path("same"), Path("same")]) == ["same", "same"]
