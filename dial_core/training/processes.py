"""The processes of a run: one, those of this machine, or all of an `accelerate launch`."""

from __future__ import annotations

import os
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
    # Without `cpu`, accelerate takes each process of a launch on CPUs for the only one.
    return PartialState(cpu=not torch.cuda.is_available(), timeout=TIMEOUT)


def require_gpu_for_deepspeed() -> None:
    """Refuses what accelerate would do without a word: leave DeepSpeed out on a CPU and train whole weights with DDP."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true" and not torch.cuda.is_available():
        raise DialError(
            "the launch asks for DeepSpeed, and this machine has no GPU that torch finds: accelerate would train with DDP instead. "
            "Launch with a configuration that does without it (config/accelerate/ddp_8.yaml), or unset ACCELERATE_USE_DEEPSPEED"
        )


def leave_processes() -> None:
    """Ends the connections to the other processes; a program calls it last. gloo's threads may abort one that exits without (status -6)."""
    process_state().destroy_process_group()
