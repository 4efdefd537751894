"""Two processes are one: the same samples, the same losses, the same weights.

pytest test/unit/training/test_processes.py
Run as a program (FOLDER [bf16] [average]), by itself or under torchrun (which `accelerate launch` starts too), it trains a small DIAL on
robot and human samples.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, DistributedType, PartialState
from safetensors.torch import load_file, save_file

from dial_core.config import load_config
from dial_core.errors import DialError
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training import processes
from dial_core.training.optimisation import Hardware, Optimisation
from dial_core.training.processes import leave_processes, process_state
from dial_core.training.samples import ChunkSamples, Variety, join_samples
from dial_core.training.streams import CachedTokens, SourceVectors, Stream
from dial_core.training.trainer import run_training

LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# What `accelerate launch --config_file config/accelerate/fsdp2_8.yaml` sets in the environment.
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Qwen2_5_VLDecoderLayer,FusionBlock",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def let_accelerate_shard_on_a_cpu() -> None:
    """accelerate takes FSDP on accelerators only; torch's FSDP2 itself runs on gloo."""
    begin = AcceleratorState.__init__

    def begin_sharded(self, *arguments, fsdp_plugin=None, **named):
        begin(self, *arguments, fsdp_plugin=fsdp_plugin, **named)
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin or self.fsdp_plugin

    AcceleratorState.__init__ = begin_sharded


def let_accelerate_use_deepspeed_on_a_cpu() -> None:
    """accelerate leaves DeepSpeed out, without a word, where it is configured for the CPU; DeepSpeed itself runs on gloo."""
    begin_processes, begin = PartialState.__init__, AcceleratorState.__init__

    def begin_processes_with_deepspeed(self, cpu=False, **named):
        begin_processes(self, True, **named)  # else it takes each process for the only one

    def begin_with_deepspeed(self, mixed_precision=None, cpu=False, **named):
        os.environ.pop("ACCELERATE_USE_CPU", None)
        begin(self, mixed_precision, False, **named)
        assert self.distributed_type == DistributedType.DEEPSPEED

    PartialState.__init__, AcceleratorState.__init__ = begin_processes_with_deepspeed, begin_with_deepspeed
    processes.require_gpu_for_deepspeed = lambda: None


def narrow_architecture(**changes) -> Architecture:
    """dial_tiny with few and narrow layers; no dropout."""
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    values["image"] = {"height": 32, "width": 32}
    values["vision"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "full_attention_blocks": (0,)}
    values["text"] |= {"layers": 2, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1, "rope_sections": (2, 3, 3)}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    values["decoder"] |= {"layers": 2, "heads": 2, "head_width": 12, "output_width": 16, "rim_width": 20}
    return Architecture.model_validate(values | changes)


def small_model() -> DialModel:
    """With slots for robot and human."""
    torch.manual_seed(0)
    return DialModel(DialConfig(narrow_architecture(embodiments=("robot", "human"))))


def as_published(model: DialModel) -> dict[str, torch.Tensor]:
    """Rounds the frozen weights to what bfloat16 represents, as backbones are published, and returns a copy of them."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.bfloat16().float()
    return {name: value.detach().clone() for name, value in model.named_parameters() if not value.requires_grad}


def require_float32(model: DialModel, _: tuple, columns: dict) -> None:
    """Whatever the weights' format: actions, noise, times and states come as they were drawn."""
    for name in ("action", "noise", "tau", "state", "action_mask"):
        assert columns[name].dtype == torch.float32, name


def random_stream(name: str, width: int, slot: int) -> Stream:
    rng = np.random.default_rng(slot)
    values = rng.normal(0, 1, (40, width)).astype(np.float32)
    vectors = SourceVectors(values, values, Normaliser.identity(width), 47, 47)
    tokens = CachedTokens(rng.normal(0, 1, (40, 4, 32)).astype(np.float16))
    return Stream(name, tokens, vectors, np.array([0]), np.array([0]), ["put the can on the plate"], slot)


