"""The processes of a run: one, those of this machine, or all of an `accelerate launch`."""

from __future__ import annotations

import atexit
import os
import sys
from datetime import timedelta

import torch
from accelerate import PartialState

from dial_core.errors import DialError

TIMEOUT = timedelta(hours=12)
"""How long processes wait for each other: the first one may render views or encode a whole dataset while the others stand at a barrier."""


def process_state() -> PartialState:
    """accelerate's state of this process. The first call joins the processes, with a timeout that outlasts the preparation of data.

    Raises:
        DialError: the launch asks for DeepSpeed on a machine without a GPU.
    """
    require_gpu_for_deepspeed()
    if PartialState._shared_state:
        return PartialState()
    atexit.register(_skip_finalisation)
    # Without `cpu`, accelerate takes each process of a launch on CPUs for the only one.
    return PartialState(cpu=not torch.cuda.is_available(), timeout=TIMEOUT)


def require_gpu_for_deepspeed() -> None:
    """Refuses what accelerate would do without a word: leave DeepSpeed out on a CPU and train whole weights with DDP."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true" and not torch.cuda.is_available():
        raise DialError(
            "the launch asks for DeepSpeed, and this machine has no GPU that torch finds: accelerate would train with DDP instead. "
            "Launch with a configuration that does without it (config/accelerate/ddp_8.yaml), or unset ACCELERATE_USE_DEEPSPEED"
        )


def launched_with_fsdp() -> bool:
    """Whether the launch asks for weights in shards by FSDP (`config/accelerate/fsdp2_8.yaml`)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def leave_processes() -> None:
    """Ends the connections to the other processes; a program that launches took part in calls it last, when all it writes is written."""
    state = process_state()
    state.destroy_process_group()
    if state.num_processes > 1:
        _left.append(True)


_left: list[bool] = []


def _skip_finalisation() -> None:
    """Ends the process with status 0 at once, if it left the others properly.

    An exit function, registered before this program's own and so run after them. Those that imports registered earlier (logging's,
    multiprocessing's) are skipped: after `leave_processes` nothing may be left to write, or to fail.
    Since torch's caches of sharded tensors hold the process group, gloo's threads outlive its end, and one that wants Python's lock while
    the interpreter is taken down aborts the whole process (status -6).
    """
    if _left:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
