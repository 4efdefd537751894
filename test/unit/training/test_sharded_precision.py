"""In bfloat16 FSDP2 rounds what DDP under autocast rounds: the gradients of both are equally far from float32's.

pytest test/unit/training/test_sharded_precision.py
Run as a program (FOLDER PRECISION) it leaves the first step's gradients in FOLDER/gradients.safetensors.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from dial_core.training.trainer import DialTrainer

if __name__ == "__main__":  # torchrun starts this file, not the package of the tests
    sys.path.insert(0, str(Path(__file__).parent))
    from test_processes import main
else:
    from .test_processes import FSDP2, LAUNCH


def gradients(folder: Path, launch: list[str], precision: str, **environment: str) -> dict:
    folder.mkdir()
    environment |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, __file__, str(folder), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert (folder / "gradients.safetensors").exists(), done.stderr[-3000:]
    return load_file(folder / "gradients.safetensors")


def error(one: dict, exact: dict, part: str) -> float:
    """Relative error of the gradients of the parameters whose name begins with `part`."""
    names = [name for name in exact if name.startswith(part)]
    off = sum((one[name] - exact[name]).square().sum() for name in names)
    return float((off / sum(exact[name].square().sum() for name in names)).sqrt())


@pytest.mark.slow
def test_gradients_of_shards_in_bfloat16_are_as_exact_as_those_of_whole_weights(tmp_path):
    exact = gradients(tmp_path / "float32", [], "float32")
    whole = gradients(tmp_path / "whole", LAUNCH, "bfloat16")
    shards = gradients(tmp_path / "shards", LAUNCH, "bfloat16", **FSDP2)
    assert exact.keys() == whole.keys() == shards.keys()
    for part in ("", "system1.action_encoder", "system1.decoder", "system2.backbone"):
        assert 0 < error(shards, exact, part) <= 1.5 * error(whole, exact, part), part


def keep_gradients(trainer: DialTrainer, model, norm) -> None:
    found = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            whole = parameter.grad.full_tensor() if hasattr(parameter.grad, "full_tensor") else parameter.grad
            found[name.removeprefix("module.")] = whole.detach().float().clone()
    if trainer.is_world_process_zero():
        save_file(found, trainer.folder / "gradients.safetensors")
    sys.exit()


if __name__ == "__main__":
    DialTrainer.before_step = keep_gradients
    main(Path(sys.argv[1]), bf16=sys.argv[2] == "bfloat16", clip_norm=1e9)
