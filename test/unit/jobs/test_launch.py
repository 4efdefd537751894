"""Processes that train together: they find each other, and they end together.

pytest test/unit/jobs/test_launch.py
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dial_core.errors import DialError
from dial_core.jobs.launch import launch


def test_every_process_knows_its_rank_and_the_others(tmp_path):
    program = f"import os; open(os.path.join({str(tmp_path)!r}, os.environ['RANK']), 'w').write(os.environ['WORLD_SIZE'])"
    assert launch(["-c", program], 3, tmp_path / "logs") == 0
    assert [(tmp_path / str(rank)).read_text() for rank in range(3)] == ["3", "3", "3"]


def test_the_first_process_reports_its_own_failure_and_the_others_end(tmp_path):
    program = "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '0' else time.sleep(60)"
    started_s = time.monotonic()
    assert launch(["-c", program], 2, tmp_path) == 3
    assert time.monotonic() - started_s < 30


def test_the_failure_of_another_process_is_reported_with_what_it_printed(tmp_path):
    program = "import os, sys, time; sys.exit('out of memory') if os.environ['RANK'] == '1' else time.sleep(60)"
    with pytest.raises(DialError, match=r"process 1 of 2 ended with status 1(.|\n)*process-1\.log:\nout of memory"):
        launch(["-c", program], 2, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death")
def test_a_killed_launcher_leaves_no_process_behind(tmp_path):
    child = f"import os, time; open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w').close(); time.sleep(60)"
    launcher = (
        f"from pathlib import Path; from dial_core.jobs.launch import launch; launch(['-c', {child!r}], 2, Path({str(tmp_path)!r}, 'logs'))"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher], cwd=Path(__file__).parents[3])
    until(lambda: len(pids(tmp_path)) == 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: not any(alive(pid) for pid in pids(tmp_path)))


def pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)
        os.sched_yield()
