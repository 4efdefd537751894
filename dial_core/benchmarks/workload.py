"""The calls that the robot waits for, with inputs to make them, and what each must read and compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dial_core.model.action_decoder import DecoderBlock
from dial_core.model.dial import DialModel
from dial_core.model.system2 import Layout

Call = Callable[..., torch.Tensor]
INSTRUCTION_TOKENS = 30  # chat template and instruction, without the image's tokens


@dataclass(frozen=True)
class TimedCall:
    """One call at batch 1: `function(*inputs)`.

    Attributes:
        name: what is timed.
        function, inputs: the call.
        parameters: of the modules at work.
        reads: weights that are read, counted every time (the decoder's once a flow step); activations stay in caches.
        steps: the parts that it is made of, one after the other.
    """

    name: str
    function: Call
    inputs: tuple[torch.Tensor, ...]
    parameters: int
    reads: int
    steps: tuple[str, ...] = ()

    def flops(self) -> float:
        """Floating-point operations of one call, counted; works on the meta device."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            self.function(*self.inputs)
        return float(counter.get_total_flops())


def parts_of(model: DialModel, flow_steps: int) -> dict[str, TimedCall]:
    """Both systems and their parts: `vision`, `language`, `System-2`; `fusion`, `decoder`, `System-1`.

    The model may be on any device, the meta device included.
    """
    device, dtype, arch = model.device, model.dtype, model.arch
    pixels = torch.zeros(1, arch.image.height, arch.image.width, 3, dtype=torch.uint8, device=device)
    input_ids, attention_mask, layout = _prompt(model, model.system2.shown_queries)
    state = torch.zeros(1, arch.state_dim, dtype=dtype, device=device)
    noise = torch.zeros(1, arch.horizon, arch.action_dim, dtype=dtype, device=device)
    schedule = model.system1.schedule(flow_steps, slot=0)

    def system2(pixels, input_ids, attention_mask, positions) -> torch.Tensor:
        return language(model.encode_image(pixels), input_ids, attention_mask, positions)

    def language(tokens, input_ids, attention_mask, positions) -> torch.Tensor:
        return model.system2(tokens, input_ids, attention_mask, Layout(positions, None))

    def system1(pixels, intent, state, noise) -> torch.Tensor:
        return decoder(model.condition(intent, model.encode_image(pixels)), state, noise)

    def decoder(fused, state, noise) -> torch.Tensor:
        return model.sample_chunk(fused, state, noise, schedule=schedule)

    with torch.inference_mode():
        tokens = model.encode_image(pixels)
        intent = language(tokens, input_ids, attention_mask, layout.positions)
        fused = model.condition(intent, tokens)
    prompt = (input_ids, attention_mask, layout.positions)
    vision = _count(model.backbone.visual) + _count(model.view_encoder)
    words = _count(model.backbone.language_model) - model.backbone.get_input_embeddings().weight.numel()
    words += _count(model.system2.foresight_head)
    fusion = _count(model.system1.fusion)
    rest = _count(model.system1) - fusion
    read = rest - _once_a_session(model)
    reads = read + (flow_steps - 1) * (read - _once_a_chunk(model))
    system1_steps = ("vision", "fusion", "decoder")
    parts = [
        TimedCall("vision", model.encode_image, (pixels,), vision, vision),
        TimedCall("language", language, (tokens, *prompt), words, words),
        TimedCall("System-2", system2, (pixels, *prompt), vision + words, vision + words, ("vision", "language")),
        TimedCall("fusion", lambda intent, tokens: model.condition(intent, tokens), (intent, tokens), fusion, fusion),
        TimedCall("decoder", decoder, (fused, state, noise), rest, reads),
        TimedCall("System-1", system1, (pixels, intent, state, noise), vision + fusion + rest, vision + fusion + reads, system1_steps),
    ]
    return {part.name: part for part in parts}


def training_batch(model: DialModel, samples: int) -> dict[str, torch.Tensor | bool]:
    """Random keywords of a training step (`DialModel.forward`) of `samples` samples, from pixels, on the model's device."""
    device, arch = model.device, model.arch
    input_ids, attention_mask, layout = _prompt(model, model.system2.queries)
    shape = (samples, arch.image.height, arch.image.width, 3)
    return {
        "image_tokens": torch.randint(256, shape, dtype=torch.uint8, device=device),
        "goal_tokens": torch.randint(256, shape, dtype=torch.uint8, device=device),
        "input_ids": input_ids.expand(samples, -1),
        "attention_mask": attention_mask.expand(samples, -1),
        "state": torch.randn(samples, arch.state_dim, device=device),
        "action": torch.randn(samples, arch.horizon, arch.action_dim, device=device),
        "action_mask": torch.ones(samples, arch.horizon, arch.action_dim, device=device),
        # As the collator gives them, so that nothing waits for the device.
        "positions": layout.positions.expand(-1, samples, -1),
        "padded": False,
    }


def _prompt(model: DialModel, queries: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, Layout]:
    """One prompt without padding: text, the image, text, and room for the queries.

    Positions are found on the CPU: the meta device has no values.
    """
    arch = model.arch
    image = [arch.tokens.vision_start, *[arch.tokens.image] * arch.foresight_tokens, arch.tokens.vision_end]
    text = [1] * (INSTRUCTION_TOKENS - 2)
    input_ids = torch.tensor([text[:3] + image + text[3:]])
    layout = model.system2.layout(input_ids, torch.ones_like(input_ids), 0 if queries is None else len(queries))
    input_ids = input_ids.to(model.device)
    return input_ids, torch.ones_like(input_ids), Layout(layout.positions.to(model.device), None)


def _once_a_chunk(model: DialModel) -> int:
    """Weights of System-1 that are read once a chunk, not once a flow step: the keys and values of the condition, what
    depends on the state alone, and the tables."""
    system1 = model.system1
    crossing = [block for block in cast("list[DecoderBlock]", system1.decoder.blocks) if block.crosses]
    once: list[nn.Module | nn.Parameter] = [layer for block in crossing for layer in (block.attention.key, block.attention.value)]
    once += [system1.state_encoder, system1.position, system1.image_type]
    return sum(_count(part) for part in once)


def _once_a_session(model: DialModel) -> int:
    """Weights of System-1 that meet nothing but the times, which are the same for every chunk: the schedule holds the results."""
    decoder = model.system1.decoder
    steering = [block.modulation for block in cast("list[DecoderBlock]", decoder.blocks)]
    times_share = model.system1.action_encoder.w2.weight.numel() // 2
    return times_share + sum(_count(part) for part in (decoder.time, decoder.out_modulation, *steering))


def _count(part: nn.Module | nn.Parameter | None) -> int:
    if part is None:
        return 0
    return part.numel() if isinstance(part, nn.Parameter) else sum(parameter.numel() for parameter in part.parameters())
