"""Runs of Weights & Biases, as transformers' callback begins them: one for each stage, all of a `dial train` in one group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

GROUP = "WANDB_RUN_GROUP"
"""Environment variable where wandb reads the group of a run that is begun."""


@contextmanager
def stage_run(folder: Path, wanted: bool) -> Iterator[None]:
    """Groups the run that is begun within it by the folder above `folder`, and finishes it at the end, as failed after an exception.

    The callback begins a run only where none is open, on the first process alone, and never finishes one: the next stage's rows would
    go into this stage's run, their steps from 1 again. A group that the environment names is kept.

    Args:
        folder: of the stage, such as `out/few_shot/1-warmup`, whose group is `few_shot`.
        wanted: whether the call reports to Weights & Biases; without it nothing is done, and the package need not be installed.
    """
    if not wanted:
        yield
        return
    wandb: Any = import_module("wandb")
    named = GROUP in os.environ
    os.environ.setdefault(GROUP, folder.resolve().parent.name)
    exit_code = 1
    try:
        yield
        exit_code = 0
    finally:
        if not named:
            del os.environ[GROUP]
        if wandb.run is not None:
            wandb.finish(exit_code=exit_code)
