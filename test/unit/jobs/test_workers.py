import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dial_core.errors import ConnectionLostError
from dial_core.files.disk_space import DiskFullError
from dial_core.jobs.workers import run_jobs

JOBS = """
import errno
import os
import threading

from dial_core.bags.temporary import TemporaryFolder
from dial_core.errors import ConnectionLostError

def square_or_die(job):
    if job == 3:
        raise ValueError("three is not allowed")
    if job == 5:
        raise ValueError("Error(\\n\\terr = BAD_ALLOC,\\n)")
    if job == 4:
        os._exit(7)
    if job == 9:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/9.npz")
    if job == 8:
        raise ConnectionLostError("the policy server is gone")
    return job * job

def hold_or_read(job):
    role, pipe = job
    if role == "read":
        with open(pipe) as file:
            return file.read()
    folder = TemporaryFolder()
    with open(pipe, "w") as file:
        file.write(str(folder.path))
    threading.Event().wait()
"""


@pytest.fixture
def square_or_die(tmp_path, monkeypatch):
    """A job function in a module that a worker process can import."""
    (tmp_path / "flaky_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("flaky_jobs").square_or_die


def test_results_come_without_processes(square_or_die):
    assert [result.value for result in run_jobs(square_or_die, [1, 2], workers=0)] == [1, 4]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_ends_all_jobs_in_one_line(square_or_die, workers):
    with pytest.raises(DiskFullError, match=r"^/data: the disk is full \([\d,]+ MB free\) while writing 9\.npz; make room"):
        list(run_jobs(square_or_die, [1, 9, 2], workers))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_lost_connection_ends_all_jobs(square_or_die, workers):
    ended = []
    with pytest.raises(ConnectionLostError, match=r"^the policy server is gone$"):
        ended.extend(result.job for result in run_jobs(square_or_die, [1, 8, 2], workers))
    assert 2 not in ended


def test_an_exception_and_a_dead_process_fail_their_own_job_only(square_or_die):
    results = {result.job: result for result in run_jobs(square_or_die, range(1, 7), workers=1)}
    assert {job: result.value for job, result in results.items() if not result.error} == {1: 1, 2: 4, 6: 36}
    assert "three is not allowed" in (results[3].error or "")
    assert "exit code 7" in (results[4].error or "")
    assert results[3].reason == "ValueError: three is not allowed"
    assert results[4].reason == "the worker process died with exit code 7"
    assert results[5].reason == "ValueError: Error( err = BAD_ALLOC, )", "some errors have several lines"
    assert results[6].reason == ""


def test_a_process_that_is_ended_removes_its_temporary_files(square_or_die, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    results = run_jobs(
        sys.modules[square_or_die.__module__].hold_or_read, [(role, tmp_path / "pipe") for role in ("hold", "read")], workers=2
    )
    folder = next(results).value
    assert Path(folder).name.startswith("dial-bag-")
    results.close()
    assert not Path(folder).exists()


def test_jobs_are_drawn_only_when_a_worker_is_free(square_or_die):
    seen = []

    def until_enough():
        job = 0
        while len(seen) < 2:
            yield (job := job + 10)

    for result in run_jobs(square_or_die, until_enough(), workers=0):
        seen.append(result.value)
    assert seen == [100, 400]


ORPHANED = """
import sys
from dial_core.files.disk_space import DiskFullError
from dial_core.jobs.workers import run_jobs

def report_and_wait(folder):
    open(folder + "/started", "w").close()
    open(folder + "/go").close()

if __name__ == "__main__":
    list(run_jobs(report_and_wait, [sys.argv[1]], workers=1))
"""


def test_a_worker_whose_master_was_killed_finishes_its_job_and_ends_without_a_word(tmp_path):
    script = tmp_path / "orphaned.py"
    script.write_text(ORPHANED)
    for name in ("started", "go"):
        os.mkfifo(tmp_path / name)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, script, tmp_path], stderr=subprocess.PIPE, env=environment) as master:
        (tmp_path / "started").open().close()  # opens once the worker does
        master.kill()
        master.wait()
        (tmp_path / "go").open("w").close()
        assert master.stderr
        assert master.stderr.read() == b""  # ends once the worker has
