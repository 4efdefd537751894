"""`dial train` on several processes of one machine, as a user calls it.

pytest test/unit/cli/test_train_commands.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dial_core.checkpoint.checkpoint import make_random_checkpoint

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
