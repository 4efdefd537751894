"""Models and policies of any preset with random weights, which are made where and as precisely as they will compute."""

from __future__ import annotations

import numpy as np
import torch
from accelerate import init_empty_weights
from torch import nn
from transformers.initialization import no_init_weights

from dial_core.checkpoint.checkpoint import Checkpoint, make_contract, view_of
from dial_core.model.configuration import Architecture, DialConfig
from dial_core.model.dial import DialModel, Part
from dial_core.model.normalise import Normaliser
from dial_core.model.tokenizer import tiny_tokenizer
from dial_core.robot.embodiment import load_embodiment


def random_model(arch: Architecture, device: torch.device, dtype: torch.dtype, part: Part = "whole", seed: int = 0) -> DialModel:
    """A model in evaluation mode whose parameters get their memory in `dtype` on `device`; buffers are in float32, as everywhere.

    Made in float32 and converted there, a model in bfloat16 would take twice its memory at first.
    """
    with no_init_weights(), init_empty_weights(include_buffers=False):  # parameters without memory, rotary tables with values
        model = DialModel(DialConfig(arch), part)
    for name, parameter in list(model.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        empty = torch.empty(parameter.shape, dtype=dtype, device=device)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(empty, parameter.requires_grad))
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.init_weights()
    nn.Module.to(model, device)  # the buffers
    return model.eval()


def random_policy(preset: str, device: torch.device, dtype: torch.dtype, part: Part = "whole") -> Checkpoint:
    """A preset for the GR1 with the tokenizer of the tiny model, as a session takes it; no file is written.

    Its chunks are as small as those of `make_random_checkpoint`, without the home position.

    Raises:
        DialError: unknown preset.
    """
    robot = load_embodiment("gr1")
    # Random rows of the embedding have no meaning: those of the tiny tokenizer's ids do as well as any, and need no download.
    tokens = DialConfig.from_preset("dial_tiny").arch.tokens
    arch = DialConfig.from_preset(preset).arch.model_copy(update={"tokens": tokens})
    model = random_model(arch, device, dtype, part)
    mean, spread = np.zeros(robot.state_dim), np.full(robot.state_dim, 0.1)
    normaliser = Normaliser(mean, spread, mean, spread, raw=np.zeros(robot.state_dim, bool))
    contract = make_contract(arch, robot, (view_of(arch, robot.cameras[0].name),), f"random {preset}")
    return Checkpoint(model, tiny_tokenizer(), normaliser, contract)
