"""Every bridge trains in both stages on two processes with recomputation: DDP waits for the gradient of everything that learns.

pytest test/unit/training/test_bridges_on_processes.py
Run as a program (FOLDER) under torchrun it trains them one after the other.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from dial_core.config import load_config
from dial_core.model.bridges import BRIDGES
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel
from dial_core.model.normalise import Normaliser
from dial_core.model.prompt import Prompter
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.training.collating import ChunkCollator
from dial_core.training.optimisation import Optimisation
from dial_core.training.samples import ChunkSamples, Variety
from dial_core.training.streams import CachedTokens, SourceVectors, Stream
from dial_core.training.trainer import run_training

STAGES, STEPS = ("warmup", "end_to_end"), 3


def narrow(bridge: str) -> Architecture:
    values = load_config(Architecture, "models", "dial_tiny").model_dump()
    values["image"] = {"height": 32, "width": 32}
    values["vision"] |= {"layers": 1, "width": 32, "ffn_width": 48, "heads": 2, "full_attention_blocks": (0,)}
    values["text"] |= {"layers": 2, "width": 32, "ffn_width": 48, "heads": 2, "kv_heads": 1, "rope_sections": (2, 3, 3)}
    values["fusion"] |= {"layers": 1, "heads": 2, "head_width": 16}
    values["decoder"] |= {"layers": 2, "heads": 2, "head_width": 12, "output_width": 16, "rim_width": 20}
    if bridge == "dino":
        values["view_encoder"] = {"layers": 1, "width": 24, "heads": 2, "patch_size": 8, "pretrained_size": 32}
    return Architecture.model_validate(values | {"bridge": bridge})


def train(bridge: str, stage: str, folder: Path) -> None:
    model = DialModel(DialConfig(narrow(bridge)))
    arch, rng = model.arch, np.random.default_rng(0)
    values = rng.normal(0, 1, (40, 47)).astype(np.float32)
    vectors = SourceVectors(values, values, Normaliser.identity(47), 47, 47)
    tokens = CachedTokens(rng.normal(0, 1, (40, arch.foresight_tokens, arch.feature_width)).astype(np.float16))
    instructions = ["put the can on the plate", "move the cup"]
    stream = Stream("robot", tokens, vectors, np.array([0, 20]), np.array([0, 1]), instructions)
    prompter = Prompter(tiny_tokenizer(), arch.foresight_tokens)
    samples = ChunkSamples([stream], {"robot": 1}, prompter, stage, arch, Variety(2, 3, 0.1), seed=0)
    model.set_trainable(stage)
    plan = Optimisation(steps=STEPS, batch_size=4, learning_rate=1e-3, log_period_steps=1, gradient_checkpointing=True)
    run_training(model, samples, ChunkCollator(arch), plan, folder, f"{bridge} {stage}")


def test_every_bridge_trains_on_two_processes_with_recomputation(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, str(tmp_path)]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    for bridge in BRIDGES:
        for stage in STAGES:
            rows = [json.loads(line) for line in (tmp_path / bridge / stage / "log.jsonl").read_text().splitlines()]
            losses = [row["loss"] for row in rows if "loss" in row]
            assert len(losses) == STEPS
            assert np.isfinite(losses).all()


if __name__ == "__main__":
    for each in BRIDGES:
        for kind in STAGES:
            train(each, kind, Path(sys.argv[1]) / each / kind)
