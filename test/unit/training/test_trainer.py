"""The engine on a model of five weights: what holds there holds at any size.

pytest test/unit/training/test_trainer.py
Run as a program (FOLDER STEP) it is a training run that is killed by SIGKILL in the middle of STEP.
"""

import inspect
import json
import os
import signal
import subprocess
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from dial_core.errors import DialError
from dial_core.model.dial import DialModel
from dial_core.model.embodiment_slots import SlotLinear
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.run_folder import checkpoints
from dial_core.training.trainer import DialTrainer, run_training
from dial_core.training.trainer_seams import HOLDS_FOR, TrainerSeams


@dataclass
class Output:
    loss: torch.Tensor
    world_loss: torch.Tensor


class Line(nn.Module):
    """Fits a line, with dropout; at a step it may be interrupted, killed or fed poison."""

    def __init__(self, stop_at: int = 0, kill_at: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.dropout = nn.Linear(4, 1), nn.Dropout(0.1)
        self.steps, self.stop_at, self.kill_at = 0, stop_at, kill_at

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> Output:
        self.steps += 1
        if self.steps == self.stop_at:
            raise KeyboardInterrupt
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = (self.layer(self.dropout(x)) - x.sum(-1, keepdim=True)).square().mean() * scale.mean()
        return Output(loss, loss * 2)


class Points:
    """Random points; those from number `poison` on carry a factor that makes their loss what a test wants."""

    def __init__(self, poison: int = 10**9, factor: float = 1.0) -> None:
        self.poison, self.factor = poison, factor

    def __getitem__(self, number: int) -> tuple[torch.Tensor, float]:
        x = np.random.default_rng(number).normal(0, 1, 4).astype(np.float32)
        return torch.from_numpy(x), self.factor if number >= self.poison else 1.0


def join(points) -> dict[str, torch.Tensor]:
    x, scale = zip(*points, strict=True)
    return {"x": torch.stack(x), "scale": torch.tensor(scale)}


def train(model: nn.Module, folder: Path, hardware: Hardware | None = None, data: Points | None = None, **changes) -> dict:
    values = {"steps": 30, "batch_size": 8, "learning_rate": 0.05, "save_period_s": 1e-9, "log_period_steps": 1}
    return run_training(model, data or Points(), join, Optimisation(**values | changes), folder, "line", hardware)


def rows(folder: Path) -> list[dict]:
    return [row for row in map(json.loads, (folder / "log.jsonl").read_text().splitlines()) if "loss" in row]


def test_a_run_killed_in_a_step_and_resumed_gives_the_same_losses_and_weights(tmp_path):
    straight, resumed = Line(), Line()
    train(straight, tmp_path / "straight", ema_decay=0.9)
    killed = subprocess.run([sys.executable, __file__, str(tmp_path / "killed"), "12"], check=False)
    assert killed.returncode == -signal.SIGKILL
    train(resumed, tmp_path / "killed", ema_decay=0.9)
    assert resumed.steps == 30 - 11
    first, second = rows(tmp_path / "straight"), rows(tmp_path / "killed")
    assert [row["step"] for row in second] == list(range(1, 31))
    for key in ("loss", "world_loss", "grad_norm", "learning_rate"):
        assert [row[key] for row in first] == [row[key] for row in second]
    assert torch.equal(straight.layer.weight, resumed.layer.weight)


def test_a_checkpoint_that_was_being_written_when_the_run_died_is_not_taken_for_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=6), tmp_path)
    half = tmp_path / ".partial/checkpoint-6"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    again = Line()
    train(again, tmp_path)
    assert again.steps == 30 - 5
    assert not (tmp_path / ".partial/checkpoint-6").exists()


def test_checkpoints_are_pruned_but_for_the_newest_and_the_milestones(tmp_path):
    train(Line(), tmp_path, steps=12, keep_checkpoints=2, keep_every_steps=5)
    assert [step for step, _ in checkpoints(tmp_path)] == [5, 10, 11, 12]


def test_milestones_are_saved_when_they_are_reached_and_not_only_if_a_period_ends_there(tmp_path):
    train(Line(), tmp_path, steps=12, save_period_s=3600.0, keep_every_steps=5)
    assert [step for step, _ in checkpoints(tmp_path)] == [5, 10, 12]