class Finalised:
    """Leaves a file when the interpreter takes down what holds this."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __del__(self, create=os.mknod) -> None:
        create(self.file)


def train_small(folder: Path, steps: int = 4, hardware: Hardware | None = None, **changes) -> None:
    if os.environ.get("ACCELERATE_USE_FSDP"):
        let_accelerate_shard_on_a_cpu()
    if os.environ.get("ACCELERATE_USE_DEEPSPEED"):
        let_accelerate_use_deepspeed_on_a_cpu()
    model = small_model()
    streams = [random_stream("robot", 47, 0), random_stream("human", 18, 1)]
    prompter = Prompter(tiny_tokenizer(), model.arch.foresight_tokens)
    samples = ChunkSamples(streams, {"robot": 1, "human": 1}, prompter, "end_to_end", model.arch, Variety(2, 3, 0.1), seed=0)
    model.set_trainable("end_to_end")
    frozen = as_published(model)
    model.register_forward_pre_hook(require_float32, with_kwargs=True)
    values = {"steps": steps, "batch_size": 8, "learning_rate": 1e-3, "log_period_steps": 1, "save_period_s": 1e-9}
    values |= {"keep_checkpoints": 2}
    weights = run_training(model, samples, join_samples, Optimisation(**values | changes), folder, "processes", hardware)
    (folder / f"returned-{os.environ.get('RANK', '0')}").write_text(str(len(weights)))
    if weights:
        assert all(weights[name].dtype == torch.float32 and weights[name].equal(value) for name, value in frozen.items())
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / "trained.safetensors")


def main(folder: Path, **changes) -> None:
    rank = os.environ.get("RANK", "0")
    process_state.end = Finalised(folder / f"finalised-{rank}")
    train_small(folder, **changes)
    (folder / f"drawn-{rank}").write_text(str(torch.rand(()).item()))
    atexit.register((folder / f"exit-functions-{rank}").touch)
    leave_processes()
    assert not torch.distributed.is_initialized()


def launched(folder: Path, launch: list[str], *options: str, program: str = __file__, **environment: str) -> tuple[list[dict], dict]:
    """Log rows and weights of a run of this file, or of another that calls its `main`."""
    environment |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, program, str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(folder.glob("exit-functions-*"))
    assert bool(list(folder.glob("finalised-*"))) == (not launch), "gloo's threads may abort one of several processes when it is finalised"
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if "loss" in row], load_file(folder / "trained.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return launched(tmp_path_factory.mktemp("alone"), [])


def require_equal(one: tuple[list[dict], dict], other: tuple[list[dict], dict]) -> None:
    for key in ("loss", "world_loss", "action_loss", "grad_norm"):
        np.testing.assert_allclose([row[key] for row in other[0]], [row[key] for row in one[0]], rtol=2e-5)
    for name, value in one[1].items():
        torch.testing.assert_close(other[1][name], value, rtol=1e-3, atol=2e-5)


def test_half_precision_and_recomputation_give_nearly_the_same_losses(alone, tmp_path):
    train_small(tmp_path, bf16=True, gradient_checkpointing=True)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    np.testing.assert_allclose(losses, [row["loss"] for row in alone[0]], rtol=0.02)
    assert losses != [row["loss"] for row in alone[0]]


def test_two_processes_with_the_same_global_batch_give_the_losses_of_one(alone, tmp_path):
    require_equal(alone, launched(tmp_path, LAUNCH))
    drawn = [file.read_text() for file in tmp_path.glob("drawn-*")]
    assert len(drawn) == len(set(drawn)) == 2, "processes of equal generators drop out the same"
    returned = [int((tmp_path / f"returned-{rank}").read_text()) for rank in (0, 1)]
    assert returned == [len(alone[1]), 0], "the second process needs no copy of the weights"


@pytest.mark.slow
def test_sharded_weights_give_the_losses_of_whole_ones_and_resume_from_their_checkpoint(alone, tmp_path):
    require_equal(alone, launched(tmp_path, LAUNCH, **FSDP2))
    assert (tmp_path / "checkpoint-3/pytorch_model_fsdp_0").is_dir()
    (tmp_path / "trained.safetensors").unlink()
    require_equal(alone, launched(tmp_path, LAUNCH, **FSDP2))  # its last step, once more


@pytest.mark.slow
@pytest.mark.parametrize("sharding", [{}, FSDP2], ids=["whole", "sharded"])
def test_frozen_weights_kept_in_bfloat16_end_as_they_began(alone, tmp_path, sharding):
    rows, _ = launched(tmp_path, LAUNCH, "bf16", **sharding)  # the program compares them
    np.testing.assert_allclose([row["loss"] for row in rows], [row["loss"] for row in alone[0]], rtol=0.02)
    if not sharding:
        stored = load_file(tmp_path / "checkpoint-4/model.safetensors")
        assert stored["system2.backbone.language_model.embed_tokens.weight"].dtype == torch.bfloat16


@pytest.mark.slow
def test_an_average_of_whole_weights_resumes_on_another_number_of_processes(tmp_path):
    alone = launched(tmp_path, [], "average")
    shutil.rmtree(tmp_path / "checkpoint-4")  # its last step, once more, on two
    for file in (*tmp_path.glob("finalised-*"), tmp_path / "trained.safetensors"):
        file.unlink()
    require_equal(alone, launched(tmp_path, LAUNCH, "average"))
    assert [file.name for file in (tmp_path / "checkpoint-4").glob("average-*")] == ["average-000.safetensors"]


def test_deepspeed_without_a_gpu_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plan = Optimisation(steps=1, batch_size=1, learning_rate=1e-3)
    with pytest.raises(DialError, match="DeepSpeed, and this machine has no GPU"):
        run_training(torch.nn.Linear(1, 1), [], None, plan, tmp_path / "run", "refused")
    assert not (tmp_path / "run").exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]), bf16="bf16" in sys.argv[2:], ema_decay=0.9 if "average" in sys.argv[2:] else None)
