"""The processes of a run: one, those of this machine, or all of an `accelerate launch`."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import PartialState

TIMEOUT = timedelta(hours=12)
"""How long processes wait for each other: the first one may render views or encode a whole dataset while the others stand at a barrier."""


def process_state() -> PartialState:
    """accelerate's state of this process. The first call joins the processes, with a timeout that outlasts the preparation of data."""
    if PartialState._shared_state:
        return PartialState()
    # Without `cpu`, accelerate takes each process of a launch on CPUs for the only one.
    return PartialState(cpu=not torch.cuda.is_available(), timeout=TIMEOUT)


def leave_processes() -> None:
    """Ends the connections to the other processes; a program calls it last. gloo's threads may abort one that exits without (status -6)."""
    process_state().destroy_process_group()
