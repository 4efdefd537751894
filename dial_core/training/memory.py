"""How much memory a training step needs on one device, estimated from the architecture alone. Arithmetic, nothing measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from dial_core.errors import DialError
from dial_core.model.configuration import Architecture
from dial_core.training.optimisation import Optimisation

Strategy = Literal["ddp", "fsdp2", "zero2", "zero3"]
_PROMPT_TOKENS = 30  # of chat template and instruction
_FLOAT, _HALF = 4, 2  # [bytes]
_ZERO2_BUCKET = 500_000_000  # elements of either bucket, to reduce and to gather (config/deepspeed/zero2.json)
RESERVE_GIB = 3.0
"""What a device needs beside the parts of `Memory` [GiB]: CUDA and NCCL, workspaces, the allocator's gaps. A guess, not measured."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what holds them."""

    weights: float
    gradients: float
    moments: float
    average: float
    temporaries: float  # buckets, and gradients that are whole before they are shared out
    activations: float
    vision: float  # of the frozen tower's pass, freed before the activations arise

    @property
    def total(self) -> float:
        """Most of it at one time. The allocator and the libraries take `RESERVE_GIB` more."""
        lasting = self.weights + self.gradients + self.moments + self.average + self.temporaries
        return lasting + max(self.activations, self.vision)


def memory_of(
    model: nn.Module, arch: Architecture, plan: Optimisation, samples: int, gpus: int, strategy: str, decodings: int = 1
) -> Memory:
    """What one of `gpus` devices holds while it trains `samples` foresights at a time, each with so many passes of the decoder.

    Weights that learn and the optimiser's moments are float32; with bf16 each weight that learns has a half-size copy too, and frozen ones
    are kept in bfloat16 (`frozen_weights.py`; published backbones allow it). `ddp` keeps all of it on every device; `zero2` shares
    gradients, moments and float32 weights, `fsdp2` and `zero3` all weights. FSDP2 gathers float32 weights. The fused AdamW needs no
    temporaries, and DDP's buckets are the gradients themselves. How many micro-batches a step accumulates does not matter: each one's
    gradients are added to those in shards at once (FSDP2: `trainer_arguments.py`).

    Raises:
        DialError: unknown strategy, or one that the optimiser cannot train with.
    """
    if strategy not in get_args(Strategy):
        raise DialError(f"unknown strategy '{strategy}'; strategies: {', '.join(get_args(Strategy))}")
    plan.check_sharding(sharded=strategy != "ddp")
    everything = sum(parameter.numel() for parameter in model.parameters())
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    states = 1 if strategy == "ddp" else gpus  # over how many devices gradients and moments are spread
    shards = gpus if strategy in ("fsdp2", "zero3") else 1
    root = _gathered(arch, everything) if shards > 1 else 0
    root_learning = max(0, root - (everything - learning))
    if strategy in ("zero2", "zero3"):  # the engine computes with weights that are bfloat16 themselves, and has a float32 copy to step
        size = _HALF if plan.bf16 else _FLOAT
        weights = size * (everything / shards + root) + _FLOAT * learning / states
        gradients = (size + (_FLOAT if plan.bf16 else 0)) * learning / states
        temporaries: float = size * _deepspeed_buckets(strategy, arch)
    else:
        frozen = frozen_bytes(model, arch, plan)
        gathered = _FLOAT * root_learning + frozen * (root > 0)
        copies = _HALF * learning if plan.bf16 else 0  # autocast keeps them for the forward pass, of what learns
        weights = (_FLOAT * learning + frozen) / shards + gathered + copies
        gradients = _FLOAT * learning / states
        temporaries = _FLOAT * root_learning  # gradients of what is gathered as one
    return Memory(
        weights=weights,
        gradients=gradients,
        moments=_FLOAT * plan.moments(model) / states,
        average=_FLOAT * learning / shards if plan.ema_decay else 0,
        temporaries=temporaries,
        activations=samples * _activations(arch, plan, strategy, decodings),
        vision=samples * _vision(arch, plan, strategy),
    )


def frozen_bytes(model: nn.Module, arch: Architecture, plan: Optimisation) -> float:
    """Bytes of the frozen weights while training.

    Those of a published vision-language model are values of bfloat16; a tiny model's and DINOv2's are not.
    """
    half = plan.bf16 and arch.pretrained is not None
    sizes = {False: _FLOAT, True: _HALF}
    return sum(
        sizes[half and not name.startswith("view_encoder.")] * parameter.numel()
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad
    )


