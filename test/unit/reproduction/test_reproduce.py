"""`dial reproduce` from nothing to its page, every step for real, at toy size.

pytest test/unit/reproduction/test_reproduce.py
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from dial_core.checkpoint.stored_weights import TensorFile
from dial_core.cli import app
from dial_core.config import config_path
from dial_core.errors import DialError
from dial_core.files.folder_lock import folder_lock
from dial_core.reproduction import step_runner

OPTIMISATION = {"steps": 1, "batch_size": 4, "learning_rate": 1e-3, "log_period_steps": 1}


class InThisProcess:
    """Runs the steps' commands without the seconds that every process takes to start."""

    ran: list[str] = []

    def __init__(self, environment, inherited) -> None:
        pass

    def __call__(self, words, log: Path) -> None:
        result = CliRunner().invoke(app, [*words])
        if result.exit_code:
            raise DialError(f"dial {' '.join(words)}: {result.output} {result.exception!r}")
        self.ran.append(words[0])

    def stop(self) -> None:
        pass


@pytest.fixture
def plan(values, tmp_path) -> Path:
    """The small plan with toy recipes, and a task that is over after 12 control steps."""
    pretrain = yaml.safe_load(config_path("training", "dial_tiny_pretrain").read_text())
    toy = {"suites": {"in_distribution": 1}, "views": 8, "held_out": 2, "reading_views": 6}
    pretrain |= toy | {"optimisation": OPTIMISATION, "reading": OPTIMISATION, "pointing": OPTIMISATION, "copying": OPTIMISATION}
    task = yaml.safe_load(config_path("tasks", "PlacematToPlate").read_text()) | {"name": "Short", "max_steps": 12}
    stages = [{"stage": "warmup", "optimisation": OPTIMISATION}, {"stage": "end_to_end", "optimisation": OPTIMISATION}]
    files = {"pretrain": pretrain, "Short": task, "recipe": {"embodiment": "gr1", "stages": stages}}
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    values["pretraining"] = {"recipe": str(tmp_path / "pretrain.yaml")}
    for method in values["methods"].values():
        method["recipe"] = str(tmp_path / "recipe.yaml")
    values["demonstrations"]["few"]["episodes"] = 1
    values["scenes"]["seen"] = {"tasks": [str(tmp_path / "Short.yaml")], "episodes": 1}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "toy.yaml"


