"""pytest test/unit/files/test_integrity.py"""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from dial_core.files.integrity import damage_in, damage_of


@pytest.fixture
def checkpoint(tmp_path):
    """The files of a checkpoint, whole."""
    save_file({"a": np.arange(1000.0), "b": np.zeros((0, 3))}, tmp_path / "model.safetensors")
    torch.save({"state": torch.arange(100)}, tmp_path / "optimizer.pt")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 3}))
    (tmp_path / "chat_template.jinja").write_text("")
    return tmp_path


def test_whole_files_have_no_damage(checkpoint):
    assert damage_in(checkpoint) == ""


@pytest.mark.parametrize(
    ("name", "length", "words"),
    [
        ("model.safetensors", 5000, "5000 of "),
        ("model.safetensors", 20, "cut off at 20 bytes"),
        ("model.safetensors", 5, "cut off at 5 bytes"),
        ("model.safetensors", 0, "empty"),
        ("optimizer.pt", 0, "empty"),
        ("optimizer.pt", 300, "cut off"),
        ("trainer_state.json", 6, "cannot be read"),
    ],
)
def test_a_file_that_was_cut_off_is_named(checkpoint, name, length, words):
    file = checkpoint / name
    file.write_bytes(file.read_bytes()[:length])
    assert damage_of(file).startswith(words)
    assert damage_in(checkpoint).startswith(f"{name}: {words}")


def test_a_folder_without_files_is_no_checkpoint(tmp_path):
    assert damage_in(tmp_path) == "empty folder"
