"""`dial train` on several processes of one machine, as a user calls it.

pytest test/unit/cli/test_train_commands.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dial_core.checkpoint.checkpoint import make_random_checkpoint
from dial_core.cli import app, train_commands
from dial_core.cli.training_processes import ignored_launch_precision
from dial_core.training.optimisation import Hardware, Optimisation

RECIPE = """
embodiment: gr1
stages:
  - {stage: end_to_end, optimisation: {steps: 2, batch_size: 4, learning_rate: 1.0e-3, log_period_steps: 1}}
"""


def dial(*arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"}
    command = [sys.executable, "-m", "dial_core.cli", *arguments]
    return subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_two_processes_train_and_say_so_and_the_same_command_has_nothing_left_to_do(fake_dataset, tmp_path):
    make_random_checkpoint(tmp_path / "start")
    fake_dataset(tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    out = tmp_path / "out"
    call = ("train", "--start", f"{tmp_path / 'start'}", "--data", f"{tmp_path / 'data'}", "--recipe", f"{tmp_path / 'recipe.yaml'}")
    call += ("--out", str(out), "--workers", "0", "--processes", "2")
    done = dial(*call)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "execution.json").read_text())["processes"] == 2
    assert (out / "checkpoint/model.safetensors").is_file()
    written = (out / "1-end_to_end/log.jsonl").stat().st_mtime_ns
    assert dial(*call).returncode == 0
    assert "dial:" not in (out / "processes/process-1.log").read_text()
    assert (out / "1-end_to_end/log.jsonl").stat().st_mtime_ns == written


def test_wrong_choices_are_named():
    done = dial("pretrain", "--out", "nowhere", "--precision", "half")
    assert "--precision half: expected one of auto, recipe, float32, bfloat16" in " ".join(done.stderr.split())


def dry_run(monkeypatch, *arguments: str) -> str:
    """What the command prints, and the error that it ends with if it does."""
    monkeypatch.setattr(train_commands, "console", Console(width=200))
    done = CliRunner().invoke(app, ["train", "--dry-run", *arguments])
    return " ".join(f"{done.output} {done.exception or ''}".split())


def test_a_dry_run_is_of_the_precision_that_is_asked_for(monkeypatch):
    call = ("--recipe", "finetune", "--set", "model=dial_tiny")
    shown = {precision: dry_run(monkeypatch, *call, "--precision", precision) for precision in ("auto", "recipe", "float32", "bfloat16")}
    assert shown["auto"] == shown["recipe"] == shown["float32"]
    assert "precision │ float32" in shown["float32"]
    assert "precision │ bf16; float32 weights" in shown["bfloat16"]
    bf16_recipe = ("--recipe", "few_shot", "--set", "model=dial_tiny")
    assert "precision │ float32, gradient checkpointing" in dry_run(monkeypatch, *bf16_recipe, "--precision", "float32")
    assert "--precision half: expected one of auto, recipe, float32, bfloat16" in dry_run(monkeypatch, *call, "--precision", "half")


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ("--gpus 1", "more than 80 GiB; `--strategy ddp --micro-batch 128` does"),
        ("--gpus 1 --micro-batch 16", ""),
        ("--gpus 8", ""),
        ("--gpus 8 --gpu-gib 24", "more than 24 GiB; `--strategy zero2 --micro-batch 32` does"),
    ],
)
def test_the_paper_s_task_stage_fits_where_its_dry_run_says_so(monkeypatch, options, fits):
    shown = dry_run(monkeypatch, "--recipe", "finetune_3b", "--set", "model=paper", *options.split())
    assert "stage 1 of 1: task" in shown
    assert "steps │ 2,000" in shown
    assert (fits in shown) if fits else "a step needs" not in shown


def test_a_launch_s_precision_that_does_not_count_is_reported(monkeypatch):
    stages = [Optimisation(steps=1, batch_size=1, learning_rate=1e-3, bf16=bf16) for bf16 in (True, False)]
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert ignored_launch_precision(stages[:1], Hardware()) is None
    assert ignored_launch_precision(stages, Hardware()) == (
        "The launch's `mixed_precision: bf16` is ignored, the recipe's `bf16` and `--precision` decide: stage 2 computes in float32. "
        "`--precision bfloat16` computes every stage in bf16"
    )
    both = "stage 1 computes in float32, stage 2 computes in float32."
    assert both in str(ignored_launch_precision(stages, Hardware(precision="float32")))
    assert ignored_launch_precision(stages, Hardware(precision="bfloat16")) is None
    monkeypatch.setenv("RANK", "1")
    assert ignored_launch_precision(stages, Hardware()) is None, "the first process has reported it"
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")  # what accelerate sets where a launch asks for nothing
    assert ignored_launch_precision(stages, Hardware()) is None
