"""Times one peer with random weights: `python -m dial_core.benchmarks.peer_program NAME DEVICE CALLS`, prints one JSON line.

Runs in the peers' own environment (lerobot pins an older torch and transformers than we do), so it imports nothing of ours
but the clock.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch

from dial_core.benchmarks.timing import latency_of

INSTRUCTION_TOKENS = 30  # as in `workload.py`
Build = Callable[[torch.device, torch.dtype], tuple[torch.nn.Module, Callable[[], Any]]]


def groot_n1_7(device: torch.device, dtype: torch.dtype) -> tuple[torch.nn.Module, Callable[[], Any]]:
    """GR00T N1.7 on one 256 px image (64 tokens): its whole pass from pixels to a chunk of 40, 4 flow steps."""
    from lerobot.policies.groot.groot_n1_7 import GR00TN17, GR00TN17Config

    config = GR00TN17Config()
    model = GR00TN17(config, load_backbone_weights=False).to(device, dtype).eval()
    image, start, end = 151655, 151652, 151653
    ids = [1] * (INSTRUCTION_TOKENS - 2)
    inputs = {
        "input_ids": torch.tensor([[*ids[:3], start, *[image] * 64, end, *ids[3:]]], device=device),
        "pixel_values": torch.zeros(256, 3 * 2 * 16 * 16, dtype=dtype, device=device),
        "image_grid_thw": torch.tensor([[1, 16, 16]], device=device),
        "state": torch.zeros(1, 1, config.max_state_dim, dtype=dtype, device=device),
        "embodiment_id": torch.zeros(1, dtype=torch.long, device=device),
    }
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    return model, lambda: model.get_action(inputs)


def pi0(device: torch.device, dtype: torch.dtype) -> tuple[torch.nn.Module, Callable[[], Any]]:
    """pi0 on one 224 px image (256 tokens) and 48 text tokens: its whole pass to a chunk of 50, 10 flow steps."""
    from lerobot.policies.pi0.configuration_pi0 import PI0Config
    from lerobot.policies.pi0.modeling_pi0 import PI0Pytorch

    config = PI0Config(dtype={torch.bfloat16: "bfloat16", torch.float32: "float32"}[dtype], device=str(device))
    model = PI0Pytorch(config).to(device).eval()
    images = [torch.zeros(1, 3, 224, 224, device=device)]
    present = [torch.ones(1, dtype=torch.bool, device=device)]
    words = torch.ones(1, 48, dtype=torch.long, device=device)
    state = torch.zeros(1, config.max_state_dim, device=device)
    return model, lambda: model.sample_actions(images, present, words, words.bool(), state)


PEERS: dict[str, Build] = {"groot_n1_7": groot_n1_7, "pi0": pi0}


@torch.no_grad()
def main(name: str, device_name: str, calls: int) -> None:
    """Builds the peer, times it as its authors run it (eager), and prints the row."""
    device = torch.device(device_name)
    model, call = PEERS[name](device, torch.float32 if device.type == "cpu" else torch.bfloat16)
    latency = latency_of(call, device, calls)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    row = {"peer": name, "parameters": parameters, "median_s": latency.median_s, "p99_s": latency.p99_s, "calls": latency.calls}
    print(json.dumps(row))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
