"""Real-time scheduling of a node's threads, as controller_manager asks for: an overloaded machine then does not keep them waiting."""

import os
from pathlib import Path


def ask_for_real_time(priority: int) -> str:
    """Schedules every thread of this process by `SCHED_FIFO` at `priority` (1 to 99). Returns "" or why it was not allowed.

    Call it when all threads have been started, those of DDS too; later ones inherit the policy of the thread that starts them.
    """
    try:
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return (
            f"no real-time priority {priority}: not permitted. Give the user `rtprio {priority}` in /etc/security/limits.d "
            "(a container: `--ulimit rtprio=99`), or set `real_time_priority` to 0"
        )
    except ProcessLookupError:  # a thread that has ended meanwhile
        return ask_for_real_time(priority)
    return ""