def test_a_damaged_checkpoint_does_not_cost_those_that_come_after_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=21), tmp_path)
    weights = tmp_path / "checkpoint-20/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=15), tmp_path)
    assert [step for step, _ in checkpoints(tmp_path)] == [14]


@pytest.mark.parametrize("asked", [True, False])
def test_precision_is_what_the_run_asks_for_whatever_the_launch_says(tmp_path, monkeypatch, asked):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no" if asked else "bf16")
    seen = []

    class Watched(Line):
        def forward(self, x, scale):
            seen.append(self.layer(x).dtype)
            return super().forward(x, scale)

    train(Watched(), tmp_path, steps=1, bf16=asked)
    assert seen == [torch.bfloat16 if asked else torch.float32]


def test_nothing_of_a_run_is_kept_that_the_next_stage_would_need_the_memory_for(tmp_path, monkeypatch):
    made, create = [], DialTrainer.create_optimizer

    def watched(self, model=None):
        optimiser = create(self, model)
        made.extend([weakref.ref(self), weakref.ref(optimiser)])
        return optimiser

    monkeypatch.setattr(DialTrainer, "create_optimizer", watched)
    train(Line(), tmp_path, steps=2)
    assert made
    assert [reference() for reference in made] == [None] * len(made)


def test_a_finished_run_only_loads_its_weights(tmp_path):
    first, second = Line(), Line()
    train(first, tmp_path)
    weights = train(second, tmp_path)
    assert second.steps == 0
    assert torch.equal(second.layer.weight, first.layer.weight)
    assert torch.equal(weights["layer.weight"], first.layer.weight)
    assert (tmp_path / "loss.png").is_file()


def test_a_finished_run_with_a_second_tower_loads_its_weights(tmp_path):
    """transformers stores DINOv2's tensors under older names than the model's own."""
    first, second = (DialModel.from_preset("dial_tiny_dino", seed) for seed in (0, 1))
    first.save_pretrained(tmp_path / "checkpoint-5")
    learning = [parameter.requires_grad for parameter in second.parameters()]
    plan = Optimisation(steps=5, batch_size=1, learning_rate=1e-3)
    weights = run_training(second, None, None, plan, tmp_path, "finished")
    assert weights.keys() == first.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in first.state_dict().items())
    assert learning == [parameter.requires_grad for parameter in second.parameters()]


