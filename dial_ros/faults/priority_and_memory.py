"""Priority of the campaign's processes, and resident memory of any."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HIGH_PRIORITY = -10  # nice


@contextmanager
def high_priority() -> Iterator[None]:
    """The campaign itself goes before everything else, where it may: it must not be what is late on a busy machine."""
    _set_priority(HIGH_PRIORITY)
    try:
        yield
    finally:
        _set_priority(0)


@contextmanager
def normal_priority() -> Iterator[None]:
    """Processes started within are not given the campaign's own priority."""
    _set_priority(0)
    try:
        yield
    finally:
        _set_priority(HIGH_PRIORITY)


def _set_priority(nice: int) -> None:
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def rss_mb(pid: int) -> float:
    """Resident memory of a process [MB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def reset_peak(pid: int) -> None:
    """Makes the peak of a process's resident memory count from now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss_mb(pid: int) -> float:
    """Peak of a process's resident memory since `reset_peak` [MB]."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6