@pytest.mark.slow
def test_one_command_goes_from_nothing_to_the_page_and_then_has_nothing_to_do(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(step_runner, "Commands", InThisProcess)

    def reproduce(*words: str) -> str:
        InThisProcess.ran = []
        words = ("reproduce", str(plan), "--out", str(tmp_path / "out"), "--page", str(tmp_path / "paper.md"), "--workers", "0", *words)
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    before = signal.getsignal(signal.SIGTERM)
    assert "12 of 12 steps to do" in reproduce("--dry-run")
    reproduce("--only", "train/dial")
    assert InThisProcess.ran == ["pretrain", "collect", "begin", "tokens", "train"]
    stored = {part: TensorFile(tmp_path / "out" / part / "checkpoint/model.safetensors") for part in ("pretrain", "train/dial")}
    tower = [name for name in stored["pretrain"].names if "visual" in name]
    assert all(file.read(name).dtype == torch.float16 for file in stored.values() for name in tower), "what never learns is rounded once"
    assert all(torch.equal(*(file.read(name) for file in stored.values())) for name in tower)
    pointing = json.loads((tmp_path / "out/pretrain/pointing.json").read_text())
    assert pointing["after_copying"].keys() == pointing.keys() - {"queries", "after_copying"}
    reproduce()
    assert InThisProcess.ran == ["begin", "tokens", "train", "eval", "eval", "probe", "foresight"]
    text = (tmp_path / "paper.md").read_text()
    assert "not run yet" not in text
    assert "| DIAL | 0.0 (0/1) |" in text  # trained for two steps
    for image in ("the_comparison.png", "data.png", "episodes.png", "episodes.mp4"):
        assert (tmp_path / "paper" / image).is_file()
    reproduce()
    assert InThisProcess.ran == []
    assert "0 of 12 steps to do" in reproduce("--dry-run")
    mark = json.loads((tmp_path / "out/steps/train/flare.json").read_text())
    assert mark["command"].startswith("dial train --recipe")
    assert mark["wall_s"] > 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_terminated_reproduction_ends_what_it_runs(plan, tmp_path):
    log = tmp_path / "out/steps/pretrain.log"
    command = [sys.executable, "-m", "dial_core.cli", "reproduce", str(plan), "--out", str(tmp_path / "out"), "--only", "pretrain"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (log.is_file() and "views of" in log.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
    assert process.returncode != 0
    with folder_lock(tmp_path / "out", "the test"):  # which a step that still ran would hold
        assert not (tmp_path / "out/pretrain/pointing.json").exists()


@pytest.fixture
def dry_run(plan, values, tmp_path):
    """(shipped checkpoint, words): the result of `dial reproduce --dry-run` of the small plan whose `dial` ships so."""

    def run(shipped: str, *words: str):
        values["methods"]["dial"]["shipped"] = shipped
        plan.write_text(yaml.safe_dump(values))
        return CliRunner().invoke(app, ["reproduce", str(plan), "--out", str(tmp_path / "out"), "--dry-run", *words])

    return run


def test_a_shipped_checkpoint_stands_for_its_training(dry_run):
    assert "3 of 3 steps to do" in " ".join(dry_run("dial_tiny", "--shipped", "--only", "dial").output.split())


def test_a_shipped_checkpoint_that_is_not_there_is_refused(dry_run):
    assert "no checkpoint 'dial_large'" in str(dry_run("dial_large", "--shipped").exception)


def test_a_folder_of_the_shipped_checkpoint_is_refused_for_a_trained_one_before_anything_runs(dry_run, tmp_path):
    assert dry_run("dial_tiny", "--shipped").exit_code == 0
    mark = {"command": "dial eval dial_tiny", "fingerprint": "0", "wall_s": 1.0, "expected_s": 1.0, "machine": "", "version": ""}
    folder = tmp_path / "out/steps/eval/dial"
    folder.mkdir(parents=True)
    (folder / "seen.json").write_text(json.dumps(mark))
    refused = str(dry_run("dial_tiny", "--only", "flare").exception)
    assert "step eval/dial/seen was started with other settings: it was `dial eval dial_tiny`" in refused


@pytest.fixture
def one_step_done(monkeypatch):
    """`StepRunner.run` announces one step, and does nothing else; what it lived to see."""
    seen = []

    def run(self, steps) -> None:
        self._announce("[1/9] pretrain done")
        seen.append("the steps that were running")

    monkeypatch.setattr(step_runner.StepRunner, "run", run)
    return seen


def test_a_page_that_cannot_be_written_ends_no_training_that_runs(plan, tmp_path, monkeypatch, one_step_done):
    monkeypatch.setattr("dial_core.reproduction.paper_page.write_page", lambda *_: (_ for _ in ()).throw(DialError("a shard")))
    result = CliRunner().invoke(app, ["reproduce", str(plan), "--out", str(tmp_path / "out")])
    assert one_step_done == ["the steps that were running"]
    assert "the page was not written: a shard" in result.output
    assert str(result.exception) == "a shard", "at the end"


def test_a_damaged_published_result_is_found_before_any_step(plan, tmp_path, one_step_done):
    file = tmp_path / "paper/results/eval/dial/seen.json"
    file.parent.mkdir(parents=True)
    file.write_text("<<<<<<< HEAD\n")
    words = ["reproduce", str(plan), "--out", str(tmp_path / "out"), "--page", str(tmp_path / "paper.md")]
    assert "is no published result" in str(CliRunner().invoke(app, words).exception)
    assert one_step_done == []
    assert CliRunner().invoke(app, [*words, "--dry-run"]).exit_code == 0
