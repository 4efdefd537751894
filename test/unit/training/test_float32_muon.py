"""Muon in float32 on several processes: together they choose it and step as one does, and each does its share."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from dial_core.training import float32_muon, optimisers
from dial_core.training.float32_muon import Float32Muon
from dial_core.training.optimisation import Optimisation
from dial_core.training.optimisers import make_optimiser

SHAPES = [(24, 48), (48, 16), (16, 16), (8, 40)]
STEPS = 3
PROCESSES = 2


def matrices() -> tuple[list[Tensor], int]:
    """All matrices after some steps, the second without a gradient in the first, and how many this process made orthogonal."""
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimiser = Float32Muon(parameters, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    made, orthogonal = 0, float32_muon._orthogonal

    def counted(*arguments):
        nonlocal made
        made += 1
        return orthogonal(*arguments)

    float32_muon._orthogonal = counted
    try:
        for step in range(STEPS):
            for k, parameter in enumerate(parameters):
                parameter.grad = None if step == 0 and k == 1 else torch.randn(parameter.shape, generator=generator)
            optimiser.step()
    finally:
        float32_muon._orthogonal = orthogonal
    return [parameter.detach() for parameter in parameters], made


def as_one_of_them(rank: int, folder: Path) -> None:
    """What each process of the test runs."""
    distributed.init_process_group("gloo", f"file://{folder / 'meeting'}", timedelta(minutes=1), PROCESSES, rank)
    optimisers.multiplies_bfloat16 = lambda: rank == 0  # one machine of a mixed cluster has AMX
    plan = Optimisation(steps=1, batch_size=1, learning_rate=1e-3, optimiser="muon")
    chosen = type(make_optimiser(plan, torch.nn.Linear(24, 48, bias=False))._parts[0]).__name__
    torch.save((*matrices(), chosen), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_processes_together_step_as_one_does_and_each_makes_its_share_orthogonal(tmp_path):
    started = [subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)]) for rank in range(PROCESSES)]
    assert [process.wait(timeout=120) for process in started] == [0] * PROCESSES
    (alone, made_alone), together = matrices(), [torch.load(tmp_path / f"{rank}.pt") for rank in range(PROCESSES)]
    assert made_alone == sum(made for _, made, _ in together) == STEPS * len(SHAPES) - 1
    for stepped, made, chosen in together:
        assert chosen == "Float32Muon", "one of the processors has no units for bfloat16"
        assert made >= STEPS
        assert all(torch.equal(mine, one) for mine, one in zip(stepped, alone, strict=True))


def test_shares_are_even_and_leave_nothing_out():
    costs = [5, 1, 4, 2, 2]
    shares = float32_muon._shares(costs, 2)
    assert sorted(k for share in shares for k in share) == [0, 1, 2, 3, 4]
    assert [sum(costs[k] for k in share) for share in shares] == [7, 7]
    assert float32_muon._shares([3], 3) == [[0], [], []]


if __name__ == "__main__":
    as_one_of_them(int(sys.argv[1]), Path(sys.argv[2]))
    os._exit(0)  # as programs leave their processes (training/processes.py): gloo's threads may abort one whose interpreter is taken down