def require_room(
    model: nn.Module,
    arch: Architecture,
    plan: Optimisation,
    samples: int,
    gpus: int,
    strategy: str,
    capacity_gib: float,
    decodings: int = 1,
) -> None:
    """Checks that a step of `samples` on each device is estimated to fit into its memory, less `RESERVE_GIB`.

    Raises:
        DialError: it does not fit into `capacity_gib`; the message has the first micro-batch and strategy that do.
    """

    def gib(micro: int, way: str) -> float:
        return memory_of(model, arch, plan, micro, gpus, way, decodings).total / 2**30 + RESERVE_GIB

    if gib(samples, strategy) <= capacity_gib:
        return
    shares = gpus > 1 and plan.steps_shards
    ways = [strategy, *(way for way in ("zero2", "fsdp2", "zero3") if shares and way != strategy)]
    halves = [samples >> power for power in range(samples.bit_length())]
    fitting = [(way, micro) for way in ways for micro in halves if gib(micro, way) <= capacity_gib]
    advice = "nothing does on so few GPUs: take more of them, or larger ones"
    if fitting:
        way, micro = fitting[0]
        advice = f"`--strategy {way} --micro-batch {micro}` does, with {gib(micro, way):.1f} GiB"
    raise DialError(
        f"a step needs about {gib(samples, strategy):.1f} GiB a GPU with {strategy} and micro-batches of {samples} "
        f"({RESERVE_GIB:g} of them reserved for the libraries), more than {capacity_gib:g} GiB; {advice}"
    )


def _gathered(arch: Architecture, everything: int) -> int:
    """Weights that are whole at one time under sharding: the root (all but the layers of language model and fusion), two layers."""
    text, fusion = arch.text, arch.fusion
    keys = text.width * text.kv_heads // text.heads
    layer = 2 * text.width * (text.width + keys) + 3 * text.width * text.ffn_width
    block = 12 * fusion.width**2
    return everything - (text.layers - 2) * layer - fusion.layers * block


def _deepspeed_buckets(strategy: str, arch: Architecture) -> float:
    """Elements of DeepSpeed's buckets; ZeRO-3's are `auto`: the width squared to reduce, nine tenths of that to prefetch."""
    return 2 * _ZERO2_BUCKET if strategy == "zero2" else 1.9 * arch.width**2


def _residual_bytes(plan: Optimisation, strategy: str) -> int:
    """Of one number of the residual streams: autocast leaves them float32, DeepSpeed's bfloat16 weights make them bfloat16."""
    return _HALF if plan.bf16 and strategy in ("zero2", "zero3") else _FLOAT


def _activations(arch: Architecture, plan: Optimisation, strategy: str, decodings: int) -> float:
    """Bytes that one sample's forward pass leaves for its backward pass.

    Of what a block keeps, its two norms' inputs are the residual stream; recomputation keeps that stream before every language layer.
    """
    size, residual = _HALF if plan.bf16 else _FLOAT, _residual_bytes(plan, strategy)
    text, decoder, fusion = arch.text, arch.decoder, arch.fusion
    tokens = 2 * arch.foresight_tokens + _PROMPT_TOKENS
    layer = tokens * (2 * residual * text.width + size * (6 * text.width + 4 * text.ffn_width))
    language = residual * tokens * text.width * text.layers + layer if plan.gradient_checkpointing else text.layers * layer
    fused = fusion.layers * 2 * arch.foresight_tokens * (2 * residual + 14 * size) * fusion.width
    decoded = decoder.layers * (1 + arch.horizon) * (2 * residual + 16 * size) * decoder.width
    decoded += size * decoder.layers * arch.foresight_tokens * 2 * decoder.width
    return float(language + fused + decodings * decoded)


def _vision(arch: Architecture, plan: Optimisation, strategy: str) -> float:
    """Bytes at the widest place of the tower's pass over one sample's two images, which keeps nothing: a block's feed-forward.

    There are the residual stream before and after attention, the norm's output in both formats, and three tensors as wide as the
    feed-forward. A source of pixels with chunks of their own encodes more views than these two.
    """
    size, residual, vision = _HALF if plan.bf16 else _FLOAT, _residual_bytes(plan, strategy), arch.vision
    rows, columns = arch.patch_grid
    return float(2 * rows * columns * ((3 * residual + size) * vision.width + 3 * size * vision.ffn_width))
