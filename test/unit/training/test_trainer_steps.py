"""What the trainer asks of the device and of the other processes in one step.

pytest test/unit/training/test_trainer_steps.py
"""

import pytest
import torch
from accelerate import Accelerator
from torch.overrides import TorchFunctionMode

from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.trainer import DialTrainer, run_training

from .test_trainer import Line, Output, Points, join, train

READS = {"tolist", "item", "__float__", "__bool__", "__int__", "cpu", "numpy"}
"""Methods of a tensor that wait until the device has computed it."""


class Reads(TorchFunctionMode):
    """Notes what is read from tensors within it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func.__name__ in READS:
            self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_a_step_is_checked_with_one_wait_for_the_device(tmp_path, monkeypatch):
    before, reads, norms = DialTrainer.before_step, [], []

    def watched(self, model, norm):
        judge = self.watch.judge
        monkeypatch.setattr(
            self.watch, "judge", lambda facts, *rest, **named: (norms.append(facts.gradient_norm), judge(facts, *rest, **named))
        )
        with Reads() as seen:
            before(self, model, norm)
        reads.append(seen.names)
        assert norms[-1] == float(norm)

    monkeypatch.setattr(DialTrainer, "before_step", watched)
    train(Line(), tmp_path, steps=2)
    assert reads == [["tolist"]] * 2


class Labelled(Line):
    """A line that is told how many labels a micro-batch has on average."""

    def forward(self, x: torch.Tensor, scale: torch.Tensor, labels: torch.Tensor, label_elements: torch.Tensor) -> Output:
        self.seen = [*getattr(self, "seen", []), float(label_elements)]
        return super().forward(x, scale)


def test_micro_batches_share_one_count_of_elements_that_is_reduced_once(tmp_path, monkeypatch):
    reduce, reduced = Accelerator.reduce, []
    monkeypatch.setattr(Accelerator, "reduce", lambda self, *given: (reduced.append(given), reduce(self, *given))[1])
    model = Labelled()
    plan = Optimisation(steps=1, batch_size=8, learning_rate=0.05, log_period_steps=1)
    run_training(
        model, Points(), lambda points: join(points) | {"labels": torch.zeros(2, 4)}, plan, tmp_path, "line", Hardware(micro_batch=2)
    )
    assert model.seen == [pytest.approx(2 * 3)] * 4
    assert len(reduced) == 2, "one for the elements, one before the step"
