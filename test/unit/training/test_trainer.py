import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from dial_core.errors import DialError
from dial_core.training.trainer import Optimisation, cosine_with_warmup, run_training


@dataclass
class Output:
    loss: torch.Tensor
    world_loss: torch.Tensor


class Line(nn.Module):
    """Fits a line; raises at a step to stand for an interruption."""

    def __init__(self, stop_at: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.steps, self.stop_at = nn.Linear(4, 1), 0, stop_at

    def forward(self, x: torch.Tensor) -> Output:
        self.steps += 1
        if self.steps == self.stop_at:
            raise KeyboardInterrupt
        loss = (self.layer(x) - x.sum(-1, keepdim=True)).square().mean()
        return Output(loss, loss * 2)


def train(model: nn.Module, folder, **changes) -> None:
    torch.manual_seed(1)
    data = [torch.randn(4) for _ in range(64)]
    values = {"steps": 30, "batch_size": 8, "learning_rate": 0.05, "save_period_s": 1e-9, "log_period_steps": 5}
    run_training(model, data, lambda rows: {"x": torch.stack(rows)}, Optimisation(**values | changes), folder, "line")


def test_an_interrupted_run_goes_on_from_its_newest_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=12), tmp_path)
    second = Line()
    train(second, tmp_path)
    assert second.steps == 30 - 11
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [5, 10, 15, 20, 25, 30]
    assert rows[0]["world_loss"] == pytest.approx(2 * rows[0]["loss"], rel=1e-3)
    assert (tmp_path / "loss.png").is_file()


def test_a_finished_run_only_loads_its_weights(tmp_path):
    first, second = Line(), Line()
    train(first, tmp_path)
    train(second, tmp_path)
    assert second.steps == 0
    torch.testing.assert_close(second.layer.weight, first.layer.weight)


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    model = Line()
    nn.init.constant_(model.layer.weight, float("nan"))
    with pytest.raises(DialError, match="learning_rate"):
        train(model, tmp_path)


def test_the_rate_rises_for_the_warmup_and_ends_at_zero():
    plan = Optimisation(steps=100, batch_size=1, learning_rate=1.0, warmup_fraction=0.1)
    factors = [cosine_with_warmup(step, plan) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[100] == pytest.approx(0.0)
