"""pytest test/unit/training/test_run_folder.py"""

import numpy as np
import pytest
from safetensors.numpy import save_file

from dial_core.training.run_folder import checkpoints, prune, publish, published


@pytest.fixture
def run(tmp_path):
    for step in (20, 40):
        staged = tmp_path / f".partial/checkpoint-{step}"
        staged.mkdir(parents=True)
        save_file({"a": np.arange(100.0)}, staged / "model.safetensors")
        publish(tmp_path, step)
    return tmp_path


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, capsys):
    assert [step for step, _ in checkpoints(run)] == [20, 40]
    file = run / "checkpoint-40/model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    assert [step for step, _ in checkpoints(run)] == [20]
    assert "checkpoint-40 is damaged (model.safetensors: 500 of " in (printed := capsys.readouterr().err)
    assert printed.rstrip().endswith("not used; resuming from step 20")


def test_a_new_checkpoint_replaces_a_damaged_one_of_its_step(run):
    (run / "checkpoint-40/model.safetensors").write_bytes(b"")
    staged = run / ".partial/checkpoint-40"
    staged.mkdir(parents=True)
    save_file({"a": np.arange(100.0)}, staged / "model.safetensors")
    publish(run, 40)
    assert [step for step, _ in checkpoints(run)] == [20, 40]


def test_pruning_keeps_whole_ones_and_removes_damaged_ones_whatever_their_step(run):
    (run / "checkpoint-40/model.safetensors").write_bytes(b"")
    prune(run, 1, None, 20)
    assert [step for step, _ in published(run)] == [20]


def test_pruning_keeps_milestones_and_the_newest_even_if_they_cannot_be_read_for_now(run):
    for step in (20, 40):
        (run / f"checkpoint-{step}/model.safetensors").write_bytes(b"")
    prune(run, 1, 20, 40)
    assert [step for step, _ in published(run)] == [20, 40]
    prune(run, 1, None, 40)
    assert [step for step, _ in published(run)] == [40]
