"""Compiles one system of a checkpoint at the lowest priority, as a session with runtime `auto` asks for it.

python -m dial_core.inference.compile_program CHECKPOINT SYSTEM FLOW_STEPS NOISE_SEED
"""

import fcntl
import os
import sys

import numpy as np
import torch

from dial_core.checkpoint.checkpoint import load_checkpoint
from dial_core.checkpoint.contract import Contract
from dial_core.errors import DialError
from dial_core.inference.export import export_system
from dial_core.inference.program_parity import RecordedObservation
from dial_core.inference.programs import ProgramSpec, open_program, programs_folder

OBSERVATIONS = 4


def main(words: list[str]) -> int:
    """Compiles; returns the exit status."""
    folder, (system, flow_steps, noise_seed) = words[0], map(int, words[1:])
    only_idle_time()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(folder)
    contract = checkpoint.contract
    spec = ProgramSpec(2, "aoti", contract.model_id)
    if system == 1:
        spec = ProgramSpec(1, "aoti", contract.model_id, len(contract.views), flow_steps, noise_seed, contract.slot)
    programs_folder().mkdir(parents=True, exist_ok=True)
    with (programs_folder() / ".compiling").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one at a time: two would take each other's memory and time
        try:
            open_program(spec)  # another node's process has made it meanwhile
        except DialError:
            try:
                export_system(checkpoint, system, "aoti", made_up_observations(contract), max(1, flow_steps), noise_seed)
            except DialError as error:
                print(error, file=sys.stderr)
                return 1
    return 0


def only_idle_time() -> None:
    """Lets this process and its children run only when a processor has nothing else to do."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def made_up_observations(contract: Contract) -> list[RecordedObservation]:
    """Random images and states in the contract's shapes: rounding errors can be compared on any input."""
    rng = np.random.default_rng(0)
    return [
        RecordedObservation(
            tuple(rng.integers(0, 256, (view.height, view.width, 3), np.uint8) for view in contract.views),
            "put the can on the plate",
            rng.normal(0.0, 0.3, contract.state_dim).astype(np.float32),
        )
        for _ in range(OBSERVATIONS)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
