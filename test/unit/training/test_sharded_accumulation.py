"""Under FSDP2 gradients lie in shards after every micro-batch, not only after the last of a step: what the memory estimate counts.

pytest test/unit/training/test_sharded_accumulation.py
Run as a program (FOLDER) under torchrun it notes after each micro-batch how many elements of gradients its process holds, in
FOLDER/held-RANK.json.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from dial_core.training.memory import memory_of
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.trainer import DialTrainer

if __name__ == "__main__":  # torchrun starts this file, not the package of the tests
    sys.path.insert(0, str(Path(__file__).parent))
    from test_processes import main, train_small
else:
    from .test_processes import FSDP2, LAUNCH, launched, require_equal, small_model


@pytest.mark.slow
def test_shards_of_gradients_are_all_that_is_held_between_micro_batches(tmp_path):
    for name in ("alone", "sharded"):
        (tmp_path / name).mkdir()
    alone = launched(tmp_path / "alone", [], program=__file__)
    require_equal(alone, launched(tmp_path / "sharded", LAUNCH, program=__file__, **FSDP2))

    model = small_model()
    model.set_trainable("end_to_end")
    plan = Optimisation(steps=1, batch_size=8, learning_rate=1e-3)
    estimated_elements = memory_of(model, model.arch, plan, 2, 2, "fsdp2").gradients / 4
    held = [json.loads((tmp_path / f"sharded/held-{rank}.json").read_text()) for rank in (0, 1)]
    assert [len(counts) for counts in held] == [4 * 2] * 2, "four steps of two micro-batches"
    assert [first + second for first, second in zip(*held, strict=True)] == [2 * estimated_elements] * 8


def step_and_note(trainer: DialTrainer, model, *given):
    """Trainer's own step of a micro-batch; then writes how many elements the gradients of all micro-batches so far have here."""
    loss = super(DialTrainer, trainer).training_step(model, *given)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    held = sum((gradient.to_local() if hasattr(gradient, "to_local") else gradient).numel() for gradient in gradients)
    file = trainer.folder / f"held-{trainer.args.process_index}.json"
    file.write_text(json.dumps([*(json.loads(file.read_text()) if file.exists() else []), held]))
    return loss


if __name__ == "__main__":
    DialTrainer.training_step = step_and_note
    hardware = Hardware(micro_batch=4 // int(os.environ.get("WORLD_SIZE", "1")))
    train_small(Path(sys.argv[1]) / "earlier", steps=1, hardware=hardware)  # stages of a run follow each other in one process
    main(Path(sys.argv[1]), hardware=hardware)