def test_micro_batches_and_loader_processes_change_nothing(tmp_path):
    whole, pieces = Line(), Line()
    whole.dropout = pieces.dropout = nn.Identity()
    train(whole, tmp_path / "whole", steps=6)
    train(pieces, tmp_path / "pieces", Hardware(micro_batch=2, loader_workers=1), steps=6)
    assert pieces.steps == 4 * whole.steps
    torch.testing.assert_close(whole.layer.weight, pieces.layer.weight)
    for one, other in zip(rows(tmp_path / "whole"), rows(tmp_path / "pieces"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["world_loss"] == pytest.approx(2 * other["loss"], rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_before_the_weights_are_touched(tmp_path):
    model = Line()
    with pytest.raises(DialError, match=r"Stopped before step 6: the loss is nan") as stopped:
        train(model, tmp_path, data=Points(poison=5 * 8, factor=float("nan")), steps=8)
    assert "samples 40 to 47" in str(stopped.value)
    assert "checkpoint-5" in str(stopped.value)
    assert json.loads((tmp_path / "stopped.json").read_text())["step"] == 6
    assert torch.isfinite(model.layer.weight).all()
    # With corrected data the run resumes from there.
    train(Line(), tmp_path, steps=8)
    assert rows(tmp_path)[-1]["step"] == 8


def test_a_spike_stops_the_run_again_when_the_same_command_resumes(tmp_path):
    spike = Points(poison=59 * 8, factor=1e6)
    for _ in range(2):  # the second time from checkpoint-59, with the losses before it
        with pytest.raises(DialError, match=r"Stopped before step 60.*times the median .* of the last 59 steps.*checkpoint-59"):
            train(Line(), tmp_path, data=spike, steps=61)
    train(Line(), tmp_path, data=spike, steps=61, spike_factor=1e9)
    assert rows(tmp_path)[-1]["step"] == 61


@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_gradients_that_are_not_finite_are_named_and_no_others(tmp_path, factor):
    model = Line()
    model.layer.weight.register_hook(lambda gradient: gradient * factor)
    with pytest.raises(DialError, match=r"gradient's norm is (inf|nan).*not finite in layer\.weight and 0 more"):
        train(model, tmp_path)
    assert json.loads((tmp_path / "stopped.json").read_text())["gradients_not_finite"] == ["layer.weight"]


def test_every_module_learns_at_its_own_rate(tmp_path):
    model = Line()
    before = model.layer.weight.detach().clone()
    train(model, tmp_path, learning_rates={"layer.weight": 1e-12}, steps=4)
    torch.testing.assert_close(model.layer.weight, before)
    assert rows(tmp_path)[0]["learning_rate"] > 0
    with pytest.raises(DialError, match=r"learning_rates.* names decoder.*there are layer\.bias, layer\.weight"):
        train(Line(), tmp_path / "other", learning_rates={"decoder": 1e-3})


def averaged_weights(decay: float, steps: int, folder: Path) -> torch.Tensor:
    """The average of a plain run's weights, by its definition."""
    model, seen = Line(), list[torch.Tensor]()
    model.register_forward_pre_hook(lambda module, _: seen.append(module.layer.weight.detach().clone()))
    train(model, folder, steps=steps)
    average = seen[0]
    for step, weights in enumerate([*seen[1:], model.layer.weight.detach()], 1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * weights
    return average


@pytest.mark.parametrize("decay", [0.999, 0.3])
def test_a_run_with_an_average_ends_with_it_and_soon_drops_the_random_weights(tmp_path, decay):
    model = Line()
    train(model, tmp_path / "averaged", steps=6, ema_decay=decay)
    torch.testing.assert_close(model.layer.weight.detach(), averaged_weights(decay, 6, tmp_path / "plain"))


def test_a_finished_run_that_is_called_again_gives_the_average_and_not_the_last_weights(tmp_path):
    """As after a kill between the last step and the publication of the stage's checkpoint."""
    first, second = Line(), Line()
    train(first, tmp_path, steps=6, ema_decay=0.9)
    weights = train(second, tmp_path, steps=6, ema_decay=0.9)
    assert second.steps == 0
    assert torch.equal(weights["layer.weight"], first.layer.weight)
    assert torch.equal(second.layer.weight, first.layer.weight)


def test_norms_and_biases_do_not_decay():
    model = nn.ModuleDict({"matrix": nn.Linear(3, 3), "norm": nn.LayerNorm(3), "slots": SlotLinear(2, 3, 3)})
    plan = Optimisation(steps=1, batch_size=1, learning_rate=1.0, weight_decay=0.1)
    decaying = {id(parameter) for group in plan.parameter_groups(model) if group["weight_decay"] for parameter in group["params"]}
    assert {name for name, parameter in model.named_parameters() if id(parameter) in decaying} == {"matrix.weight", "slots.weight"}


def test_what_is_overridden_below_trainers_documented_interface_is_still_there():
    assert transformers.__version__.startswith(f"{HOLDS_FOR}."), "read trainer_seams.py against this version, then set HOLDS_FOR"
    for name in (
        "_build_accelerator_args",
        "_get_train_sampler",
        "_clip_grad_norm",
        "_get_output_dir",
        "_prepare_input",
        "_save_checkpoint",
        "create_scheduler",
    ):
        ours, theirs = (list(inspect.signature(getattr(owner, name)).parameters) for owner in (TrainerSeams, transformers.Trainer))
        assert ours == theirs, name


def test_a_batch_that_does_not_divide_is_refused():
    assert Hardware(micro_batch=4).split(32, processes=2) == (4, 4)
    with pytest.raises(DialError, match="a batch of 30 does not divide into 4 processes with micro-batches of 7"):
        Hardware().split(30, processes=4)


def test_the_rate_rises_for_the_warmup_and_ends_at_zero():
    plan = Optimisation(steps=100, batch_size=1, learning_rate=1.0, warmup_fraction=0.1)
    factors = [plan.rate_factor(step) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert factors[100] == pytest.approx(0.0)


if __name__ == "__main__":
    train(Line(kill_at=int(sys.argv[2])), Path(sys.argv[1]), ema_decay=0.9)
